/**
 * PictureLateness: how long a picture takes from the page's script to the screen that is read (mostly two frames of
 * compositing). It is measured on the empty page, before the real one is opened: the page flashes, and a corner of its
 * screen is read often enough to know the moment to some milliseconds.
 */

import { messageOf } from '../../kernel/fault.ts';
import type { UtcUs } from '../../kernel/time.ts';
import { PicturePool } from '../../stages/codec/picture-pool.ts';
import { ScreenGrabber } from '../../stages/codec/screen-grabber.ts';

/** One flash: when the script drew it, and when a reading of the screen showed it first; wall time, microseconds. */
export type Flash = { drawnUs: UtcUs; shownUs: UtcUs };
/** `measured` is false when `us` is the usual value. */
export type Lateness = { us: number; measured: boolean };

const CORNER_PX = 16;
const READINGS_PER_S = 200;
const READING_US = 1e6 / READINGS_PER_S;
/** An odd number, so that there is a middle one. */
const FLASHES = 3;
/** Readings after the last flash was drawn, for as long as it may take to be shown. */
const MORE_READINGS = READINGS_PER_S / 5;
const MIDDLE_LUMA = 126;
/** Nothing is shown sooner, and no machine that can record a page takes longer. */
const PLAUSIBLE_US = { from: 2_000, to: 120_000 };
/** The value measured on two cores without a GPU. */
const USUAL_US = 25_000;

/**
 * @param flash makes the page flash this many times; resolves to when its script drew each flash, wall time in
 * microseconds
 * @param onFailed is told why nothing could be measured, in words
 */
export async function measureLateness(
  display: string,
  flash: (count: number) => Promise<number[]>,
  onFailed: (why: string) => void,
): Promise<Lateness> {
  const pool = new PicturePool();
  let grabber: ScreenGrabber | undefined;
  try {
    const screen = { display, width: CORNER_PX, height: CORNER_PX, fps: READINGS_PER_S, pool };
    grabber = await ScreenGrabber.open(screen);
    const drawing = flash(FLASHES);
    const [drawn, shown] = await Promise.all([drawing, readFlashes(grabber, drawing)]);
    if (shown.length !== drawn.length) throw new Error(`${shown.length} of ${drawn.length} flashes were seen`);
    return latenessOf(drawn.map((drawnUs, n) => ({ drawnUs, shownUs: shown[n] ?? Number.NaN })));
  } catch (error) {
    onFailed(messageOf(error));
    return { us: USUAL_US, measured: false };
  } finally {
    grabber?.close();
    pool.close();
  }
}

/** When each change between black and white was shown, beginning with the first white. */
async function readFlashes(grabber: ScreenGrabber, drawing: Promise<unknown>): Promise<number[]> {
  const shown: number[] = [];
  let more = Number.POSITIVE_INFINITY;
  const stop = () => {
    more = MORE_READINGS;
  };
  drawing.then(stop, stop);
  // The empty page is white, and turns black first.
  let white = true;
  for (; more > 0; more--) {
    const next = await grabber.next();
    if (!next) break;
    const isWhite = (next.picture.planes[0][0] ?? 0) > MIDDLE_LUMA;
    next.picture.free();
    if (isWhite !== white && (isWhite || shown.length > 0)) shown.push(next.utcUs);
    white = isWhite;
  }
  return shown.slice(0, FLASHES);
}

/**
 * The median of what the flashes took. Throws an Error when that is not plausible.
 * @param flashes an odd number of them
 */
export function latenessOf(flashes: readonly Flash[]): Lateness {
  // On average a flash has been there for half the time between two readings.
  const eachUs = flashes.map(({ drawnUs, shownUs }) => shownUs - drawnUs - READING_US / 2).sort((a, b) => a - b);
  const us = eachUs[Math.floor(eachUs.length / 2)] ?? Number.NaN;
  if (!(us >= PLAUSIBLE_US.from && us <= PLAUSIBLE_US.to))
    throw new Error(`flashes seem to be shown ${Math.round(us / 1000)} ms after they were drawn`);
  return { us: Math.round(us), measured: true };
}
