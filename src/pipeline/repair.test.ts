/**
 * A repair leaves documents alone, and takes away what was left of one that was being written.
 */
import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { qualityOf } from '../../test/support/quality.ts';
import { readSpool } from '../stages/spool/journal.ts';
import { repairSpool } from './repair.ts';
import { writeReport } from './report/write-report.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-repair-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

test('a whole report stays, a torn one goes', async () => {
  const file = await writeReport(dir, 'x', qualityOf('a'.repeat(32), 'stopped'));
  writeFileSync(join(dir, 'y_report.json.part'), '{"version":');
  expect(await repairSpool(dir, { mp4: { durationMs: 1000, bytes: 1_000_000 } })).toEqual([]);
  expect(await readSpool(dir)).toEqual({ files: [file], problems: [], leftovers: [] });
  expect(readdirSync(dir).sort()).toEqual(['journal.ndjson', 'x_report.json']);
});
