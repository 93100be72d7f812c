import { expect, test } from 'vitest';
import type { Sound } from '../../../media/frame.ts';
import { SoundLoss, soundProcess } from './sound-loss.ts';

const S = 1_000_000;
const block = (sample: number): Sound => ({ channels: [new Float32Array([0, sample])], samples: 2 });

/** A page, looked at every 5 s: what it is heard to play, and which process plays it, by second. */
function lostAt(heard: (s: number) => boolean, service: (s: number) => number | undefined): number | undefined {
  let nowS = 0;
  const loss = new SoundLoss(() => service(nowS));
  for (; nowS < 120; nowS++) {
    loss.hear(block(heard(nowS) ? 0.1 : 0), nowS * S);
    if (nowS > 0 && nowS % 5 === 0 && loss.isLost(nowS * S)) return nowS;
  }
  return undefined;
}

test.each([
  ['plays on', () => true, () => 7, undefined],
  ['never played', () => false, () => undefined, undefined],
  ['falls silent by itself', (s: number) => s < 20, () => 7, undefined],
  [
    'falls silent, and its process ends a minute later',
    (s: number) => s < 20,
    (s: number) => (s < 80 ? 7 : undefined),
    undefined,
  ],
  ['loses the process it plays with', (s: number) => s < 33, (s: number) => (s < 33 ? 7 : undefined), 40],
  ['loses it, and another one plays nothing', (s: number) => s < 33, (s: number) => (s < 33 ? 7 : 8), 40],
  ['loses it, and another one goes on', (s: number) => s < 33 || s > 36, (s: number) => (s < 33 ? 7 : 8), undefined],
  ['loses it before it was looked at', (s: number) => s < 3, (s: number) => (s < 3 ? 7 : undefined), 10],
  ['loses it at the moment it is looked at', (s: number) => s < 36, (s: number) => (s < 35 ? 7 : undefined), 40],
])('a page that %s', (_, heard, service, seconds) => {
  expect(lostAt(heard, service)).toBe(seconds);
});

test('a page that was loaded again is heard anew', () => {
  let service: number | undefined = 7;
  const loss = new SoundLoss(() => service);
  loss.hear(block(1), 0);
  loss.isLost(0);
  service = undefined;
  expect([5, 10].map((s) => loss.isLost(s * S))).toEqual([true, true]);
  loss.reset();
  expect(loss.isLost(15 * S)).toBe(false);
});

test('a browser that does not run plays nothing', () => {
  expect(soundProcess('/nowhere/profile', 1)).toBeUndefined();
});
