import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { IdleWatch } from '../tracks/idle-watch.ts';
import { StreamState } from '../tracks/stream-state.ts';
import { PictureClock } from './picture-clock.ts';

describe('PictureClock', () => {
  test('frame n stands at n / fps however many came before', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 60 }), fc.integer({ min: 0, max: 5000 }), (fps, frames) => {
        const clock = new PictureClock(fps, 1234);
        for (let i = 0; i < frames; i++) clock.advance();
        expect(Math.abs(clock.dueUs - 1234 - (frames * 1e6) / fps)).toBeLessThanOrEqual(0.5);
      }),
      { numRuns: 50 },
    );
  });

  test('goes on at any frame', () => {
    const clock = new PictureClock(30, 500_000, 45);
    expect([clock.frame, clock.dueUs]).toEqual([45, 2_000_000]);
    clock.advance();
    expect([clock.frame, clock.dueUs]).toEqual([46, 2_033_333]);
  });
});

describe('IdleWatch', () => {
  test('a channel nobody enters is idle from the start', () => {
    const idle = new IdleWatch(0);
    expect(idle.isExpired(29_999_999, 30_000)).toBe(false);
    expect(idle.isExpired(30_000_000, 30_000)).toBe(true);
  });

  test('counts from the moment the last user left', () => {
    const idle = new IdleWatch(0);
    idle.onPresence(1, 1_000_000);
    expect(idle.isExpired(99_000_000, 5_000)).toBe(false);
    idle.onPresence(0, 100_000_000);
    idle.onPresence(0, 103_000_000);
    expect(idle.emptySinceUs).toBe(100_000_000);
    expect(idle.isExpired(105_000_000, 5_000)).toBe(true);
  });
});

describe('StreamState', () => {
  test('tells a stream once when it begins, once when it falls silent, and again when it comes back', () => {
    const state = new StreamState();
    expect(state.onMedia('1', 'audio', 0)).toEqual({ uid: '1', kind: 'audio', receiving: true });
    expect(state.onMedia('1', 'audio', 1_000_000)).toBeUndefined();
    expect(state.onTime(3_999_999)).toEqual([]);
    expect(state.onTime(4_000_000)).toEqual([{ uid: '1', kind: 'audio', receiving: false }]);
    expect(state.onTime(9_000_000)).toEqual([]);
    expect(state.onMedia('1', 'audio', 10_000_000)).toEqual({ uid: '1', kind: 'audio', receiving: true });
  });

  test('ending a stream is told only if it was arriving', () => {
    const state = new StreamState();
    expect(state.onEnd('1', 'video')).toBeUndefined();
    state.onMedia('1', 'video', 0);
    state.onMedia('2', 'video', 0);
    expect(state.onEnd('1', 'video')).toEqual({ uid: '1', kind: 'video', receiving: false });
    expect(state.endAll()).toEqual([{ uid: '2', kind: 'video', receiving: false }]);
    expect(state.endAll()).toEqual([]);
  });
});
