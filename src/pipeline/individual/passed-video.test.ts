import { expect, test } from 'vitest';
import type { EncodedSample } from '../../media/sample.ts';
import type { PlacedSample } from './due-samples.ts';
import type { SliceRuns } from './file-sink.ts';
import { PassedVideo } from './passed-video.ts';

const KEY_FRAME = Buffer.from([0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xb4, 0x00]);
const DELTA_FRAME = Buffer.from([0x11, 0, 0, 0]);

/** What is written of VP8 pictures with these times, milliseconds. */
function written(times: readonly { ptsMs: number; dtsMs?: number }[]): EncodedSample[] {
  const samples: EncodedSample[] = [];
  const runs = { keyFrameWanted: false, begin: () => {}, write: (sample: EncodedSample) => void samples.push(sample) };
  const video = new PassedVideo({ runs: runs as unknown as SliceRuns, onLost: (what) => expect.fail(what) });
  for (const [n, { ptsMs, dtsMs = ptsMs }] of times.entries()) {
    const data = n === 0 ? KEY_FRAME : DELTA_FRAME;
    const at = { ptsUs: ptsMs * 1000, dtsUs: dtsMs * 1000, rtpTime: ptsMs * 90 };
    video.push({ kind: 'video', keyFrame: n === 0, data, ...at } as unknown as PlacedSample, 1, 'vp8');
  }
  return samples;
}

test('pictures of a codec that shows them as they are decoded never go back, whatever their times say', () => {
  const samples = written([{ ptsMs: 100 }, { ptsMs: 767, dtsMs: 166 }, { ptsMs: 167 }, { ptsMs: 233 }]);
  expect(samples.map(({ ptsUs }) => ptsUs / 1000)).toEqual([100, 166, 167, 233]);
  expect(samples.map(({ dtsUs }) => dtsUs / 1000)).toEqual([100, 166, 167, 233]);
});

test('one that lies behind a later one by far follows it at once', () => {
  const samples = written([{ ptsMs: 100 }, { ptsMs: 767 }, { ptsMs: 233 }, { ptsMs: 800 }]);
  expect(samples.map(({ ptsUs }) => ptsUs / 1000)).toEqual([100, 767, 768, 800]);
});
