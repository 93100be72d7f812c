/**
 * What must be seen and heard, worked out from small plans.
 */
import { describe, expect, test } from 'vitest';
import { BLUE, GREEN, RED } from '../support/media/participants.ts';
import type { Scene } from '../support/publish/scene.ts';
import {
  beginningsOf,
  type Course,
  expectationAt,
  isOn,
  presentAt,
  type Role,
  SOURCE,
  type Step,
  sceneAt,
  stretchesOf,
} from './plan.ts';

const red: Role = { uid: '1', participant: RED, codec: 'h264' };
const green: Role = { uid: '2', participant: GREEN, codec: 'vp8' };
const course = (steps: Step[], roles: Role[] = [red, green]): Course => ({
  plan: { seconds: 20, seed: 1, roles },
  zeroWallS: 1000,
  steps,
});
const step = (uid: string, does: Exclude<Step['does'], 'show' | 'stepClock'>, fromS: number, toS = fromS): Step => ({
  uid,
  does,
  fromS,
  toS,
});
const everySecond = (of: Course, role: Role, kind: 'audio' | 'video') =>
  Array.from({ length: 12 }, (_, s) => expectationAt(of, role, kind, s)[0]).join('');

describe('expectations', () => {
  test('of undisturbed participants are all required', () => {
    expect(everySecond(course([]), red, 'audio')).toBe('rrrrrrrrrrrr');
  });

  test('of someone muted are forbidden, of that kind only, and open near the change', () => {
    const muted = course([step('1', 'muteAudio', 3.5), step('1', 'unmuteAudio', 8.5)]);
    expect(everySecond(muted, red, 'audio')).toBe('rrroofffoorr');
    expect(everySecond(muted, red, 'video')).toBe('rrrrrrrrrrrr');
    expect(everySecond(muted, green, 'audio')).toBe('rrrrrrrrrrrr');
    expect(isOn(muted, red, 'audio', 5)).toBe(false);
    expect(isOn(muted, red, 'audio', 9)).toBe(true);
  });

  test('of a clock that stepped are open for 3 s, of what it counts; of what tells the time, both', () => {
    const stepped = (clock: 'camera' | 'microphone' | 'wall') =>
      course([{ uid: '1', does: 'stepClock', clock, byS: 1.5, fromS: 3.5, toS: 3.5 }]);
    expect(everySecond(stepped('microphone'), red, 'audio')).toBe('rrroooorrrrr');
    expect(everySecond(stepped('microphone'), red, 'video')).toBe('rrrrrrrrrrrr');
    expect(everySecond(stepped('camera'), red, 'video')).toBe('rrroooorrrrr');
    expect(everySecond(stepped('camera'), red, 'audio')).toBe('rrrrrrrrrrrr');
    expect(everySecond(stepped('wall'), red, 'audio')).toBe('rrroooorrrrr');
    expect(everySecond(stepped('wall'), red, 'video')).toBe('rrroooorrrrr');
    expect(everySecond(stepped('wall'), green, 'audio')).toBe('rrrrrrrrrrrr');
  });

  test('of a simulcast whose larger layer is padding are all required: the smaller one goes on', () => {
    const padded = course([step('1', 'padUpperLayer', 3.5), step('1', 'fillUpperLayer', 8.5)]);
    expect(everySecond(padded, red, 'video')).toBe('rrrrrrrrrrrr');
    expect(everySecond(padded, red, 'audio')).toBe('rrrrrrrrrrrr');
  });

  test('of someone who left are forbidden; the others are heard on, and seen but for the change', () => {
    const left = course([step('2', 'leave', 3.2, 3.4), step('2', 'rejoin', 7.1, 7.9)]);
    expect(everySecond(left, green, 'audio')).toBe('rrrooffoorrr');
    expect(everySecond(left, red, 'audio')).toBe('rrrrrrrrrrrr');
    expect(everySecond(left, red, 'video')).toBe('rrroorroorrr');
  });

  test('in a blackout are forbidden, but for its first second and what can still be asked for again', () => {
    const dark = { ...red, toServer: { blackouts: [{ fromS: 3, toS: 8 }] } };
    expect(everySecond(course([], [dark]), dark, 'video')).toBe('rrrofffoorrr');
  });
});

describe('places', () => {
  test('whoever comes back stands behind those who stayed', () => {
    const left = course([step('1', 'leave', 3, 3.2), step('1', 'rejoin', 7, 7.6)]);
    expect(presentAt(left, 1).map((r) => r.uid)).toEqual(['1', '2']);
    expect(presentAt(left, 5).map((r) => r.uid)).toEqual(['2']);
    expect(presentAt(left, 9).map((r) => r.uid)).toEqual(['2', '1']);
    expect(stretchesOf(left).map((s) => [s.fromS, s.toS, s.present.length])).toEqual([
      [Number.NEGATIVE_INFINITY, 3, 2],
      [3.2, 7, 1],
      [7.6, Number.POSITIVE_INFINITY, 2],
    ]);
    expect(beginningsOf(left, red)).toEqual([0, 7.6]);
    expect(beginningsOf(left, green)).toEqual([0]);
  });
});

describe('more than coming and going', () => {
  const latecomer: Role = { uid: '3', participant: BLUE, codec: 'vp8', absent: true };
  const uidsAt = (of: Course, atS: number) => presentAt(of, atS).map((role) => role.uid);

  test('who is absent comes by joining; who is lost goes', () => {
    const of = course([step('3', 'join', 4), step('1', 'lose', 8)], [red, green, latecomer]);
    expect(uidsAt(of, 3)).toEqual(['1', '2']);
    expect(uidsAt(of, 5)).toEqual(['1', '2', '3']);
    expect(uidsAt(of, 9)).toEqual(['2', '3']);
    expect(beginningsOf(of, latecomer)).toEqual([4]);
    expect(expectationAt(of, latecomer, 'audio', 2)).toBe('forbidden');
    expect(expectationAt(of, red, 'audio', 11)).toBe('forbidden');
  });

  test('the eighteenth is heard and has no place', () => {
    const roles = Array.from({ length: 18 }, (_, i): Role => ({ ...red, uid: String(i) }));
    const of = course([], roles);
    expect(expectationAt(of, roles[16] as Role, 'video', 5)).toBe('required');
    expect(expectationAt(of, roles[17] as Role, 'video', 5)).toBe('optional');
    expect(expectationAt(of, roles[17] as Role, 'audio', 5)).toBe('required');
  });

  test('another size leaves every mark required; black forbids flashes, and only those', () => {
    const size = { width: 640, height: 360 };
    const shown = (fromS: number, scene: Scene): Step => ({ uid: '1', fromS, toS: fromS, does: 'show', scene });
    const of = course([shown(2, size), shown(4.5, { ...size, black: true }), shown(8.5, size)]);
    expect(everySecond(of, red, 'video')).toBe('rrrrooffoorr');
    expect(everySecond(of, red, 'audio')).toBe('rrrrrrrrrrrr');
    expect(sceneAt(of, red, 1)).toMatchObject(SOURCE);
    expect(sceneAt(of, red, 3)).toEqual(size);
    expect(isOn(of, red, 'video', 6)).toBe(false);
  });

  test('who is replaced or starts over is open near that and never gone', () => {
    for (const does of ['replace', 'restart'] as const) {
      const of = course([step('1', does, 4.5)]);
      expect(everySecond(of, red, 'video')).toBe('rrrroorrrrrr');
      expect(uidsAt(of, 4.5)).toEqual(['1', '2']);
      expect(beginningsOf(of, red)).toEqual([0, 4.5]);
    }
  });
});
