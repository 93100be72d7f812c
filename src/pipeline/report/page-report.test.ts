import { expect, test } from 'vitest';
import { joinPages, PageReport } from './page-report.ts';

const S = 1_000_000;
const FPS = 30;
const sound = (level: number) => ({ channels: [new Float32Array(480).fill(level)], samples: 480 });

/** Six seconds: the picture stands still in the middle two, a frame is left out, sound stops after three. */
function pageOfSixSeconds(): PageReport {
  const page = new PageReport(FPS);
  for (let frame = 0; frame < 6 * FPS; frame++) {
    const atS = frame / FPS;
    if (frame !== 100) page.onPicture(frame, atS * S, atS < 2 || atS >= 4);
    page.onSound(atS * S, sound(atS < 3 ? 0.1 : 0));
  }
  return page;
}

test('a page that stands still and falls silent is told with when', () => {
  const page = pageOfSixSeconds();
  page.onLateness({ us: 31_400, measured: true });
  expect(page.report(6 * S)).toMatchObject({
    ...{ pictureLatenessMs: 31, latenessMeasured: true, frames: 179, distinctFrames: 120, leftOutFrames: 1 },
    distinctFramesPerS: 20,
    ...{ frozen: [{ fromMs: 2000, durationMs: 2000 }], frozenMs: 2000 },
    ...{ silent: [{ fromMs: 3000, durationMs: 3000 }], silentMs: 3000 },
  });
});

test('what is on hold is neither silent nor frozen', () => {
  const page = new PageReport(FPS);
  for (let atS = 0; atS < 6; atS += 0.1)
    if (atS >= 1.5 && atS < 4.5) page.onHeld(atS * S);
    else {
      page.onPicture(Math.round(atS * FPS), atS * S, false);
      page.onSound(atS * S, sound(0));
    }
  expect(page.report(6 * S)).toMatchObject({ frozen: [], silent: [] });
});

test('an error that comes again is counted, and those beyond the first many too', () => {
  const page = new PageReport(FPS);
  for (let n = 0; n < 3; n++) page.onError('console', 'again', n * S);
  for (let n = 0; n < 60; n++) page.onError('script', `error ${n}`, n * S);
  const { errors, moreErrors } = page.report(S);
  expect(errors[0]).toEqual({ atMs: 0, kind: 'console', text: 'again', count: 3 });
  expect([errors.length, moreErrors]).toEqual([50, 11]);
});

test('a run that goes on adds to what the one before it knew', () => {
  const page = pageOfSixSeconds();
  page.onUse({ cpuUs: 2 * S, memoryBytes: 500, processes: 9 });
  page.onUse({ cpuUs: 3 * S, memoryBytes: 400, processes: 8 });
  const before = page.report(6 * S);
  const joined = joinPages(before, before);
  expect(joined).toMatchObject({ frames: 358, distinctFrames: 240, leftOutFrames: 2, distinctFramesPerS: 20 });
  expect(joined.frozen).toHaveLength(2);
  expect(joined.machine).toEqual({ cpuMs: 6000, peakMemoryBytes: 500, peakProcesses: 9 });
});
