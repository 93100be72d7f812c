/**
 * SoundWatch: how much of a track's sound was concealed, and how much is silence because nothing came. Pure; times are
 * microseconds of the recording.
 */

import type { TrackReportData } from '../../contract/line/quality-report.ts';
import type { RecordingUs } from '../../kernel/time.ts';
import { GAP_US } from './gap-watch.ts';
import type { HeldIn } from './hold-watch.ts';
import { toMs } from './kept.ts';

/** A smaller gap between two sounds is a correction of their clock. */
const JOINED_US = 5_000;

export type PlacedSound = {
  startUs: RecordingUs;
  endUs: RecordingUs;
  /** Packets before this sound were lost. */
  afterLoss: boolean;
  /** How much was made up right before this sound for lost packets. */
  concealedUs: number;
  /** This sound is made up itself, because its packet could not be decoded. */
  madeUp: boolean;
  /** How much of both is not in the recording, because it came when its place had been written. */
  unheardUs: number;
};

export class SoundWatch {
  readonly #heldIn: HeldIn;
  #endUs: RecordingUs | undefined;
  #concealedUs = 0;
  #silenceUs = 0;
  #lostUs = 0;
  #dtx = { count: 0, totalUs: 0 };

  /** @param heldIn how much of a span nobody hears; nothing by default */
  constructor(heldIn: HeldIn = () => 0) {
    this.#heldIn = heldIn;
  }

  /** A track's next sound is placed in the recording. */
  onSound({ startUs, endUs, afterLoss, concealedUs, madeUp, unheardUs }: PlacedSound): void {
    const lastUs = this.#endUs ?? startUs;
    this.#endUs = Math.max(endUs, lastUs);
    // It does not matter how sound that nobody hears was made up.
    if (this.#heldIn(startUs, endUs) === endUs - startUs) return;
    const missingUs = Math.max(0, startUs - lastUs - this.#heldIn(lastUs, startUs));
    // Made-up sound may reach into the sound after it, which then covers it.
    const madeUpUs = Math.min(concealedUs, missingUs) + (madeUp ? endUs - startUs : 0);
    this.#concealedUs += Math.max(0, madeUpUs - unheardUs);
    this.#silenceUs += unheardUs;
    this.#lostUs += unheardUs;
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

  /** The figures so far; silence counts only once sound follows it. */
  read(): NonNullable<TrackReportData['audio']> {
    return {
      concealedMs: toMs(this.#concealedUs),
      silenceMs: toMs(this.#silenceUs),
      lostMs: toMs(this.#lostUs),
      dtx: { count: this.#dtx.count, totalMs: toMs(this.#dtx.totalUs) },
    };
  }
}
