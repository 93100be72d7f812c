import { setImmediate } from 'node:timers/promises';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, test } from 'vitest';
import type { EncodedSample } from '../../media/sample.ts';
import type { PlacedSample } from './due-samples.ts';
import type { SliceRuns } from './file-sink.ts';
import { MergedFiles } from './merged-files.ts';
import { PassedVideo } from './passed-video.ts';

const KEY_FRAME = Buffer.from([0x10, 0, 0, 0x9d, 0x01, 0x2a, 0x40, 0x01, 0xb4, 0x00]);
/** H.264 of 640×360, with its parameter sets, and a slice that refers to it. */
const IDR = Buffer.from('000000016742c01eda0280bfe5400000000168ce3c80000000016588', 'hex');
const SLICE = Buffer.from('000000014188', 'hex');
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

/** What of these pictures' memory is still held by something when all that nothing holds is collected. */
async function heldOf(memories: readonly WeakRef<ArrayBufferLike>[]): Promise<number[]> {
  setFlagsFromString('--expose-gc');
  const collect: () => void = runInNewContext('gc');
  // A weak reference holds what it refers to until the turn of the event loop ends.
  await setImmediate();
  collect();
  return memories.flatMap((memory) => memory.deref()?.byteLength ?? []);
}

/** Takes 640×360 in H.264, 30 pictures a second; of each key frame's group so many. */
function push(video: PassedVideo, pictures: number): WeakRef<ArrayBufferLike>[] {
  return Array.from({ length: pictures }, (_, n) => {
    const { buffer } = new Uint8Array(100_000 + n);
    const data = Buffer.from(buffer, 0, 1000);
    data.set(n === 0 ? IDR : SLICE);
    const ptsUs = n * 33_333;
    const sample = { kind: 'video', keyFrame: n === 0, data, ptsUs, dtsUs: ptsUs, rtpTime: n * 3000 };
    video.push(sample as unknown as PlacedSample, 1, 'h264');
    return new WeakRef(buffer);
  });
}

test('of a picture that is written nothing stays in memory', async () => {
  const runs = { keyFrameWanted: false, begin: () => {}, write: () => {} };
  const video = new PassedVideo({ runs: runs as unknown as SliceRuns, onLost: (what) => expect.fail(what) });
  expect(await heldOf(push(video, 10))).toEqual([]);
  expect(video.runStartUs).toBe(0);
});

test('of a group that is too long to be shown again nothing stays in memory but its key frame alone', async () => {
  const runs = { keyFrameWanted: false, begin: () => {}, write: () => {}, end: () => {} };
  const merged = new MergedFiles({
    runs: runs as unknown as SliceRuns,
    sends: () => ({ channels: 1, video: true }),
    onLost: (what) => expect.fail(what),
  });
  const video = new PassedVideo({
    runs: runs as unknown as SliceRuns,
    onPicture: (picture) => merged.writePicture(picture),
    onLost: (what) => expect.fail(what),
  });
  const memories = push(video, 100);
  merged.step(4_000_000);
  expect(await heldOf(memories)).toEqual([]);
  expect(merged.keyFrameWanted).toBe(false);
});
