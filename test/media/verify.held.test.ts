/**
 * The verifier judged on made files: right ones pass, and what is wrong in others is found where it is.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { type MadeFile, writeMadeFile } from '../support/media/made-file.ts';
import { madeSound, SOUND_RATE, splitPlanes } from '../support/media/made-media.ts';
import { GREEN, RED } from '../support/media/participants.ts';
import { CANVAS, type Course, type Role } from './plan.ts';
import { verify } from './verify.ts';

const dir = mkdtempSync(join(tmpdir(), 'aircheck-verify-'));
afterAll(() => rmSync(dir, { recursive: true }));

const SECONDS = 8;
/** The file begins 100 ms after the start call, 0.4 s into a second. */
const ZERO_WALL_S = 50_000.3;
/** Made files draw each participant in the size of its place. */
const picture = { width: CANVAS.width / 2, height: CANVAS.height };
const roles: Role[] = [
  { uid: '1', participant: RED, codec: 'h264', picture },
  { uid: '2', participant: GREEN, codec: 'vp8', picture },
];
const course = (changes: Partial<Course> = {}): Course => ({
  plan: { seconds: SECONDS, seed: 1, roles },
  zeroWallS: ZERO_WALL_S,
  steps: [],
  ...changes,
});

let serial = 0;
function make(fault: Partial<MadeFile> = {}): string {
  const path = join(dir, `${serial++}.mp4`);
  const participants = roles.map((role) => role.participant);
  writeMadeFile({ ...CANVAS, path, participants, seconds: SECONDS, contentStartUs: 50_000_400_000, ...fault });
  return path;
}

/** Fills the left half of the picture, where the first participant stands. */
function paint(i420: Buffer, y: number, u: number, v: number): void {
  const { width, height } = CANVAS;
  const planes = splitPlanes(i420, width, height);
  for (let row = 0; row < height; row++) planes.y.fill(y, row * width, row * width + width / 2);
  for (let row = 0; row < height / 2; row++) {
    planes.u.fill(u, (row * width) / 2, (row * width) / 2 + width / 4);
    planes.v.fill(v, (row * width) / 2, (row * width) / 2 + width / 4);
  }
}

test('a file that is right has every mark, in step, and the full score', () => {
  const verdict = verify(make(), course());
  expect(verdict.flashes).toEqual({ required: 16, there: 16, forbidden: 0, missing: [] });
  expect(verdict.beeps).toEqual({ required: 16, there: 16, forbidden: 0, missing: [] });
  expect(verdict.score).toBe(100);
  expect(verdict).toMatchObject({ wrongAtS: [], clicksAtS: [], damaged: 0, frozenS: 0, uprightShare: 1 });
  expect(Math.abs(verdict.driftMs)).toBeLessThan(8);
  expect(verdict.measured.stableS).toBeCloseTo(0.6, 1);
});

test('sound that is late costs points', () => {
  const verdict = verify(make({ soundLateMs: 120 }), course());
  expect(verdict.measured.offsetsMs.every((ms) => Math.abs(ms - 120) < 3)).toBe(true);
  expect(verdict.score).toBeLessThan(60);
});

test('a second without sound is missed where it is', () => {
  const verdict = verify(
    make({
      eachSound: (samples, atS) => {
        if (atS > 3.2 && atS < 4) samples.fill(0);
      },
    }),
    course(),
  );
  expect(verdict.beeps).toMatchObject({ required: 16, there: 14 });
  expect(verdict.beeps.missing.map((s) => s.toFixed(1))).toEqual(['3.6', '3.6']);
  expect(verdict.flashes.there).toBe(16);
});

test('a grey and a black frame are counted', () => {
  const verdict = verify(
    make({
      eachCanvas: ({ i420, atS }) => {
        if (Math.abs(atS - 4.2) < 0.01) paint(i420, 126, 128, 128);
        if (Math.abs(atS - 5.2) < 0.01) paint(i420, 16, 128, 128);
        return undefined;
      },
    }),
    course(),
  );
  expect(verdict.wrongAtS.map((s) => s.toFixed(1))).toEqual(['4.2', '5.2']);
});

test('a picture that stands still is frozen, unless nothing got through', () => {
  let held: Buffer | undefined;
  const path = make({
    eachCanvas: ({ i420, atS }) => {
      if (atS >= 3 && atS < 4.5) {
        held ??= Buffer.from(i420);
        held.copy(i420);
      }
      return undefined;
    },
  });
  const frozen = verify(path, course());
  expect(frozen.frozenS).toBeGreaterThan(1.4);
  expect(frozen.frozenS).toBeLessThan(1.6);
  expect(frozen.flashes.missing.map((s) => s.toFixed(1))).toEqual(['3.6', '3.6']);
  const dark = { toServer: { blackouts: [{ fromS: 2.9, toS: 4.2 }] } };
  const inBlackout = verify(path, course({ plan: { ...course().plan, roles: roles.map((r) => ({ ...r, ...dark })) } }));
  expect(inBlackout.frozenS).toBeGreaterThan(0.25);
  expect(inBlackout.frozenS).toBeLessThan(0.5);
  expect(inBlackout.flashes.missing).toEqual([]);
});

