import { expect, test } from 'vitest';
import { Fault, isOutOfRoom, messageOf } from './fault.ts';

const system = (code: string) => Object.assign(new Error(code), { code });
/** As Node 24 has it on a disk with quotas. */
const quota = () => {
  const name = 'Unknown system error -122';
  return Object.assign(new Error(`${name}: ${name}, open '/spool/x.ts'`), { code: name, errno: -122, syscall: 'open' });
};

test.each([
  ['a disk without space', system('ENOSPC'), true],
  ['a quota that is used up', quota(), true],
  ['a fault of ours', new Fault('spool-full', '', { blame: 'self' }), true],
  ['what caused a fault', new Fault('mux-failed', '', { blame: 'self', cause: quota() }), true],
  ['a disk that fails', system('EIO'), false],
  ['a disk that fails under a fault', new Fault('mux-failed', '', { blame: 'self', cause: system('EIO') }), false],
  ['no error', 'ENOSPC', false],
])('%s is want of room: %s', (_what, error, isSo) => {
  expect(isOutOfRoom(error)).toBe(isSo);
});

test('a quota that is used up is told by its name', () => {
  expect(messageOf(quota())).toBe("EDQUOT: the disk quota is used up, open '/spool/x.ts'");
  expect(messageOf(new Error('Unknown system error -9'))).toBe('Unknown system error -9');
  expect(messageOf('text')).toBe('text');
});
