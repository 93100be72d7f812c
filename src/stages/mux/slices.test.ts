/**
 * What a container refuses, a file that cannot be begun, ended or renamed: each costs itself, is told, and the stream
 * goes on.
 */
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { EncodedSample } from '../../media/sample.ts';
import type { Segment } from '../../media/segment.ts';
import { sliceName } from './names.ts';
import type { SliceContainer } from './slice-container.ts';
import { Slices, type SlicesOptions } from './slices.ts';
import { partPath } from './spool-file.ts';

const ZERO = Date.UTC(2026, 0, 2, 3, 4, 5);
const S = 1_000_000;

let dir: string;
let files: Segment[];
let lost: string[];
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-slices-'));
  files = [];
  lost = [];
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** Writes a sample's bytes as they are, and refuses what it is told to. */
class PlainContainer implements SliceContainer {
  readonly extension = 'ts';
  #path = '';
  #text = '';
  readonly refuses: { begin?: () => boolean; write?: (sample: EncodedSample) => boolean; end?: () => boolean };

  constructor(refuses: PlainContainer['refuses'] = {}) {
    this.refuses = refuses;
  }

  begin(path: string): void {
    if (this.refuses.begin?.()) throw new Error('begin refused');
    this.#path = path;
    this.#text = '';
    this.flush();
  }

  write(sample: EncodedSample): void {
    if (this.refuses.write?.(sample)) throw new Error('write refused');
    this.#text += `${sample.data} `;
  }

