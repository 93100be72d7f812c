/**
 * SoundWatch: what of a track's sound was made up, and what is silence because nothing was there. Pure; times are
 * microseconds of the recording.
 */

import type { TrackReportData } from '../../contract/line/quality-report.ts';
import type { RecordingUs } from '../../kernel/time.ts';
import { GAP_US } from './gap-watch.ts';
import type { HeldIn } from './hold-watch.ts';
import { toMs } from './kept.ts';

/** Less than this between two sounds is their clock being corrected. */
const JOINED_US = 5_000;

export type PlacedSound = {
  startUs: RecordingUs;
  endUs: RecordingUs;
  /** Packets before it were lost. */
  afterLoss: boolean;
  /** How much right before it was made up for lost packets. */
  concealedUs: number;
  /** It is made up itself, as its packet could not be decoded. */
  madeUp: boolean;
};

export class SoundWatch {
  readonly #heldIn: HeldIn;
  #endUs: RecordingUs | undefined;
  #concealedUs = 0;
  #silenceUs = 0;
  #lostUs = 0;
  #dtx = { count: 0, totalUs: 0 };

  /** @param heldIn what of a span nobody hears; nothing by default */
  constructor(heldIn: HeldIn = () => 0) {
    this.#heldIn = heldIn;
  }

  /** A track's next sound is placed in the recording. */
  onSound({ startUs, endUs, afterLoss, concealedUs, madeUp }: PlacedSound): void {
    const lastUs = this.#endUs ?? startUs;
    this.#endUs = Math.max(endUs, lastUs);
    // Of sound that nobody hears it does not matter what was made up.
    if (this.#heldIn(startUs, endUs) === endUs - startUs) return;
    const missingUs = Math.max(0, startUs - lastUs - this.#heldIn(lastUs, startUs));
    // What is made up may reach into the sound after it, which then covers it.
    this.#concealedUs += Math.min(concealedUs, missingUs) + (madeUp ? endUs - startUs : 0);
    const silentUs = missingUs - concealedUs;
    if (silentUs > JOINED_US) {
      this.#silenceUs += silentUs;
      if (afterLoss) this.#lostUs += silentUs;
      else if (silentUs < GAP_US) {
        this.#dtx.count++;
        this.#dtx.totalUs += silentUs;
      }
    }
  }

  /** So far; silence counts when sound follows it. */
  read(): NonNullable<TrackReportData['audio']> {
    return {
      concealedMs: toMs(this.#concealedUs),
      silenceMs: toMs(this.#silenceUs),
      lostMs: toMs(this.#lostUs),
      dtx: { count: this.#dtx.count, totalMs: toMs(this.#dtx.totalUs) },
    };
  }
}
