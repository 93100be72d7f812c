import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { Segment, WholeFile } from '../../media/segment.ts';
import { JOURNAL_NAME, Journal, readSpool } from './journal.ts';
import { freeBytes, removeSpoolFolder, spooledSids } from './spool-folder.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-spool-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function slice(index: number, bytes = 10): Segment {
  const name = `x_${index}.ts`;
  writeFileSync(join(dir, name), Buffer.alloc(bytes));
  const starts: Segment['starts'] = index === 0 ? [{ kind: 'video', startUtcMs: 5 }] : [];
  const rotations: Segment['rotations'] = index === 0 ? [{ width: 2, height: 2, rotate: 90, utcMs: 5 }] : [];
  const place = { index, startUtcMs: 5 + index, durationUs: 15_000_000, bytes };
  return { type: 'slice', name, playlist: 'x.m3u8', ...place, discontinuity: index === 0, starts, rotations };
}
function mp4(): WholeFile {
  writeFileSync(join(dir, 'x_0.mp4'), 'mp4');
  return { type: 'mp4', name: 'x_0.mp4', index: 0, startUtcMs: 5, durationUs: 1, bytes: 3 };
}
async function note(...files: (Segment | WholeFile)[]): Promise<void> {
  const journal = await Journal.open(dir);
  for (const file of files) void journal.append(file);
  await journal.close();
}

describe('the journal', () => {
  test('gives back what was noted, in order, also over several writers', async () => {
    const files = [slice(0), slice(1), mp4()];
    await note(...files.slice(0, 2));
    await note(files[2]!);
    expect(await readSpool(dir)).toEqual({ files, problems: [], leftovers: [] });
  });

  test('of an empty folder is empty', async () => {
    expect(await readSpool(dir)).toEqual({ files: [], problems: [], leftovers: [] });
  });

  test('survives being torn at any byte, and goes on after it', async () => {
    const files = [slice(0), slice(1), slice(2)];
    await note(...files);
    const whole = readFileSync(join(dir, JOURNAL_NAME));
    const lineEnds = [...whole.entries()].filter(([, byte]) => byte === 0x0a).map(([at]) => at);
    for (let length = 0; length <= whole.length; length++) {
      writeFileSync(join(dir, JOURNAL_NAME), whole.subarray(0, length));
      const { files: found, problems } = await readSpool(dir);
      // A line whose text is whole counts even when only its newline is missing.
      expect(found).toEqual(files.filter((_, i) => lineEnds[i]! <= length));
      expect(problems).toEqual([]);
    }
    writeFileSync(join(dir, JOURNAL_NAME), whole.subarray(0, lineEnds[0]! + 20));
    await note(slice(3));
    expect((await readSpool(dir)).files.map((f) => f.name)).toEqual(['x_0.ts', 'x_3.ts']);
  });

  test('leaves out lines that are not true, and says why', async () => {
    const files = [slice(0), slice(1), slice(2), slice(3)];
    await note(files[0]!);
    appendFileSync(join(dir, JOURNAL_NAME), 'no json\n{"type":"slice"}\n');
    appendFileSync(join(dir, JOURNAL_NAME), `${JSON.stringify({ ...files[0], name: '../x_0.ts' })}\n`);
    appendFileSync(join(dir, JOURNAL_NAME), `${JSON.stringify({ ...files[0], name: '..' })}\n`);
    await note(...files.slice(1), files[1]!);
    rmSync(join(dir, 'x_1.ts'));
    appendFileSync(join(dir, 'x_2.ts'), 'more');
    const { files: found, problems, leftovers } = await readSpool(dir);
    expect(found).toEqual([files[0], files[3]]);
    // What there is of it is nowhere else.
    expect(leftovers).toEqual(['x_2.ts']);
    expect(problems).toHaveLength(7);
    expect(problems.slice(0, 4).every((p) => p.includes('is not a record of a file'))).toBe(true);
    expect(problems[4]).toMatch(/^line 6 .*x_1\.ts cannot be read/);
    expect(problems[5]).toMatch(/x_2\.ts has 14 bytes instead of 10/);
    expect(problems[6]).toMatch(/x_1\.ts cannot be read/);
  });

  test('lists a file once', async () => {
    await note(slice(0), slice(0));
    expect(await readSpool(dir)).toMatchObject({
      files: [{ name: 'x_0.ts' }],
      problems: [expect.stringMatching(/listed twice/)],
    });
  });

  test('names what a crash left unfinished', async () => {
    writeFileSync(join(dir, 'x_0.mp4.part'), '');
    writeFileSync(join(dir, 'x_9.ts.part'), '');
    // Whatever somebody put there is none of ours.
    mkdirSync(join(dir, 'x_1.ts.part'));
    symlinkSync(join(dir, 'nowhere'), join(dir, 'x_2.mp4'));
    expect((await readSpool(dir)).leftovers).toEqual(['x_0.mp4.part', 'x_9.ts.part']);
  });

  test('is refused where there is no folder', async () => {
    await expect(Journal.open(join(dir, 'none'))).rejects.toThrow(/cannot write .*none/);
    await expect(readSpool(join(dir, 'none'))).rejects.toThrow(/cannot read the spool/);
  });
});

describe('the folder of a recording', () => {
  const SID = 'ab'.repeat(16);

  test('is found by its name, and goes with all in it', async () => {
    mkdirSync(join(dir, SID));
    mkdirSync(join(dir, 'something else'));
    writeFileSync(join(dir, SID, 'x'), '');
    expect(await spooledSids(dir)).toEqual([SID]);
    expect(await spooledSids(join(dir, 'none'))).toEqual([]);
    await removeSpoolFolder(join(dir, SID));
    await removeSpoolFolder(join(dir, SID));
    expect(await spooledSids(dir)).toEqual([]);
    expect(await freeBytes(dir)).toBeGreaterThan(0);
  });
});
