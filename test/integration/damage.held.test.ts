/**
 * Pictures that were damaged on their way or by their sender, and pictures that lie on their side: every frame of the
 * file is compared with the picture that was made for its content time.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { liveFrames } from '../../src/stages/codec/native-frames.ts';
import { frozenIn, presenceIn, type Span } from '../support/judge/picture.ts';
import { probeFile } from '../support/judge/probe.ts';
import { readMedia, type ShownPicture } from '../support/judge/read-media.ts';
import { watch } from '../support/judge/watch.ts';
import { MadePicture } from '../support/media/made-media.ts';
import { RED } from '../support/media/participants.ts';
import { STAMP_UNIT_US } from '../support/media/stamp.ts';
import type { ScriptedUser } from '../support/scripted-feed.ts';
import { type Made, planOf, record } from '../support/scripted-recording.ts';

/** The size that scripted users send: recorded as it is, a frame can be compared with what was made. */
const SIZE = { width: 320, height: 180 };
const WHOLE = { x: 0, y: 0, width: 1, height: 1 };
const FPS = 30;
const PLAN = planOf({
  video: { ...planOf().video!, ...SIZE, bitrateKbps: 1500 },
  files: { hls: false, mp4: true },
});
const STOP_S = 9;

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-damage-'));
});
afterEach(() => {
  rmSync(dir, { recursive: true, force: true });
  expect(liveFrames()).toBe(0);
});

const BLOCK = 16;
/** How far a block's mean luma may be off after two encoders. A bar that stayed behind is off by 70. */
const BLOCK_TOLERANCE = 24;

/** The largest difference of a block's mean luma between what is shown and what was made. */
function worstBlock(shown: ShownPicture, made: MadePicture): number {
  let worst = 0;
  for (let top = 0; top + BLOCK <= SIZE.height; top += BLOCK)
    for (let left = 0; left + BLOCK <= SIZE.width; left += BLOCK) {
      let sum = 0;
      for (let y = top; y < top + BLOCK; y++)
        for (let x = left; x < left + BLOCK; x++)
          sum += shown.planes[0]![y * shown.strides[0]! + x]! - made.planes.y[y * SIZE.width + x]!;
      worst = Math.max(worst, Math.abs(sum) / BLOCK ** 2);
    }
  return worst;
}

/**
 * The frames of the file that are no picture that was ever sent, and the stretches in which it stood still (a flash
 * does for 0.1 s). Frames without a readable stamp are compared with the flash, which is all white.
 */
function judge({ mp4 }: Made): { smeared: { atS: number; by: number }[]; frozen: Span[] } {
  const readings = watch(mp4, [{ rect: WHOLE, source: SIZE }]).views[0]!;
  const made = new MadePicture(RED, SIZE);
  const smeared: { atS: number; by: number }[] = [];
  let n = 0;
  readMedia(mp4, {
    onPicture(picture) {
      const { stamp } = readings[n++]!;
      // A stamp has hundredths; content times are whole frames.
      const frame = stamp === undefined ? 0 : Math.ceil((stamp * STAMP_UNIT_US * FPS) / 1e6 - 1e-6);
      made.draw(Math.round((1_000_000 + frame / FPS) * 1e6) - (stamp === undefined ? 0 : 1_000_000 * 1e6));
      const by = worstBlock(picture, made);
      if (by > BLOCK_TOLERANCE) smeared.push({ atS: picture.atS, by: Math.round(by) });
    },
  });
  return { smeared, frozen: frozenIn(readings) };
}

const degradedOf = ({ happenings }: Made) => happenings.flatMap((h) => (h.type === 'degraded' ? [h.what] : []));

describe('damage', () => {
  const sender = (over: Partial<ScriptedUser>): ScriptedUser => ({
    ...{ uid: '1', participant: RED, fromS: -1, toS: 60, gopS: 6 },
    ...over,
  });

  test.each(['h264', 'vp8'] as const)(
    'a frame of %s that is lost for good: the last good one is held until the next key frame',
    async (codec) => {
      const made = await record(dir, [sender({ codec, stalls: [{ fromS: 2.39, toS: 2.41 }] })], PLAN, STOP_S);
      const { smeared, frozen } = judge(made);
      expect(smeared).toEqual([]);
      // The sender's own next key frame is at 5 s; it answers no requests, though it was asked again and again.
      expect(frozen).toHaveLength(1);
      expect(frozen[0]!.fromS).toBeCloseTo(2.4, 1);
      expect(frozen[0]!.toS).toBeCloseTo(5, 1);
      expect(made.feed.keyFrameRequests.length).toBeGreaterThanOrEqual(3);
      expect(degradedOf(made)).toEqual([expect.stringMatching(/^the picture of user 1 was held for 26\d\d ms/)]);
      expect(probeFile(made.mp4).video?.packets).toBe(STOP_S * FPS);
    },
  );

  test.each(['h264', 'vp8'] as const)('a sender of %s that answers requests is back within a second', async (codec) => {
    const user = sender({ codec, stalls: [{ fromS: 2.39, toS: 2.41 }], answersKeyFrameRequests: true });
    const made = await record(dir, [user], PLAN, STOP_S);
    const { smeared, frozen } = judge(made);
    expect(smeared).toEqual([]);
    expect(frozen).toHaveLength(1);
    expect(frozen[0]!.toS - frozen[0]!.fromS).toBeLessThan(1);
    expect(made.feed.keyFrameRequests).toEqual([1]);
  });

  test('what only the decoder sees to be damaged is not shown either', async () => {
    const user = sender({ codec: 'h264', spoils: [{ fromS: 2.39, toS: 2.41 }], answersKeyFrameRequests: true });
    const made = await record(dir, [user], PLAN, STOP_S);
    const { smeared, frozen } = judge(made);
    expect(smeared).toEqual([]);
    // It is decoded a second later, and the key frame asked for then.
    expect(frozen).toHaveLength(1);
    expect(frozen[0]!.fromS).toBeCloseTo(2.4, 1);
    expect(frozen[0]!.toS - frozen[0]!.fromS).toBeLessThan(1.5);
    expect(made.feed.keyFrameRequests).toEqual([1]);
  });
});