  flush(): void {
    writeFileSync(this.#path, this.#text);
  }

  end(): void {
    this.flush();
    if (this.refuses.end?.()) throw new Error('end refused');
  }

  close(): void {}
}

/** A picture each half second, a key frame each 5 s; or sound each half second. */
const samplesOf = (kind: 'video' | 'audio', seconds: number): EncodedSample[] =>
  Array.from({ length: seconds * 2 }, (_, n) => {
    const keyFrame = kind === 'audio' || n % 10 === 0;
    const at = { ptsUs: (n * S) / 2, dtsUs: (n * S) / 2, durationUs: S / 2 };
    return { kind, ...at, keyFrame, data: Buffer.from(`${n / 2}${kind === 'video' && keyFrame ? 'K' : ''}`) };
  });

async function write(
  samples: EncodedSample[],
  refuses: PlainContainer['refuses'],
  over: Partial<SlicesOptions> = {},
): Promise<Segment[]> {
  const kinds = [...new Set(samples.map(({ kind }) => kind))];
  const shape = { width: 4, height: 2, rotate: 0 as const };
  const onFile = (file: Segment) => void files.push(file);
  const onLost = (what: string) => void lost.push(what);
  const common = { dir, baseName: 'x', zeroUtcMs: ZERO, kinds, shape, onFile, onLost };
  const slices = new Slices({ ...common, ...over }, () => new PlainContainer(refuses));
  for (const sample of samples) slices.write(sample);
  await slices.finish();
  return files;
}

const contents = () => files.map(({ name }) => readFileSync(join(dir, name), 'latin1').trim());
const seconds = (fromS: number, toS: number) =>
  Array.from({ length: (toS - fromS) * 2 }, (_, n) => fromS + n / 2).join(' ');

test('a sound that is refused costs itself', async () => {
  await write(samplesOf('audio', 20), { write: ({ ptsUs }) => ptsUs === 7 * S });
  expect(contents()).toEqual([`${seconds(0, 7)} ${seconds(7.5, 15)}`, seconds(15, 20)]);
  expect(lost).toEqual(['write refused']);
  expect(files.map(({ index, discontinuity }) => [index, discontinuity])).toEqual([
    [0, true],
    [1, false],
  ]);
});

test('a picture that is refused costs what refers to it: a new slice begins with the next key frame', async () => {
  await write(samplesOf('video', 12), { write: ({ ptsUs }) => ptsUs === 2 * S });
  expect(contents()).toEqual(['0K 0.5 1 1.5', '5K 5.5 6 6.5 7 7.5 8 8.5 9 9.5 10K 10.5 11 11.5']);
  expect(lost).toEqual(['write refused']);
  expect(files.map(({ index, discontinuity, rotations }) => [index, discontinuity, rotations.length])).toEqual([
    [0, true, 1],
    [1, true, 1],
  ]);
});

test('an empty sample is left out and told', async () => {
  const samples = samplesOf('audio', 4);
  samples[3]!.data = Buffer.alloc(0);
  await write(samples, {});
  expect(contents()).toEqual(['0 0.5 1 2 2.5 3 3.5']);
  expect(lost).toEqual(['a sample of audio is empty']);
});

test.each([
  ['NaN', Number.NaN],
  ['beyond all years', 1e18],
])('a sample whose time is %s costs itself', async (_what, ptsUs) => {
  const samples = samplesOf('audio', 4);
  const odd = { ...samples[0]!, ptsUs, dtsUs: ptsUs, data: Buffer.from('odd') };
  await write([odd, ...samples], { write: (sample) => sample.data.toString() === 'odd' });
  expect(contents()).toEqual([seconds(0, 4)]);
  expect(lost).toHaveLength(1);
});

test('a container that refuses everything is given up for a new one', async () => {
  let made = 0;
  const open = () => {
    const mine = ++made;
    // The first one breaks at 3 s for good.
    return new PlainContainer({ write: ({ ptsUs }) => mine === 1 && ptsUs >= 3 * S });
  };
  const onFile = (file: Segment) => void files.push(file);
  const onLost = (what: string) => void lost.push(what);
  const slices = new Slices({ dir, baseName: 'x', zeroUtcMs: ZERO, kinds: ['audio'], onFile, onLost }, open);
  for (const sample of samplesOf('audio', 12)) slices.write(sample);
  await slices.finish();
  expect(contents()).toEqual([seconds(0, 3), seconds(8.5, 12)]);
  expect(files[1]).toMatchObject({ index: 1, discontinuity: true });
});

test('a file that cannot be begun is tried again a second later', async () => {
  let tries = 0;
  await write(samplesOf('video', 20), { begin: () => ++tries === 1 });
  expect(tries).toBe(2);
  // The key frame was lost with it; there is the next.
  expect(contents()[0]).toMatch(/^5K 5.5/);
  expect(files[0]).toMatchObject({ index: 0, discontinuity: true, starts: [{ kind: 'video' }] });
  expect(lost).toEqual(['begin refused']);
});

test('a file that cannot be ended as it should is kept as it is', async () => {
  let ends = 0;
  await write(samplesOf('audio', 32), { end: () => ++ends === 1 });
  expect(contents()).toEqual([seconds(0, 15), seconds(15, 30), seconds(30, 32)]);
  expect(lost).toEqual(['end refused']);
});

test('a slice that cannot be renamed costs itself; the next says what it would have said', async () => {
  // A folder that is not empty stands in the way of the first.
  mkdirSync(join(dir, sliceName('x', ZERO), 'full'), { recursive: true });
  await write(samplesOf('video', 40), {});
  expect(
    files.map(({ index, startUtcMs, discontinuity }) => [index, (startUtcMs - ZERO) / 1000, discontinuity]),
  ).toEqual([
    [0, 15, true],
    [1, 30, false],
  ]);
  expect(files[0]).toMatchObject({
    starts: [{ kind: 'video', startUtcMs: ZERO + 15_000 }],
    rotations: [{ width: 4, utcMs: ZERO + 15_000 }],
  });
  expect(lost).toEqual([expect.stringContaining(sliceName('x', ZERO))]);
  expect(readdirSync(dir)).toContain(partPath(sliceName('x', ZERO)));
});

test('slices of one millisecond have names of their own', async () => {
  const taken = new Set<number>();
  for (let n = 0; n < 3; n++) await write(samplesOf('audio', 1), {}, { taken });
  expect(files.map(({ name, startUtcMs }) => [name, startUtcMs])).toEqual(
    [0, 1, 2].map((ms) => [sliceName('x', ZERO + ms), ZERO + ms]),
  );
});

test('where nobody takes losses, the first is thrown', async () => {
  const writing = write(samplesOf('audio', 4), { write: () => true }, { onLost: undefined });
  await expect(writing).rejects.toThrow('write refused');
});
