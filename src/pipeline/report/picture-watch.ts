/**
 * PictureWatch: when a track's picture stood still and why, which sizes it had, and how long key frames were waited
 * for. Pure; times are microseconds of the recording.
 */

import type { FreezeReason, TrackReportData } from '../../contract/line/quality-report.ts';
import type { RecordingUs } from '../../kernel/time.ts';
import type { HeldIn } from './hold-watch.ts';
import { Kept, MOST_SPANS, toMs } from './kept.ts';

/** When nothing was lost, pictures this far apart stand still. */
const STILL_US = 1_000_000;
/** A picture may be shown this much later than it came: until then a picture that is still to come is not frozen. */
const SHOWN_LATE_US = 4_000_000;

export type ShownPicture = { width: number; height: number; turn: 0 | 90 | 180 | 270; flip: boolean };
type Span = { fromUs: RecordingUs; durationUs: number; why: FreezeReason };

export class PictureWatch {
  readonly #heldIn: HeldIn;
  readonly #frozen = new Kept<Span>(MOST_SPANS);
  readonly #pictures = new Kept<ShownPicture & { atUs: RecordingUs }>(MOST_SPANS);
  #size: ShownPicture | undefined;
  #latestUs: RecordingUs | undefined;
  #holding: FreezeReason | undefined;
  #frozenUs = 0;
  #waits = { count: 0, longestUs: 0, totalUs: 0 };
  #waitingSinceUs: RecordingUs | undefined;

  /** @param heldIn how much of a span nobody sees; nothing by default */
  constructor(heldIn: HeldIn = () => 0) {
    this.#heldIn = heldIn;
  }

  /** A good picture is shown from `atUs` on. */
  onPicture(atUs: RecordingUs, picture: ShownPicture): void {
    const span = this.#spanUntil(atUs, STILL_US);
    if (span) {
      this.#frozenUs += span.durationUs;
      this.#frozen.add(span);
    }
    this.#holding = undefined;
    this.#latestUs = Math.max(atUs, this.#latestUs ?? atUs);
    if (this.#size && isSame(this.#size, picture)) return;
    this.#size = picture;
    this.#pictures.add({ ...picture, atUs });
  }

  /** The pictures after the latest cannot be shown, until one can again. The first reason counts. */
  onHold(why: 'loss' | 'damage'): void {
    this.#holding ??= why;
  }

  /** Tells whether a key frame is wanted now. */
  onKeyFrameWanted(wanted: boolean, atUs: RecordingUs): void {
    if (wanted === (this.#waitingSinceUs !== undefined)) return;
    if (wanted) {
      this.#waitingSinceUs = atUs;
      return;
    }
    this.#waits = this.#waitsAt(atUs);
    this.#waitingSinceUs = undefined;
  }

  /** @param whole nothing before `untilUs` will come any more */
  until(untilUs: RecordingUs, whole: boolean): NonNullable<TrackReportData['video']> {
    const open = this.#spanUntil(untilUs, whole ? STILL_US : SHOWN_LATE_US, whole ? 0 : SHOWN_LATE_US);
    const listed = [...this.#frozen.items];
    const room = listed.length < MOST_SPANS;
    if (open && room) listed.push(open);
    const waits = this.#waitsAt(untilUs);
    return {
      keyFrameWaits: { count: waits.count, longestMs: toMs(waits.longestUs), totalMs: toMs(waits.totalUs) },
      frozen: listed.map(({ fromUs, durationUs, why }) => ({
        fromMs: toMs(fromUs),
        durationMs: toMs(durationUs),
        why,
      })),
      moreFrozen: this.#frozen.more + (open && !room ? 1 : 0),
      frozenMs: toMs(this.#frozenUs + (open?.durationUs ?? 0)),
      pictures: this.#pictures.items.map(({ atUs, ...picture }) => ({ atMs: toMs(atUs), ...picture })),
      morePictures: this.#pictures.more,
    };
  }

  #spanUntil(atUs: RecordingUs, stillUs: number, heldUs = 0): Span | undefined {
    if (this.#latestUs === undefined) return undefined;
    const durationUs = atUs - this.#latestUs - this.#heldIn(this.#latestUs, atUs);
    if (durationUs <= 0 || durationUs < (this.#holding ? heldUs : stillUs)) return undefined;
    return { fromUs: this.#latestUs, durationUs, why: this.#holding ?? 'nothingSent' };
  }

  #waitsAt(atUs: RecordingUs): { count: number; longestUs: number; totalUs: number } {
    if (this.#waitingSinceUs === undefined) return this.#waits;
    const waitUs = Math.max(0, atUs - this.#waitingSinceUs);
    const { count, longestUs, totalUs } = this.#waits;
    return { count: count + 1, longestUs: Math.max(longestUs, waitUs), totalUs: totalUs + waitUs };
  }
}

function isSame(a: ShownPicture, b: ShownPicture): boolean {
  return a.width === b.width && a.height === b.height && a.turn === b.turn && a.flip === b.flip;
}
