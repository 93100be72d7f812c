/**
 * The judge of clicks: one wave cut by a tenth of a millisecond is found where it is, and made sound as it should be
 * has none.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { writeMadeFile } from '../media/made-file.ts';
import { madeSound, SOUND_RATE } from '../media/made-media.ts';
import { GREEN, RED } from '../media/participants.ts';
import { clicksIn } from './clicks.ts';
import { listen } from './sound.ts';

const dir = mkdtempSync(join(tmpdir(), 'aircheck-clicks-'));
afterAll(() => rmSync(dir, { recursive: true }));

/** Two participants; the first one's wave is cut at 2.4 s, where `samples` of it are left out. */
function clicksOf(samples: number): number[] {
  const path = join(dir, `${samples}.mp4`);
  const shape = { width: 320, height: 180, fps: 30, seconds: 4, participants: [RED, GREEN] };
  writeMadeFile({
    ...shape,
    path,
    eachSound: (mono, atS) => {
      if (atS < 2.4) return;
      const start = Math.round(atS * SOUND_RATE);
      const whole = madeSound(RED, start, mono.length);
      const cut = madeSound(RED, start + samples, mono.length);
      mono.forEach((sample, i) => {
        mono[i] = sample - (whole[i] as number) + (cut[i] as number);
      });
    },
  });
  return clicksIn(listen(path));
}

test('sound as it should be has no clicks, for all its beeps', () => {
  expect(clicksOf(0)).toEqual([]);
});

test.each([5, 24, 144])('a wave cut by %i samples clicks once', (samples) => {
  const clicks = clicksOf(samples);
  expect(clicks).toHaveLength(1);
  expect(clicks[0]).toBeCloseTo(2.41, 1);
});
