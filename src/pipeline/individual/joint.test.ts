import { expect, test } from 'vitest';
import type { EncodedSample } from '../../media/sample.ts';
import { Joint } from './joint.ts';

const picture = (ms: number, keyFrame = false): EncodedSample => ({
  ...{ kind: 'video', ptsUs: ms * 1000, dtsUs: ms * 1000, durationUs: 33_000, keyFrame, data: Buffer.alloc(1) },
});
const sound = (ms: number): EncodedSample => ({
  ...{ kind: 'audio', ptsUs: ms * 1000, dtsUs: ms * 1000, durationUs: 20_000, keyFrame: true, data: Buffer.alloc(1) },
});
const steps = (from: number, to: number, step: number) =>
  Array.from({ length: Math.ceil((to - from) / step) }, (_, n) => from + n * step);

/** What is given of samples, in milliseconds, with a letter for the kind. */
function given(storedMs: number | undefined, samples: EncodedSample[]): string[] {
  const joint = new Joint(storedMs === undefined ? undefined : storedMs * 1000);
  const all = [...samples.flatMap((sample) => joint.push(sample)), ...joint.flush()];
  return all.map(({ kind, ptsUs }) => `${kind[0]}${Math.round(ptsUs / 1000)}`);
}

test('goes on with the key frame that the stored slices end before, whichever clock was ahead', () => {
  for (const off of [-20, -4, 0, 4, 20]) {
    const pictures = steps(600, 1600, 33).map((ms) => picture(ms, ms === 996));
    expect(given(996 + off, pictures)[0]).toBe('v996');
  }
});

test('after a slice that was ended by force goes on with the next picture, key frame or not', () => {
  const pictures = steps(600, 1600, 33).map((ms) => picture(ms, ms === 600));
  expect(given(998, pictures)[0]).toBe('v996');
  expect(given(980, pictures)[0]).toBe('v996');
});

test('a stream that was interrupted where the stored slices end goes on with what came after', () => {
  const pictures = [
    ...steps(600, 930, 33).map((ms) => picture(ms, true)),
    ...steps(9_000, 9_500, 33).map((ms) => picture(ms, ms === 9_000)),
  ];
  expect(given(930 + 3, pictures)[0]).toBe('v9000');
});

test('sound alone goes on with the block of which most is not stored', () => {
  const blocks = steps(0, 2_000, 20).map(sound);
  for (const off of [-8, 0, 8]) expect(given(1_000 + off, blocks)[0]).toBe('a1000');
  expect(given(undefined, blocks)[0]).toBe('a0');
});

test('sound beside a picture goes on where the picture does', () => {
  const both = [...steps(600, 1600, 33).map((ms) => picture(ms, ms === 996)), ...steps(600, 1600, 20).map(sound)];
  both.sort((a, b) => a.dtsUs - b.dtsUs);
  expect(given(996, both).slice(0, 2)).toEqual(['v996', 'a1000']);
});

test('what two versions of a slice have is given once', () => {
  const blocks = steps(1_000, 2_000, 20).map(sound);
  const longer = steps(1_000, 2_400, 20).map(sound);
  expect(given(1_000, [...blocks, ...longer])).toEqual(longer.map(({ ptsUs }) => `a${ptsUs / 1000}`));
});