test('a picture that is held for most of the time does not shift the times of all marks', () => {
  let held: Buffer | undefined;
  const path = make({
    eachCanvas: ({ i420, atS }) => {
      if (atS < 2) return undefined;
      held ??= Buffer.from(i420);
      held.copy(i420);
      return undefined;
    },
  });
  const dark = { toServer: { blackouts: [{ fromS: 2, toS: 60 }] } };
  const verdict = verify(path, course({ plan: { ...course().plan, roles: roles.map((r) => ({ ...r, ...dark })) } }));
  // The file's seconds 0.6 lie before what is open at the blackout's beginning.
  expect(verdict.flashes).toMatchObject({ required: 2, there: 2, forbidden: 0 });
  expect(verdict.beeps).toMatchObject({ required: 2, there: 2 });
});

test('marks of someone who is muted are not to be there', () => {
  const steps = [
    { fromS: 1.5, toS: 1.5, uid: '1', does: 'muteAudio' as const },
    { fromS: 6, toS: 6, uid: '1', does: 'unmuteAudio' as const },
  ];
  const verdict = verify(make(), course({ steps }));
  // The file's seconds 2.6, 3.6 and 4.6 are 1 s or more from both changes.
  expect(verdict.roles[0]?.beeps.forbidden).toBe(3);
  expect(verdict.roles[0]?.flashes.forbidden).toBe(0);
  expect(verdict.roles[1]?.beeps.forbidden).toBe(0);
});

test('a beep whose beginning was lost costs points, unless its own sender had its microphone off', () => {
  const path = make({
    eachSound: (samples, atS) => {
      if (atS > 3.2 && atS < 3.64) samples.fill(0);
    },
  });
  expect(verify(path, course()).score).toBeLessThan(97);
  const muted = (uid: string) => [
    { fromS: 3.3, toS: 3.3, uid, does: 'muteAudio' as const },
    { fromS: 3.76, toS: 3.76, uid, does: 'unmuteAudio' as const },
  ];
  expect(verify(path, course({ steps: roles.flatMap(({ uid }) => muted(uid)) })).score).toBe(100);
  // Of the other, nobody switched anything.
  expect(verify(path, course({ steps: muted('1') })).score).toBeLessThan(97);
});

test('sound that runs away from the picture drifts, and a wave that is cut clicks', () => {
  const verdict = verify(
    make({
      eachSound: (samples, atS) => {
        if (atS < 4.2) return;
        // From here on all comes 60 ms late.
        const start = Math.round((50_000.4 + atS - 0.06) * SOUND_RATE);
        samples.fill(0);
        for (const { participant } of roles)
          madeSound(participant, start, samples.length).forEach((sample, i) => {
            samples[i] = (samples[i] as number) + sample;
          });
      },
    }),
    course(),
  );
  expect(Math.abs(verdict.driftMs - 60)).toBeLessThan(8);
  expect(verdict.clicksAtS).toHaveLength(1);
  expect(verdict.clicksAtS[0]).toBeCloseTo(4.2, 1);
});

test('a picture of another size than the one that was sent does not stand as it was taken', () => {
  const turned: Role[] = [{ ...(roles[0] as Role), picture: { width: 240, height: 320 } }, roles[1] as Role];
  const verdict = verify(make(), course({ plan: { ...course().plan, roles: turned } }));
  expect(verdict.roles[0]?.uprightShare).toBeLessThan(0.5);
  expect(verdict.roles[1]?.uprightShare).toBe(1);
});

test('a disabled camera has to be black, without flashes, and only while it is disabled', () => {
  const steps: Course['steps'] = [
    { fromS: 1.5, toS: 1.5, uid: '1', does: 'show', scene: { ...picture, black: true } },
    { fromS: 6, toS: 6, uid: '1', does: 'show', scene: picture },
  ];
  const whole = verify(make(), course({ steps }));
  expect(whole.roles[0]?.flashes.forbidden).toBe(3);
  // From 1 s after the first to 1 s before the second, but for the half second at either end that is not settled.
  expect(whole.roles[0]?.wrongAtS.length).toBeGreaterThan(60);
  const black = make({
    eachCanvas: ({ i420, atS }) => {
      if (atS > 1.4 && atS < 5.9) paint(i420, 16, 128, 128);
      return undefined;
    },
  });
  expect(verify(black, course({ steps }))).toMatchObject({ wrongAtS: [], flashes: { forbidden: 0 } });
});

test('someone who was lost is not to be seen or heard until the return', () => {
  const steps: Course['steps'] = [
    { fromS: 2, toS: 2, uid: '2', does: 'lose' },
    { fromS: 6, toS: 6, uid: '2', does: 'rejoin' },
  ];
  const verdict = verify(make(), course({ steps }));
  // The second one stands where it stood and goes on beeping, where the first one must have all of the picture.
  expect(verdict.roles[1]?.beeps.forbidden).toBe(2);
  expect(verdict.roles[1]?.measured.stableS).toBeCloseTo(0.7, 1);
});
