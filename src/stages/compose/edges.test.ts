import { expect, test } from 'vitest';
import { withFades } from './edges.ts';

const FAR = Number.POSITIVE_INFINITY;
const sound = (samples = 1024) => ({
  channels: [new Float32Array(samples).fill(1), new Float32Array(samples).fill(-1)],
  samples,
});

test('sound that is cut begins and ends at nothing, without a step', () => {
  const { channels } = withFades(sound(), { sinceEdge: 0, untilEdge: 0 });
  for (const samples of channels) {
    const steps = [...samples].map((value, i) => Math.abs(value - (i === 0 ? 0 : samples[i - 1]!)));
    expect(Math.max(...steps, Math.abs(samples[1023]!))).toBeLessThan(0.01);
    expect(Math.abs(samples[512]!)).toBe(1);
  }
});

test('what is far from an edge is left as it is, and what was given stays so', () => {
  const given = sound();
  expect(withFades(given, { sinceEdge: FAR, untilEdge: FAR })).toBe(given);
  expect(withFades(given, { sinceEdge: 240, untilEdge: 5000 })).toBe(given);
  const { channels } = withFades(given, { sinceEdge: FAR, untilEdge: 0 });
  expect([channels[0]![0], channels[0]![1023]! < 0.01, given.channels[0]![1023]]).toEqual([1, true, 1]);
});

test('a fade goes on from one piece of sound into the next', () => {
  const whole = withFades(sound(200), { sinceEdge: 0, untilEdge: FAR }).channels[0]!;
  const pieces = [0, 70, 130].map((at, n) => {
    const samples = [70, 60, 70][n]!;
    return [...withFades(sound(samples), { sinceEdge: at, untilEdge: FAR }).channels[0]!];
  });
  expect(pieces.flat()).toEqual([...whole]);
});
