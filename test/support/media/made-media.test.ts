/**
 * Made media is what everything else is measured by, so its own marks, stamp and pitch are held here.
 */
import { describe, expect, test } from 'vitest';
import { BEEP_LEVEL, HUM_LEVEL, MadePicture, madeSound, SOUND_RATE, turnI420 } from './made-media.ts';
import { GREEN, PARTICIPANTS, RED, WHITE, yuvOf } from './participants.ts';
import { readStampBits, STAMP_AREA, STAMP_BITS, stampBits, unwrapStamp } from './stamp.ts';

const SIZE = { width: 640, height: 360 };
/** A wall-clock second of our days, microseconds. */
const SECOND_US = 1_795_473_307_000_000;

describe('the picture', () => {
  const picture = new MadePicture(RED, SIZE);
  const luma = (x: number, y: number) => picture.planes.y[y * SIZE.width + x];
  const readStamp = () => {
    const y = Math.round((STAMP_AREA.y + STAMP_AREA.height / 2) * SIZE.height);
    const bits = Array.from({ length: STAMP_BITS }, (_, i) => {
      const x = Math.round((STAMP_AREA.x + (STAMP_AREA.width * (i + 0.5)) / STAMP_BITS) * SIZE.width);
      return (luma(x, y) ?? 0) > 110;
    });
    return readStampBits(bits);
  };

  test('is white for the first 100 ms of each second, and the participant’s colour otherwise', () => {
    for (const [ms, white] of [
      [0, true],
      [99, true],
      [100, false],
      [999, false],
      [1000, true],
    ] as const) {
      picture.draw(SECOND_US + ms * 1000);
      expect(luma(10, 300) === WHITE.y, `${ms} ms`).toBe(white);
      expect(picture.planes.u[0]).toBe(white ? WHITE.u : RED.colour.u);
    }
  });
  test('carries its content time', () => {
    picture.draw(SECOND_US + 345_678);
    const value = readStamp();
    expect(value).toBeDefined();
    expect(unwrapStamp(value as number, SECOND_US)).toBe(SECOND_US + 340_000);
  });
  test('moves from frame to frame, and leaves nothing behind', () => {
    const fresh = new MadePicture(RED, SIZE);
    for (let n = 0; n < 90; n++) picture.draw(SECOND_US + Math.round((n * 1e6) / 30));
    fresh.draw(SECOND_US + Math.round((89 * 1e6) / 30));
    expect(picture.i420.equals(fresh.i420)).toBe(true);
    const before = Buffer.from(picture.i420);
    picture.draw(SECOND_US + 3_000_000 - 1);
    expect(picture.i420.equals(before)).toBe(false);
  });
  test('refuses sizes that planes cannot have', () => {
    expect(() => new MadePicture(RED, { width: 641, height: 360 })).toThrow(/even size/);
  });
});

describe('the sound', () => {
  test('is loud for 100 ms from each second on, and hums in between', () => {
    const sound = madeSound(GREEN, (SECOND_US / 1e6) * SOUND_RATE - 4800, SOUND_RATE);
    const peak = (from: number, to: number) => Math.max(...sound.subarray(from, to).map(Math.abs));
    expect(peak(0, 4800)).toBeCloseTo(HUM_LEVEL, 3);
    expect(peak(4900, 9500)).toBeCloseTo(BEEP_LEVEL, 3);
    expect(peak(9700, 40_000)).toBeCloseTo(HUM_LEVEL, 3);
  });
  test('is the same however it is cut, and has no steps', () => {
    const start = (SECOND_US / 1e6) * SOUND_RATE + 47_000;
    const whole = madeSound(RED, start, 4000);
    const parts = [madeSound(RED, start, 1234), madeSound(RED, start + 1234, 2766)];
    expect([...parts.flatMap((p) => [...p])]).toEqual([...whole]);
    // The steepest a tone of this level and pitch can be, with room for the beep's rise.
    const steepest = BEEP_LEVEL * ((2 * Math.PI * RED.toneHz) / SOUND_RATE) * 1.2;
    for (let i = 1; i < whole.length; i++)
      expect(Math.abs((whole[i] as number) - (whole[i - 1] as number))).toBeLessThan(steepest);
  });
});

test('a picture turned round in quarters is itself again, and a quarter goes clockwise', () => {
  const picture = new MadePicture(RED, { width: 128, height: 96 });
  picture.draw(SECOND_US + 500_000);
  const quarter = turnI420(picture.i420, 128, 96, 90);
  // The top left corner is the top right one then.
  expect(quarter[95]).toBe(picture.i420[0]);
  expect(quarter.equals(picture.i420)).toBe(false);
  const half = turnI420(picture.i420, 128, 96, 180);
  expect(turnI420(quarter, 96, 128, 90).equals(half)).toBe(true);
  expect(turnI420(turnI420(picture.i420, 128, 96, 270), 96, 128, 90).equals(picture.i420)).toBe(true);
});

test('the cast can be told apart by colour and by pitch', () => {
  for (const a of PARTICIPANTS) {
    for (const b of PARTICIPANTS) {
      if (a === b) continue;
      const chroma = Math.max(Math.abs(a.colour.u - b.colour.u), Math.abs(a.colour.v - b.colour.v));
      expect(chroma, `${a.name} and ${b.name}`).toBeGreaterThan(28);
      expect(Math.abs(a.toneHz - b.toneHz), `${a.name} and ${b.name}`).toBeGreaterThanOrEqual(110);
    }
    expect(WHITE.y - a.colour.y).toBeGreaterThan(90);
  }
  expect(yuvOf({ r: 255, g: 255, b: 255 })).toEqual(WHITE);
});

test('a stamp survives its own reading, and damage is noticed', () => {
  for (const tUs of [0, 10_000, 655_350_000, SECOND_US]) {
    const bits = stampBits(tUs);
    expect(unwrapStamp(readStampBits(bits) as number, tUs)).toBe(Math.floor(tUs / 10_000) * 10_000);
    bits[3] = !bits[3];
    expect(readStampBits(bits)).toBeUndefined();
  }
});
