/** What a report says while its recorder is behind: nothing of what it has not heard yet. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { RED } from '../../../test/support/media/participants.ts';
import { ScriptedFeed } from '../../../test/support/scripted-feed.ts';
import { individualPlanOf, planOf } from '../../../test/support/scripted-recording.ts';
import type { QualityReport } from '../../contract/line/quality-report.ts';
import { startRecording } from '../start-recording.ts';

test.each([
  ['of single users', individualPlanOf({ records: { audio: true, video: false } })],
  ['of a composite', planOf({ video: undefined, files: { hls: true, mp4: false } })],
])('a report %s that is made before what waits has been heard tells of no gap in it', async (_, plan) => {
  const dir = mkdtempSync(join(tmpdir(), 'aircheck-reported-'));
  const clock = new ManualClock();
  clock.advance(60_000);
  const zeroMonoUs = clock.monoUs();
  const user = { uid: '1', participant: RED, fromS: -1, toS: 60, video: false };
  const feed = await ScriptedFeed.serve(join(dir, 'feed.sock'), [user], zeroMonoUs, zeroMonoUs);
  onTestFinished(async () => {
    await feed.close();
    rmSync(dir, { recursive: true });
  });
  const reports: QualityReport[] = [];
  const recording = await startRecording(
    {
      ...{ type: 'start', plan, generation: 1, source: { kind: 'feed', path: feed.path }, spoolDir: dir },
      ...{ earlierDirs: [], changes: [], zeroUtcMs: clock.nowMs(), zeroMonoUs },
    },
    { clock, emit: (happening) => happening.type === 'qualityMeasured' && reports.push(happening.report) },
  );
  const playUntil = async (atS: number) => {
    while (clock.monoUs() < zeroMonoUs + atS * 1e6) {
      await feed.playUntil(clock.monoUs());
      await pause(1);
      clock.advance(10);
    }
  };
  await playUntil(4.5);
  // The recorder has no turn for so long.
  clock.advance(8_000);
  const told = reports.at(-1)!;
  expect(told.participants[0]!.tracks[0]!.gaps).toEqual([]);
  expect(told.measuredMs).toBeGreaterThan(4_000);
  expect(told.measuredMs).toBeLessThanOrEqual(4_500);
  await playUntil(16);
  const later = reports.at(-1)!;
  expect(later.measuredMs).toBeGreaterThan(14_000);
  expect(later.participants[0]!.tracks[0]!.gaps).toEqual([]);
  recording.stop(clock.monoUs(), 'stopped');
  await playUntil(17);
  await recording.done;
});
