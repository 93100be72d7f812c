/**
 * Slices read one after another: what is open when, and what becomes of those that cannot be read.
 */
import { expect, test } from 'vitest';
import type { SliceSample } from '../../stages/mux/read-slices.ts';
import type { CastSlice } from './cast.ts';
import { type ReadSlice, SampleStream } from './sample-stream.ts';

const S = 1_000_000;

function slice(atS: number, missing = false): CastSlice {
  const place = {
    startUs: atS * S,
    durationUs: 10 * S,
    bytes: 1,
    playlist: 'p',
    index: 0,
    shapes: [],
    rotate: 0 as const,
  };
  return { name: `${atS}.ts`, uid: '1', trackType: 'video', ...place, missing };
}
const sample = (atS: number): SliceSample => ({
  ...{ kind: 'video', codec: 'h264', ptsUs: atS * S, dtsUs: atS * S, durationUs: S, keyFrame: true },
  data: Buffer.alloc(1),
});

/** A stream of these slices, a sample each second; `log` says what was opened, closed and told. */
function streamOf(slices: CastSlice[], timesOf = (startS: number) => [0, 1, 2].map((s) => startS + s)) {
  const log: string[] = [];
  const read: ReadSlice = async function* ({ name, startUs }) {
    log.push(`open ${name}`);
    try {
      for (const at of timesOf(startUs / S)) {
        if (Number.isNaN(at)) throw new Error('torn');
        yield sample(at);
      }
    } finally {
      log.push(`close ${name}`);
    }
  };
  return { stream: new SampleStream(slices, read, (what) => log.push(what)), log };
}

async function takeAll(stream: SampleStream, untilS: number): Promise<string[]> {
  const taken: string[] = [];
  for (let next = await stream.take(untilS * S); next; next = await stream.take(untilS * S))
    taken.push(`${next.sample.dtsUs / S}${next.afterGap ? ' after a gap' : ''}`);
  return taken;
}

test('samples come when they are due, and one slice is open at a time', async () => {
  const { stream, log } = streamOf([slice(0), slice(10), slice(20)]);
  expect(await takeAll(stream, 1.5)).toEqual(['0', '1']);
  expect(log).toEqual(['open 0.ts']);
  expect(await takeAll(stream, 9)).toEqual(['2']);
  expect(log).toEqual(['open 0.ts', 'close 0.ts']);
  expect(await takeAll(stream, 20)).toEqual(['10', '11', '12', '20']);
  expect(stream.ended).toBe(false);
  expect(await takeAll(stream, 99)).toEqual(['21', '22']);
  expect(stream.ended).toBe(true);
});

test('closing closes the file that is open and opens no other', async () => {
  const { stream, log } = streamOf([slice(0), slice(10)]);
  await takeAll(stream, 0);
  await stream.close();
  expect(log).toEqual(['open 0.ts', 'close 0.ts']);
  expect(await takeAll(stream, 99)).toEqual([]);
  await stream.close();
});

test('what follows a file that is not there is known to', async () => {
  const { stream, log } = streamOf([slice(0), slice(10, true), slice(20)]);
  expect(await takeAll(stream, 99)).toEqual(['0', '1', '2', '20 after a gap', '21', '22']);
  expect(log.join()).not.toContain('10.ts');
});

test('a file that tears is told of and read as far as it goes', async () => {
  const { stream, log } = streamOf([slice(0), slice(10)], (s) => (s === 0 ? [0, Number.NaN] : [s]));
  expect(await takeAll(stream, 99)).toEqual(['0', '10 after a gap']);
  expect(log).toContain('0.ts cannot be read on; the rest of it is left out: torn');
});

test('samples far from where their slice lies do not stop the stream', async () => {
  const { stream, log } = streamOf([slice(0), slice(10)], (s) => [s, 95_443, Number.POSITIVE_INFINITY, s + 1]);
  expect(await takeAll(stream, 99)).toEqual(['0', '1 after a gap', '10', '11 after a gap']);
  expect(log.filter((line) => line.includes('not of its time'))).toHaveLength(2);
});
