import { appendFileSync, mkdirSync, mkdtempSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { WholeFile } from '../../media/segment.ts';
import { JOURNAL_NAME, Journal } from './journal.ts';
import { checkFreeBytes, createRunFolder, readRecording, readRuns, recordingFolder } from './recording-spool.ts';

const SID = 'b'.repeat(32);
let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'aircheck-spool-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

async function finish(dir: string, name: string, text = 'mp4', index = 0): Promise<WholeFile> {
  writeFileSync(join(dir, name), text);
  const file: WholeFile = { type: 'mp4', name, index, startUtcMs: 5, durationUs: 1, bytes: text.length };
  const journal = await Journal.open(dir);
  await journal.append(file);
  await journal.close();
  return file;
}

describe('a recording on the spool', () => {
  test('gives each run a folder that only this user sees', async () => {
    const dir = await createRunFolder(root, SID, 3);
    expect(dir).toBe(join(root, SID, '3'));
    expect([dir, join(root, SID)].map((path) => statSync(path).mode & 0o777)).toEqual([0o700, 0o700]);
    // A server that died before its recorder began left it empty.
    await expect(createRunFolder(root, SID, 3)).resolves.toBe(dir);
    writeFileSync(join(dir, 'x.ts.part'), '');
    await expect(createRunFolder(root, SID, 3)).rejects.toMatchObject({ code: 'generation-taken' });
  });

  test('refuses numbers of runs and names of recordings that are none, and a full disk', async () => {
    for (const generation of [0, -1, 1.5, Number.NaN])
      await expect(createRunFolder(root, SID, generation)).rejects.toMatchObject({ code: 'generation-invalid' });
    await expect(createRunFolder(root, '../x', 1)).rejects.toMatchObject({ code: 'sid-invalid' });
    await expect(createRunFolder(root, SID, 1, 1e18)).rejects.toMatchObject({ code: 'spool-full', retryable: true });
    await expect(checkFreeBytes(root, 1e18)).rejects.toMatchObject({ code: 'spool-full' });
  });

  test('is read run after run, oldest first, ten after nine', async () => {
    const made: { dir: string; file: WholeFile }[] = [];
    for (const generation of [1, 2, 9, 10]) {
      const dir = await createRunFolder(root, SID, generation);
      made.push({ dir, file: await finish(dir, `x_${generation}.mp4`, 'mp4', generation) });
    }
    mkdirSync(join(root, SID, 'other'));
    expect(await readRecording(recordingFolder(root, SID))).toEqual({ files: made, problems: [], leftovers: [] });
  });

  test('of the version before lies in the folder itself, and newer runs beside it', async () => {
    const old = recordingFolder(root, SID);
    mkdirSync(old);
    writeFileSync(join(old, 'y.ts.part'), '');
    const [first, second] = [
      await finish(old, 'x_0.mp4'),
      await finish(await createRunFolder(root, SID, 1), 'x_1.mp4'),
    ];
    expect(await readRecording(old)).toEqual({
      files: [
        { dir: old, file: first },
        { dir: join(old, '1'), file: second },
      ],
      problems: [],
      leftovers: [{ dir: old, name: 'y.ts.part', bytes: expect.any(Number) }],
    });
  });

  test('counts a leftover as long as no run has finished it, and the newest run among files of one name', async () => {
    const [one, two] = [await createRunFolder(root, SID, 1), await createRunFolder(root, SID, 2)];
    for (const name of ['a.ts.part', 'b.ts.part']) writeFileSync(join(one, name), '');
    await finish(one, 'r.json', 'old');
    const mended = await finish(two, 'a.ts', 'mended');
    const newer = await finish(two, 'r.json', 'newer');
    expect(await readRuns([one, two])).toEqual({
      files: [
        { dir: two, file: mended },
        { dir: two, file: newer },
      ],
      problems: [],
      leftovers: [{ dir: one, name: 'b.ts.part', bytes: 0 }],
    });
  });

  test('says in which folder a journal line is no good, and fails for a folder that is not there', async () => {
    const [one, two] = [await createRunFolder(root, SID, 1), await createRunFolder(root, SID, 2)];
    appendFileSync(join(two, JOURNAL_NAME), 'nonsense\n');
    const { problems } = await readRuns([one, two]);
    expect(problems).toEqual([`${two}: line 1 of ${JOURNAL_NAME} is not a record of a file`]);
    await expect(readRecording(join(root, 'c'.repeat(32)))).rejects.toMatchObject({ code: 'spool-unreadable' });
  });
});
