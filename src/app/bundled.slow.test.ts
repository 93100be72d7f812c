/** The bundle of the server's children, made of these sources and begun as the server begins it. */
import { execFileSync, fork, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { beforeAll, expect, onTestFinished, test, vi } from 'vitest';
import { systemClock } from '../kernel/clock.ts';
import { type ForkEnd, Forks } from '../worker/forks.ts';
import { childEntry, present } from './bundled.ts';

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

test('a child whose bundle was removed while the server runs begins from the sources', async () => {
  const log = { debug() {}, info() {}, warn: vi.fn(), error() {} };
  const forks = new Forks({ clock: systemClock, log, env: process.env, present });
  onTestFinished(() => forks.close());
  const entry = join(dirname(childEntry()), 'gone.js');
  const told = Promise.withResolvers<unknown>();
  const ended = Promise.withResolvers<ForkEnd>();
  const spec = { entry, args: ['recorder', 'mix'], flags: [], env: process.env };
  const child = forks.start(spec, { onMessage: told.resolve, onLine: () => {}, onClosed: ended.resolve });
  expect(await Promise.race([told.promise, ended.promise])).toMatchObject({ type: 'ready' });
  expect(log.warn).toHaveBeenCalledWith(expect.objectContaining({ entry }), expect.any(String));
  child.disconnect();
  expect(await ended.promise).toEqual({ code: 0, signal: null });
});

test('a word that names no child is told of', () => {
  const { status, stderr } = spawnSync(process.execPath, [childEntry(), 'nonsense'], { encoding: 'utf8' });
  expect([status, stderr]).toEqual([1, 'aircheck: nonsense: the server starts no child of that name\n']);
});

test('the stack of what breaks in a child names lines of the sources', () => {
  const { status, stderr } = spawnSync(process.execPath, [childEntry(), 'complete'], { input: '{', encoding: 'utf8' });
  const source = join(import.meta.dirname, 'cli/children.ts');
  const line =
    1 +
    readFileSync(source, 'utf8')
      .split('\n')
      .findIndex((text) => text.includes('JSON.parse('));
  expect([status, stderr]).toEqual([1, expect.stringContaining(`at told (${pathToFileURL(source)}:${line}:`)]);
  expect(stderr).not.toContain('.js:');
});

test('it carries the licences of what is not ours', () => {
  const text = readFileSync(join(dirname(childEntry()), 'LICENSES.txt'), 'utf8');
  for (const name of ['zod', 'node-av']) expect(text).toMatch(new RegExp(`^${name} \\d[\\d.]* \\(MIT\\)$`, 'm'));
});
