import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { qualityReportSchema } from '../../contract/line/quality-report.ts';
import { filesTakenOver, takeoverOf } from './files-taken-over.ts';

test('a standby of single users that nobody sent anything to is taken over, and fills no gap', async () => {
  const dir = mkdtempSync(join(tmpdir(), 'aircheck-standby-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const plan = { before: { mode: 'individual' } } as Parameters<typeof filesTakenOver>[0]['plan'];
  const { files, fromMs } = await filesTakenOver({ plan, dir, sinceMs: 1_000 }, async () => []);
  expect([files, fromMs]).toEqual([[], undefined]);
  const told = { sinceMs: 1_000, protectedMs: undefined, zeroUtcMs: 500 };
  const takeover = takeoverOf(told, { node: 'b', fromMs, untilMs: 4_500 });
  // As it goes through the database.
  const reported = qualityReportSchema.shape.takeovers.parse(JSON.parse(JSON.stringify([takeover])));
  expect(reported).toMatchObject([{ fromMs: 4_000, untilMs: 4_000 }]);
  expect(readdirSync(dir)).toContain('standby');
});
