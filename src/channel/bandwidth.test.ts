import { expect, test } from 'vitest';
import { LossBasedEstimate, MAX_BITRATE_BPS, MIN_BITRATE_BPS, START_BITRATE_BPS } from './bandwidth.ts';

test('falls by half the loss, holds between 2 and 10 %, rises by 8 % a second, within its bounds', () => {
  const estimate = new LossBasedEstimate();
  expect(estimate.bitrateBps).toBe(START_BITRATE_BPS);
  estimate.onLoss(0.2);
  expect(estimate.bitrateBps).toBeCloseTo(START_BITRATE_BPS * 0.9);
  estimate.onLoss(0.05);
  expect(estimate.bitrateBps).toBeCloseTo(START_BITRATE_BPS * 0.9);
  estimate.onLoss(0);
  expect(estimate.bitrateBps).toBeCloseTo(START_BITRATE_BPS * 0.9 * 1.08);
  for (let n = 0; n < 100; n++) estimate.onLoss(0);
  expect(estimate.bitrateBps).toBe(MAX_BITRATE_BPS);
  for (let n = 0; n < 100; n++) estimate.onLoss(1);
  expect(estimate.bitrateBps).toBe(MIN_BITRATE_BPS);
});
