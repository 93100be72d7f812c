/**
 * The skew comes out right through jitter, changed routes and pauses, and is not guessed at too early.
 */
import { expect, test } from 'vitest';
import { ClockSkew } from './clock-skew.ts';

const S = 1_000_000;

/** Repeatable noise in 0..1. */
function noise(seed: number): () => number {
  let state = seed;
  return () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 32;
  };
}

/** A packet every 20 ms of a sender that counts `ppm` fast. */
function watch(ppm: number, seconds: number, delayUs: (atUs: number) => number): ClockSkew {
  const skew = new ClockSkew();
  for (let us = 0; us < seconds * S; us += 20_000) {
    const arrivalUs = us + delayUs(us);
    skew.push(arrivalUs - us * (1 + ppm / 1e6), arrivalUs);
  }
  return skew;
}

test.each([500, -500, 80, 0])('a sender off by %i ppm, with 40 ms of jitter', (ppm) => {
  const random = noise(7);
  const skew = watch(ppm, 60, () => 30_000 + random() * 40_000).ppm;
  expect(Math.abs(skew! - ppm)).toBeLessThan(40);
});

test('is exact in the long run, in bounded memory', () => {
  const random = noise(3);
  const skew = watch(-123, 3600, () => random() * 60_000);
  expect(Math.abs(skew.ppm! + 123)).toBeLessThan(1);
  expect(skew.observedUs).toBeGreaterThan(3500 * S);
});

test('a route that takes longer for a while does not count', () => {
  const skew = watch(200, 300, (atUs) => (atUs > 200 * S && atUs < 240 * S ? 90_000 : 20_000)).ppm;
  expect(Math.abs(skew! - 200)).toBeLessThan(20);
});

test('says nothing before there is enough to tell, nor after a jump', () => {
  expect(watch(500, 14, () => 0).ppm).toBeUndefined();
  const skew = watch(500, 30, () => 0);
  expect(skew.ppm).toBeCloseTo(500, 0);
  skew.clear();
  expect(skew.ppm).toBeUndefined();
  expect(skew.observedUs).toBe(0);
});
