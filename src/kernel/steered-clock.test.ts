import { expect, test } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { SteeredClock } from './steered-clock.ts';

const WRONG_MS = 300_000;

test('before it was told anything it tells its own time', () => {
  const own = new ManualClock();
  const clock = new SteeredClock(own);
  own.advance(1_500);
  expect(clock.nowMs()).toBe(own.nowMs());
});

test.each([WRONG_MS, -WRONG_MS])('it tells the other clock’s time, from which its own is %i ms off', (offMs) => {
  const own = new ManualClock();
  const clock = new SteeredClock(own);
  const trueMs = () => own.nowMs() + offMs;
  const askedUs = own.monoUs();
  own.advance(10);
  const toldMs = trueMs();
  own.advance(10);
  clock.steer(toldMs, askedUs, own.monoUs());
  expect(Math.abs(clock.nowMs() - trueMs())).toBeLessThanOrEqual(20);
  own.advance(60_000);
  expect(Math.abs(clock.nowMs() - trueMs())).toBeLessThanOrEqual(20);
});

test('an answer that was long on its way does not unsettle it', () => {
  const own = new ManualClock();
  const clock = new SteeredClock(own);
  clock.steer(own.nowMs() + WRONG_MS, own.monoUs(), own.monoUs());
  const before = clock.nowMs() - own.nowMs();
  const askedUs = own.monoUs();
  const toldMs = own.nowMs() + WRONG_MS;
  own.advance(1_900);
  clock.steer(toldMs, askedUs, own.monoUs());
  expect(clock.nowMs() - own.nowMs()).toBe(before);
});

test('its time is whole milliseconds, as rows of a database hold them', () => {
  const own = new ManualClock();
  const clock = new SteeredClock(own);
  clock.steer(own.nowMs() + 0.4, own.monoUs(), own.monoUs());
  expect(Number.isInteger(clock.nowMs())).toBe(true);
});
