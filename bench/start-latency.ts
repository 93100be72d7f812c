/**
 * How soon a recording begins: from the start call to the first recorded frame that shows everyone who was there, told
 * by the time stamps in the recorded pictures; and whether any flash after the call's answer is missing in the file.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { avOffsets, median } from '../test/support/judge/offsets.ts';
import { flashesIn, isColour } from '../test/support/judge/picture.ts';
import { bestFitRegions } from '../test/support/judge/regions.ts';
import { type Reading, watch } from '../test/support/judge/watch.ts';
import { unwrapStamp } from '../test/support/media/stamp.ts';
import { atMost, type Figure } from './measure.ts';
import { CAST, SOURCE, Stage, type Take } from './stage.ts';

const TAKES = 5;
const RECORD_MS = 3500;

export type Starts = { latenciesMs: number[]; missed: number };

/** Starts recordings one after another on a stage of its own. @param on what its server is run with */
export async function makeStarts(on: Parameters<typeof Stage.open>[0] = {}, count = TAKES): Promise<Starts> {
  const stage = await Stage.open(on);
  const starts: Starts = { latenciesMs: [], missed: 0 };
  try {
    await stage.publish('latency', {});
    await pause(1500);
    for (let n = 0; n < count; n++) {
      // Called off the marks, at another moment of the second each time: a frame that flashes shows no colours.
      const take = await stage.start('latency', () => pause(untilPhaseMs(250 + ((n * 127) % 600))));
      await pause(RECORD_MS);
      await stage.stop(take);
      const seen = judgeStart(stage.file(take, '.mp4'), take);
      starts.latenciesMs.push(seen.latencyMs);
      starts.missed += seen.missed;
    }
  } finally {
    await stage.close();
  }
  return starts;
}

export async function measureStartLatency(): Promise<Figure[]> {
  const { latenciesMs: latencies, missed } = await makeStarts();
  const detail = latencies.map((ms) => ms.toFixed(0)).join(', ');
  return [
    atMost('start call → first frame with everyone', median(latencies), 500, 'ms', detail),
    atMost('flashes missed after start returned', missed, 0, '', `${TAKES} recordings, ${CAST.length} participants`),
  ];
}

/** Milliseconds until the wall clock stands at `phaseMs` of a second. */
function untilPhaseMs(phaseMs: number): number {
  return (phaseMs - (Date.now() % 1000) + 1000) % 1000;
}

function judgeStart(path: string, take: Take): { latencyMs: number; missed: number } {
  const { views } = watch(
    path,
    bestFitRegions(CAST.length).map((rect) => ({ rect, source: SOURCE })),
  );
  const frames = (views[0] as Reading[]).length;
  for (let n = 0; n < frames; n++) {
    const now = views.map((readings) => readings[n] as Reading);
    if (!now.every((r, i) => r.stamp !== undefined && isColour(r, (CAST[i] as (typeof CAST)[number]).colour))) continue;
    const contents = now.map((r) => unwrapStamp(r.stamp as number, take.calledUs));
    const latestUs = Math.max(...contents);
    const zeroUs = latestUs - (now[0] as Reading).atS * 1e6;
    return { latencyMs: (latestUs - take.calledUs) / 1000, missed: missedFlashes(views, zeroUs, take) };
  }
  throw new Error(`${path} never shows all ${CAST.length} participants`);
}

/** Flashes due between the answer to start and the end of the file that some participant's picture lacks. */
function missedFlashes(views: readonly Reading[][], zeroUs: number, take: Take): number {
  const endUs = zeroUs + ((views[0] as Reading[]).at(-1) as Reading).atS * 1e6;
  const due: number[] = [];
  for (let us = Math.ceil(take.answeredUs / 1e6) * 1e6; us < endUs - 150_000; us += 1e6) due.push((us - zeroUs) / 1e6);
  return views.reduce((sum, readings) => {
    const seen = flashesIn(readings).map((f) => f.atS);
    // A file that begins in a flash has no onset; its first frame stands for it.
    if ((readings[0] as Reading).luma > 200) seen.unshift(0);
    return sum + avOffsets(due, seen, 0.15).missing.length;
  }, 0);
}
