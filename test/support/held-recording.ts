/**
 * A model of a recording with holds, for tests that hold files against it: where in a file a moment of the recording
 * lies, and what a file shows and plays at each of its own moments.
 */

import type { Reading } from './judge/watch.ts';
import type { ChangeAt } from './killed-recording.ts';
import { STAMP_UNIT_US, STAMP_WRAP } from './media/stamp.ts';

/** From and to when, seconds of the recording; one that never ended ends at infinity. */
export type HeldSpan = [fromS: number, toS: number];

/** Holds begin and end between blocks of sound. */
const BLOCK_S = 1024 / 48_000;

/** As the commands that make them; those that come again for nothing change nothing. */
export function changesOf(holds: readonly HeldSpan[]): ChangeAt[] {
  const change = (atS: number, onhold: boolean): ChangeAt => ({ atS, change: { type: 'changeHold', onhold } });
  return holds.flatMap(([fromS, toS]) => [change(fromS, true), ...(Number.isFinite(toS) ? [change(toS, false)] : [])]);
}

/** As they are in a recording whose files begin at `originS`. */
export function onBlocks(holds: readonly HeldSpan[], originS = 0): HeldSpan[] {
  const up = (s: number) => originS + Math.ceil((s - originS) / BLOCK_S - 0.001) * BLOCK_S;
  return holds.map(([fromS, toS]) => [up(fromS), up(toS)]);
}

export function heldAt(holds: readonly HeldSpan[], atS: number): boolean {
  return holds.some(([fromS, toS]) => atS >= fromS && atS < toS);
}

/** Where in a file whose zero is the recording's a moment lies; of one that is held, where it was cut out. */
export function inFile(holds: readonly HeldSpan[], atS: number): number {
  return holds.reduce((sum, [fromS, toS]) => sum - Math.max(0, Math.min(atS, toS) - fromS), atS);
}

/** The recording's moment that lies at `fileS` of a file. */
export function inRecording(holds: readonly HeldSpan[], fileS: number): number {
  let atS = fileS;
  for (const [fromS, toS] of holds) if (atS >= fromS - 1e-6) atS += toS - fromS;
  return atS;
}

/** The full seconds that a file should hold a flash and a beep of, by its own time: those that are not cut short. */
export function marksIn(holds: readonly HeldSpan[], fromS: number, toS: number): number[] {
  const marks: number[] = [];
  for (let s = Math.ceil(fromS); s < toS - 0.15; s++) {
    const isWhole = !holds.some(([from, to]) => s < to + 0.1 && s + 0.15 > from);
    if (isWhole && s > fromS + 0.1) marks.push(inFile(holds, s));
  }
  return marks;
}

/**
 * The largest distance, seconds, between what frames show and what they should, of those whose stamp can be read; and
 * at which frame that is.
 */
export function worstStamp(
  readings: readonly Reading[],
  holds: readonly HeldSpan[],
): { read: number; worstS: number; atS: number } {
  const wrapS = (STAMP_WRAP * STAMP_UNIT_US) / 1e6;
  const offs = readings.flatMap(({ atS, stamp }) => {
    if (stamp === undefined) return [];
    return [{ atS, offS: (stamp * STAMP_UNIT_US) / 1e6 - inRecording(holds, atS) }];
  });
  // Content counts from a moment of its own, which is that of all frames but those that are wrong.
  const usual = offs.map(({ offS }) => offS).toSorted((a, b) => a - b)[offs.length >> 1] ?? 0;
  let worst = { worstS: 0, atS: 0 };
  for (const { atS, offS } of offs) {
    const off = Math.abs(offS - usual - Math.round((offS - usual) / wrapS) * wrapS);
    if (off > worst.worstS) worst = { worstS: off, atS };
  }
  return { read: offs.length, ...worst };
}
