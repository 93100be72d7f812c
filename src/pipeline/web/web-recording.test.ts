import { mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import type { PagePlace, StartCommand } from '../../contract/line/commands.ts';
import type { WebPlan } from '../../contract/line/plan.ts';
import { newSid } from '../../kernel/ids.ts';
import { PageSource } from '../../stages/source/page/page-source.ts';
import { QualityCollector } from '../report/quality-collector.ts';
import { WebRecording } from './web-recording.ts';

const SECOND_MS = 1000;
let dir: string;
let clock: ManualClock;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-web-'));
  clock = new ManualClock();
});
afterEach(() => rmSync(dir, { recursive: true }));

const placeIn = (root: string): PagePlace => ({
  ...{ root, hidden: [], networks: [], guard: 'namespace', sandboxed: true },
  limits: { home: {}, memoryBytes: 0, processes: 0, cores: 0 },
});
const pageIn = (root: string) => ({
  ...{ kind: 'page' as const, url: 'https://a.test/', mobile: false, readyTimeoutMs: 0 },
  ...placeIn(root),
});

/** @param ageMs how long ago it was begun */
function begin(root: string, ageMs = 0): WebRecording {
  const plan: WebPlan = {
    ...{ mode: 'web', sid: newSid(), baseName: 'x', audio: { channels: 1, bitrateKbps: 48 } },
    video: { width: 640, height: 360, fps: 30, bitrateKbps: 500 },
    files: { hls: true, mp4: false },
    mp4Limit: { durationMs: 3_600_000, bytes: 1e9 },
    ...{ maxAgeMs: 3_600_000, onhold: false },
  };
  const start: StartCommand = {
    ...{ type: 'start', plan, generation: 1, source: pageIn(root), spoolDir: dir, earlierDirs: [], changes: [] },
    ...{ zeroUtcMs: clock.nowMs(), zeroMonoUs: clock.monoUs() - ageMs * 1000 },
  };
  const report = new QualityCollector({ sid: plan.sid, mode: 'web', zeroUtcMs: start.zeroUtcMs });
  return WebRecording.start(start, plan, { clock, report, emit: () => {} });
}

test('a recording that is stopped before its page was begun ends without files', async () => {
  const recording = begin(dir);
  recording.stop(clock.monoUs(), 'stopped');
  clock.advance(SECOND_MS);
  expect(await recording.done).toMatchObject({ reason: 'stopped', recorded: false });
});

test('a recording ends when it has reached its longest time', async () => {
  const recording = begin(dir, 3_600_000 + SECOND_MS);
  clock.advance(SECOND_MS);
  expect(await recording.done).toMatchObject({ reason: 'aged', message: 'max recording hour is 1' });
});

test('a recording whose end goes wrong fails, and does not stay at work for ever', async () => {
  const noFolder = join(dir, 'file');
  writeFileSync(noFolder, '');
  const recording = begin(noFolder);
  recording.stop(clock.monoUs(), 'stopped');
  clock.advance(SECOND_MS);
  await expect(recording.done).rejects.toThrow('ENOTDIR');
});

test('a page that was closed starts no programs any more', async () => {
  const page = new PageSource({ place: placeIn(dir), size: { width: 640, height: 360 }, clock }, '1-1');
  await page.close();
  await expect(page.start()).rejects.toThrow('aborted');
  expect(readdirSync(dir)).toEqual([]);
});
