/**
 * How loud each channel of AAC is, by what is coded: as loud as it was, at every bit rate that is used, whatever the
 * other channel holds.
 */
import { afterEach, describe, expect, test } from 'vitest';
import { AudioDecoder } from './audio-decoder.ts';
import { AAC_BLOCK, AudioEncoder } from './audio-encoder.ts';
import { liveFrames } from './native-frames.ts';

afterEach(() => {
  expect(liveFrames()).toBe(0);
});

const BLOCKS = 60;
/** Blocks in which coder and filters settle. */
const SETTLE = 8;

type Source = (sample: number) => number;

const tone =
  (hz: number): Source =>
  (sample) =>
    0.3 * Math.sin((2 * Math.PI * hz * sample) / 48_000);

/** Noise as wide as speech: above some kHz no coder of few bits keeps it. */
function noise(seed: number): Source {
  let state = seed;
  const low = [0, 0, 0];
  return () => {
    state = (state * 1_664_525 + 1_013_904_223) >>> 0;
    let value = state / 2 ** 31 - 1;
    for (const [n, before] of low.entries()) {
      value = before + 0.35 * (value - before);
      low[n] = value;
    }
    return value;
  };
}

/** Each channel's level after AAC, of its level before; of one that was silent, its level. */
function levelsOf(kbps: number, sources: Source[]): number[] {
  const channels = sources.length as 1 | 2;
  const encoder = new AudioEncoder({ channels, bitrateKbps: kbps });
  const decoder = new AudioDecoder({ codec: 'aac', channels });
  const before = sources.map(() => 0);
  const after = sources.map(() => 0);
  const add = (sums: number[], channel: number, samples: Float32Array) => {
    for (const sample of samples) sums[channel]! += sample ** 2;
  };
  for (let n = 0; n < BLOCKS; n++) {
    const sound = sources.map((source) =>
      Float32Array.from({ length: AAC_BLOCK }, (_, i) => source(n * AAC_BLOCK + i)),
    );
    if (n >= SETTLE) for (const [channel, samples] of sound.entries()) add(before, channel, samples);
    for (const unit of encoder.encode({ channels: sound, samples: AAC_BLOCK }, n * AAC_BLOCK))
      for (const { sound: heard, ptsUs } of decoder.decode(unit))
        if (ptsUs >= (SETTLE * AAC_BLOCK * 1e6) / 48_000)
          for (const [channel, samples] of heard.channels.entries()) add(after, channel, samples);
  }
  encoder.close();
  decoder.close();
  return after.map((sum, channel) => Math.sqrt(before[channel] ? sum / before[channel] : sum));
}

describe.each([
  // So few bits leave a lone tone 1.3 dB too loud.
  ['audioProfile 0, and mono of one user', 48, 1, 0.18],
  ['audioProfile 1', 128, 1, 0.08],
  ['audioProfile 2', 192, 2, 0.08],
  ['stereo of one user', 128, 2, 0.08],
] as const)('%s', (_, kbps, channels, tolerance) => {
  const noiseOf = (level: number, seed: number): Source => {
    const source = noise(seed);
    return (sample) => level * source(sample);
  };
  test.each<[string, () => Source[]]>([
    ['tones', () => [tone(440), tone(660)]],
    ['high tones', () => [tone(5000), tone(7000)]],
    ['a loud tone beside a soft one', () => [tone(440), (sample) => 0.1 * tone(660)(sample)]],
    ['noise of its own on each side, one soft', () => [noiseOf(0.6, 1), noiseOf(0.1, 2)]],
    ['the same noise on both sides, one soft', () => [noiseOf(0.5, 3), noiseOf(0.15, 3)]],
    ['a tone beside noise', () => [tone(1000), noiseOf(0.4, 4)]],
    ['a tone beside soft noise', () => [tone(1000), noiseOf(0.05, 5)]],
  ])('keeps the level of %s', (_what, sources) => {
    for (const level of levelsOf(kbps, sources().slice(0, channels)))
      expect(Math.abs(level - 1)).toBeLessThan(tolerance);
  });

  test.runIf(channels === 2)('keeps one side silent', () => {
    const [left, right] = levelsOf(kbps, [tone(440), () => 0]);
    expect(left).toBeCloseTo(1, 1);
    expect(right).toBeLessThan(0.01);
  });
});