describe('orientation', () => {
  const SIDE = SIZE.width;
  /** A square that shows all of the picture without scaling it, lying or standing. */
  const square = planOf({
    video: {
      ...PLAN.video!,
      height: SIDE,
      layout: { kind: 'custom', regions: [{ x: 0, y: 0, width: 1, height: 1, alpha: 1, render: 'fit' }] },
    },
    files: PLAN.files,
  });
  /** By the two bits: where a point of the picture as made is shown, by where it was made. */
  const PLACES: ((x: number, y: number) => [number, number])[] = [
    (x, y) => [x, 70 + y],
    (x, y) => [70 + 179 - y, x],
    (x, y) => [319 - x, 70 + 179 - y],
    (x, y) => [70 + y, 319 - x],
  ];

  /** The frame as it would lie had nobody turned it. */
  function turnedBack(shown: ShownPicture, bits: number): ShownPicture {
    const luma = Buffer.alloc(SIZE.width * SIZE.height);
    for (let y = 0; y < SIZE.height; y++)
      for (let x = 0; x < SIZE.width; x++) {
        const [column, row] = PLACES[bits]!(x, y);
        luma[y * SIZE.width + x] = shown.planes[0]![row * shown.strides[0]! + column]!;
      }
    return { ...shown, ...SIZE, planes: [luma], strides: [SIZE.width] };
  }

  test.each(['h264', 'vp8'] as const)(
    'pictures of %s are set upright, also when the sender turns in the middle',
    async (codec) => {
      const orientations = [0, 1, 2, 3].map((bits) => ({ fromS: bits === 0 ? -1 : bits * 1.5, bits }));
      const user: ScriptedUser = { uid: '1', participant: RED, codec, fromS: -1, toS: 60, orientations };
      const { mp4 } = await record(dir, [user], square, 6);
      const made = new MadePicture(RED, SIZE);
      const wrong: { atS: number; by: number }[] = [];
      const sizes = new Set<string>();
      readMedia(mp4, {
        onPicture(picture) {
          sizes.add(`${picture.width}x${picture.height}`);
          // The frame made for this moment, or a neighbour of it, turned as it was then.
          const n = Math.round(picture.atS * FPS);
          const by = [n - 1, n, n + 1].map((frame) => {
            made.draw(1_000_000 * 1e6 + (frame * 1e6) / FPS);
            const bits = orientations.findLast((o) => o.fromS <= frame / FPS + 1e-6)!.bits;
            return worstBlock(turnedBack(picture, bits), made);
          });
          if (Math.min(...by) > BLOCK_TOLERANCE) wrong.push({ atS: picture.atS, by: Math.round(Math.min(...by)) });
        },
      });
      expect([...sizes]).toEqual(['320x320']);
      expect(wrong).toEqual([]);
    },
  );

  test('pictures whose pixels are not square are seen in their shape', async () => {
    const whole = { x: 0, y: 0, width: 1, height: 1, alpha: 1, render: 'fit' as const };
    const layout = { kind: 'custom' as const, regions: [whole] };
    const user: ScriptedUser = {
      ...{ uid: '1', participant: RED, fromS: -1, toS: 60 },
      ...{ sizes: [{ fromS: -1, width: 240, height: 180 }], sampleAspect: [4, 3] },
    };
    const { mp4 } = await record(dir, [user], planOf({ video: { ...planOf().video!, layout } }), 1.5);
    // Square ones would leave an eighth of the canvas at either side.
    const sides = [0.02, 0.9].map((x) => ({ rect: { x, y: 0.2, width: 0.08, height: 0.3 } }));
    for (const view of watch(mp4, sides).views)
      expect(presenceIn(view, RED.colour)).toEqual([{ fromS: expect.closeTo(0, 1), toS: expect.closeTo(1.5, 1) }]);
  });
});
