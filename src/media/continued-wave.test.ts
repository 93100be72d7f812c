import { expect, test } from 'vitest';
import { clicksIn } from '../../test/support/judge/clicks.ts';
import { madeSound, SOUND_RATE } from '../../test/support/media/made-media.ts';
import { GREEN, RED } from '../../test/support/media/participants.ts';
import { continueWave } from './continued-wave.ts';

const FADE = 240;

test.each([0, 3, 21, 47, 80, 500, 1000])(
  'a tone that ends %i samples after 1.25 s beside another does not click',
  (n) => {
    const end = 1.25 * SOUND_RATE + n;
    const mono = madeSound(GREEN, 0, 2 * SOUND_RATE);
    const ending = madeSound(RED, 0, end);
    const faded = continueWave(ending.subarray(end - FADE), FADE);
    for (let i = 0; i < end; i++) mono[i]! += ending[i]!;
    for (let i = 0; i < FADE; i++) mono[end + i]! += faded[i]!;
    expect(clicksIn({ mono, startS: 0 } as Parameters<typeof clicksIn>[0])).toEqual([]);
  },
);

test('what goes on is no louder than what was', () => {
  const sounds: ((i: number) => number)[] = [
    (i) => Math.sin(i / 3),
    (i) => (i % 7 < 3 ? 1 : -1),
    (i) => ((i * 7919) % 2 ? 1 : -1),
    (i) => Math.sin(i * i),
    (i) => i / FADE,
    () => 1,
  ];
  for (const [n, sound] of sounds.entries()) {
    const faded = continueWave(
      Float32Array.from({ length: FADE }, (_, i) => sound(i)),
      FADE,
    );
    expect(Math.max(...faded.map(Math.abs)), `${n}`).toBeLessThan(1.6);
    expect(Math.abs(faded.at(-1)!)).toBeLessThan(0.01);
  }
});

test('silence, and what is too short to go by, goes on as silence', () => {
  expect(continueWave(new Float32Array(FADE), 5)).toEqual(new Float32Array(5));
  expect(continueWave(new Float32Array(10).fill(1), 5)).toEqual(new Float32Array(5));
  expect(continueWave(new Float32Array(0), 5)).toEqual(new Float32Array(5));
});
