/** The bundle of the server's children, made of these sources and begun as the server begins it. */
import { execFileSync, fork, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { childEntry } from './bundled.ts';

const BUNDLE = join(import.meta.dirname, '../../scripts/bundle.ts');

beforeAll(() => {
  execFileSync(process.execPath, [BUNDLE, '--if-changed'], { stdio: 'inherit' });
});

test.each(['mix', 'individual', 'web'])('a recorder of mode %s becomes ready', async (mode) => {
  const recorder = fork(childEntry(), ['recorder', mode], { stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
  expect(recorder.spawnargs.join(' ')).toMatch(/child\.js recorder/);
  const [fact] = await once(recorder, 'message');
  expect(fact).toMatchObject({ type: 'ready' });
  const ended = once(recorder, 'exit');
  recorder.disconnect();
  expect(await ended).toEqual([0, null]);
});

test('a word that names no child is told of', () => {
  const { status, stderr } = spawnSync(process.execPath, [childEntry(), 'nonsense'], { encoding: 'utf8' });
  expect([status, stderr]).toEqual([1, 'aircheck: nonsense: the server starts no child of that name\n']);
});

test('it carries the licences of what is not ours', () => {
  const text = readFileSync(join(dirname(childEntry()), 'LICENSES.txt'), 'utf8');
  for (const name of ['zod', 'node-av']) expect(text).toMatch(new RegExp(`^${name} \\d[\\d.]* \\(MIT\\)$`, 'm'));
});
