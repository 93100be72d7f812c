import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Upsampler } from './upsampler.ts';

const tone = (hz: number, rate: number, samples: number) =>
  Float32Array.from({ length: samples }, (_, n) => 0.5 * Math.sin((2 * Math.PI * hz * n) / rate));

test.each([200, 1000, 2500, 3300])('a tone of %i Hz is the same tone at the higher rate, at its place', (hz) => {
  const upsampler = new Upsampler(6);
  const heard = upsampler.push(tone(hz, 8000, 1600)).subarray(upsampler.delaySamples);
  const wanted = tone(hz, 48_000, heard.length);
  // The first samples are made with the silence before them.
  const errors = heard.map((sample, n) => (n < 200 ? 0 : Math.abs(sample - wanted[n]!)));
  expect(Math.max(...errors)).toBeLessThan(0.02);
});

test('a constant stays what it is', () => {
  const upsampler = new Upsampler(6);
  const heard = upsampler.push(new Float32Array(100).fill(0.25));
  expect(Math.max(...heard.subarray(200).map((sample) => Math.abs(sample - 0.25)))).toBeLessThan(1e-6);
});

test('it does not matter how the samples are cut', () => {
  const input = tone(700, 8000, 300);
  const whole = new Upsampler(6).push(input);
  fc.assert(
    fc.property(fc.array(fc.nat(300), { maxLength: 6 }), (cuts) => {
      const upsampler = new Upsampler(6);
      const ends = [0, ...cuts.sort((a, b) => a - b), input.length];
      const parts = ends.slice(1).flatMap((end, n) => [...upsampler.push(input.subarray(ends[n], end))]);
      expect(parts).toEqual([...whole]);
    }),
  );
});

test('after a reset nothing of the past is heard', () => {
  const upsampler = new Upsampler(6);
  upsampler.push(new Float32Array(100).fill(1));
  upsampler.reset();
  expect(upsampler.push(new Float32Array(50)).every((sample) => sample === 0)).toBe(true);
});
