import { expect, test } from 'vitest';
import { smallArguments } from './small-process.ts';

const argv = ['/usr/bin/node', '/opt/aircheck/main.ts', 'serve'];
const SMALL = ['--max-semi-space-size=2', '--optimize-for-size'];

test('the second start has the flags of the first, its own, and the same command', () => {
  const words = smallArguments({ argv, execArgv: ['--enable-source-maps'], nodeOptions: '--no-warnings' });
  expect(words).toEqual(['/usr/bin/node', '--enable-source-maps', ...SMALL, '/opt/aircheck/main.ts', 'serve']);
});

test.each([
  ['the second start', SMALL, undefined],
  ['flags of the operator', ['--max_semi_space_size=64'], undefined],
  ['options of the environment', [], '--no-warnings --max-semi-space-size=64'],
])('there is no start after %s', (_, execArgv, nodeOptions) => {
  expect(smallArguments({ argv, execArgv, nodeOptions })).toBeUndefined();
});
