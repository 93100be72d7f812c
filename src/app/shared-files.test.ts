import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { Fault } from '../kernel/fault.ts';
import type { LeftFile } from '../store/removal-tables.ts';
import { type Bring, SharedFiles, type SharedFilesOptions } from './shared-files.ts';

const SID = 'f'.repeat(32);
const NAME = `${SID}_room_speakers.mka`;
const LEFT: LeftFile = {
  ...{ name: NAME, kind: 'speakers', key: NAME, where: 'store', bytes: 10, act: 'rewrite' },
  file: { type: 'speakers', name: NAME, bytes: 10, startUtcMs: 0, durationUs: 1, uids: ['7', '77', '8'] },
};
const { signal } = new AbortController();

let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'aircheck-shared-'));
  onTestFinished(() => rmSync(root, { recursive: true, force: true }));
});

const inStore: Bring = async (_file, path) => writeFileSync(path, '7\n77\n8\n');
const goneFromStore: Bring = async () => {
  throw new Fault('object-missing', 'the store has none', { blame: 'destination' });
};
/** Of these files each line is a track. */
const lessOne: SharedFilesOptions['withoutSpeaker'] = async ({ input, output, uid }) => {
  const left = readFileSync(input, 'utf8')
    .split('\n')
    .filter((line) => line !== '' && line !== uid);
  rmSync(output, { force: true });
  if (left.length > 0) writeFileSync(output, `${left.join('\n')}\n`);
  return left.length;
};
const begin = (options: Partial<SharedFilesOptions> = {}) =>
  new SharedFiles({ root, reserveBytes: 0, withoutSpeaker: lessOne, ...options });
const make = (files: SharedFiles, uid: string, bring: Bring) =>
  files.make({ sid: SID, uid }, LEFT, { bring, speakersBytes: undefined }, signal);
const textOf = (made: { path?: string }) => readFileSync(made.path!, 'utf8');
const failing = (code: string) => async () => {
  throw new Fault(code, 'exit code 1', { blame: 'self' });
};

test.each([
  ['the disk has no room for another', { reserveBytes: Number.MAX_SAFE_INTEGER }, 'spool-full'],
  ['the process that makes it anew fails', { withoutSpeaker: failing('speaker-failed') }, 'speaker-failed'],
])('a file is not given up because %s', async (_why, options, code) => {
  await expect(make(begin(options), '7', inStore)).rejects.toMatchObject({ code });
  expect(readdirSync(join(root, SID))).toEqual([]);
  expect(textOf(await make(begin(), '7', inStore))).toBe('77\n8\n');
});

test('a file that cannot be read, or brought, is given up', async () => {
  const unreadable = begin({ withoutSpeaker: failing('speakers-unreadable') });
  expect(await make(unreadable, '7', inStore)).toMatchObject({
    outcome: 'deleted',
    why: expect.stringContaining('exit code 1'),
  });
  expect(await make(begin(), '7', goneFromStore)).toMatchObject({ outcome: 'gone' });
  expect(readdirSync(join(root, SID))).toEqual([]);
});

test('what is not stored yet is what the next person is taken out of', async () => {
  const files = begin();
  const made = await make(files, '7', inStore);
  expect(made).toMatchObject({ bytes: 5, file: { uids: ['77', '8'] } });
  // Its store has nothing any more; a server that starts anew goes on, as does the removal of another.
  expect(textOf(await make(begin(), '7', goneFromStore))).toBe('77\n8\n');
  expect(textOf(await make(files, '77', goneFromStore))).toBe('8\n');
  expect(textOf(await make(files, '7', goneFromStore))).toBe('8\n');
  expect(await make(files, '8', goneFromStore)).toMatchObject({ outcome: 'deleted', why: 'nobody else is in it' });
  expect(readdirSync(join(root, SID))).toEqual([]);
});

test('what is stored is forgotten, and brought again for the next person', async () => {
  const files = begin();
  await make(files, '7', inStore);
  await files.stored({ sid: SID }, LEFT);
  expect(readdirSync(join(root, SID))).toEqual([]);
  expect(await make(files, '77', goneFromStore)).toMatchObject({ outcome: 'gone' });
  await make(files, '77', inStore);
  await files.forget(SID);
  expect(readdirSync(root)).toEqual([]);
});
