import { expect, test } from 'vitest';
import { Fault, isOutOfRoom } from './fault.ts';

const system = (code: string) => Object.assign(new Error(code), { code });

test.each([
  ['a disk without space', system('ENOSPC'), true],
  ['a quota that is used up', system('EDQUOT'), true],
  ['a fault of ours', new Fault('spool-full', '', { blame: 'self' }), true],
  ['what caused a fault', new Fault('mux-failed', '', { blame: 'self', cause: system('EDQUOT') }), true],
  ['a disk that fails', system('EIO'), false],
  ['a disk that fails under a fault', new Fault('mux-failed', '', { blame: 'self', cause: system('EIO') }), false],
  ['no error', 'ENOSPC', false],
])('%s is want of room: %s', (_what, error, isSo) => {
  expect(isOutOfRoom(error)).toBe(isSo);
});
