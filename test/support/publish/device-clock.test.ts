import { expect, test } from 'vitest';
import { DeviceClock } from './device-clock.ts';

const ZERO_US = 1_800_000_000_123_456;

test('a clock without skew shows wall time', () => {
  const clock = new DeviceClock(0, ZERO_US);
  expect(clock.deviceUs(ZERO_US + 5_000_000)).toBe(ZERO_US + 5_000_000);
  expect(clock.wallUs(ZERO_US - 5_000_000)).toBe(ZERO_US - 5_000_000);
  expect(clock.trueSample(48_000 * 7 + 11, 48_000)).toBeCloseTo(11, 6);
});

test('a clock that is 500 ppm fast gains 150 ms in five minutes, and back', () => {
  const clock = new DeviceClock(500, ZERO_US);
  const laterUs = ZERO_US + 300_000_000;
  expect(clock.deviceUs(laterUs) - laterUs).toBeCloseTo(150_000, 0);
  expect(clock.wallUs(clock.deviceUs(laterUs))).toBeCloseTo(laterUs, 0);
  expect(clock.trueSeconds).toBeCloseTo(1 / 1.0005, 12);
});

test('samples of a skewed clock follow on from each other to a thousandth of a sample', () => {
  const clock = new DeviceClock(-500, ZERO_US);
  const first = Math.round((ZERO_US * 48_000) / 1e6) + 14_000_000;
  for (let n = first; n < first + 100_000; n += 960) {
    const step = (clock.trueSample(n + 960, 48_000) - clock.trueSample(n, 48_000) + 48_000) % 48_000;
    expect(step).toBeCloseTo(960 / 0.9995, 3);
  }
});
