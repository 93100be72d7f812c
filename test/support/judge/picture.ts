/**
 * Judgements on what was seen: flashes, whose colour a region shows and when, frozen and black stretches, and how
 * content time runs against the recording's time. Times in seconds from the file's start.
 */
import { WHITE, type Yuv } from '../media/participants.ts';
import { STAMP_UNIT_US, STAMP_WRAP } from '../media/stamp.ts';
import type { Rect } from './regions.ts';
import { type Reading, watch } from './watch.ts';

export type Span = { fromS: number; toS: number };
export type Flash = { atS: number; endS: number };

/**
 * How far a median may be from a participant's colour. Another participant differs by more than twice that in u or v.
 */
const LUMA_TOLERANCE = 24;
const CHROMA_TOLERANCE = 14;

export function isColour(reading: { y: number; u: number; v: number }, colour: Yuv): boolean {
  return (
    Math.abs(reading.y - colour.y) <= LUMA_TOLERANCE &&
    Math.abs(reading.u - colour.u) <= CHROMA_TOLERANCE &&
    Math.abs(reading.v - colour.v) <= CHROMA_TOLERANCE
  );
}

function isWhite(reading: Reading): boolean {
  return isColour(reading, WHITE) && reading.luma > 200;
}

/** Flashes: each begins with the first frame in which the region is white after one in which it was not. */
export function flashesIn(readings: readonly Reading[]): Flash[] {
  const flashes: Flash[] = [];
  for (let i = 1; i < readings.length; i++) {
    const now = readings[i] as Reading;
    const before = isWhite(readings[i - 1] as Reading);
    if (isWhite(now) && !before) flashes.push({ atS: now.atS, endS: Number.NaN });
    const open = flashes.at(-1);
    if (!isWhite(now) && before && open && Number.isNaN(open.endS)) open.endS = now.atS;
  }
  return flashes;
}

/** Stretches in which `test` holds frame after frame; a stretch ends where the next frame begins. */
export function spansWhere(readings: readonly Reading[], test: (reading: Reading, index: number) => boolean): Span[] {
  const spans: Span[] = [];
  let open: Span | undefined;
  const frameS =
    readings.length > 1 ? ((readings.at(-1) as Reading).atS - (readings[0] as Reading).atS) / (readings.length - 1) : 0;
  readings.forEach((reading, i) => {
    if (test(reading, i)) {
      open ??= { fromS: reading.atS, toS: reading.atS };
      open.toS = readings[i + 1]?.atS ?? reading.atS + frameS;
    } else if (open) {
      spans.push(open);
      open = undefined;
    }
  });
  if (open) spans.push(open);
  return spans;
}

/** When the region shows the participant of `colour`; a flash in between or at an end belongs to it. */
export function presenceIn(readings: readonly Reading[], colour: Yuv): Span[] {
  const spans = spansWhere(readings, (r) => isColour(r, colour) || isWhite(r));
  return spans.filter((s) => readings.some((r) => r.atS >= s.fromS && r.atS < s.toS && isColour(r, colour)));
}

/** Stretches of at least `minS` in which nothing in the region moved. A flash (0.1 s of white) does not move either. */
export function frozenIn(readings: readonly Reading[], minS = 0.25): Span[] {
  return spansWhere(readings, (r, i) => i > 0 && r.moved < 0.0008)
    .map((s) => ({ fromS: s.fromS, toS: s.toS }))
    .filter((s) => s.toS - s.fromS >= minS);
}

/** Stretches in which the region is black. */
export function blackIn(readings: readonly Reading[]): Span[] {
  return spansWhere(readings, (r) => r.luma < 24 && Math.abs(r.u - 128) <= 6 && Math.abs(r.v - 128) <= 6);
}

/** The reading shown at `atS`: the last frame that began by then. Throws a RangeError before the first frame. */
export function readingAt(readings: readonly Reading[], atS: number): Reading {
  const reading = readings.findLast((r) => r.atS <= atS + 1e-6);
  if (!reading) throw new RangeError(`nothing is shown at ${atS} s`);
  return reading;
}

export type Lag = { atS: number; lagS: number };

/**
 * How late content is shown: recording time minus content time, per frame whose stamp can be read. Only differences
 * mean something unless `zeroContentUs`, the content time at the recording's zero, is given.
 */
export function lagsIn(readings: readonly Reading[], zeroContentUs = 0): Lag[] {
  const wrapS = (STAMP_WRAP * STAMP_UNIT_US) / 1e6;
  const lags: Lag[] = [];
  for (const r of readings) {
    if (r.stamp === undefined) continue;
    const contentS = (r.stamp * STAMP_UNIT_US) / 1e6 - ((zeroContentUs / 1e6) % wrapS);
    const raw = r.atS - contentS;
    // Unwrapped towards the lag before, or towards zero.
    const near = lags.at(-1)?.lagS ?? (zeroContentUs ? 0 : raw);
    lags.push({ atS: r.atS, lagS: raw + Math.round((near - raw) / wrapS) * wrapS });
  }
  return lags;
}

/** Flashes of a region of a file. */
export function findFlashes(path: string, rect: Rect): Flash[] {
  return flashesIn(watch(path, [{ rect }]).views[0] as Reading[]);
}

/** When a region of a file shows `colour`. */
export function presence(path: string, rect: Rect, colour: Yuv): Span[] {
  return presenceIn(watch(path, [{ rect }]).views[0] as Reading[], colour);
}

/** The median colour of a region of a file at a moment. */
export function colourOf(path: string, rect: Rect, atS: number): Yuv {
  const { y, u, v } = readingAt(watch(path, [{ rect }]).views[0] as Reading[], atS);
  return { y, u, v };
}

export function blackFrames(path: string, rect: Rect): Span[] {
  return blackIn(watch(path, [{ rect }]).views[0] as Reading[]);
}
