/**
 * HoldCutter: where samples of one kind that have their own times go in a file that leaves holds out. Blocks of sound
 * ignore the edges of holds: they are placed one after the other, at most half a block from their place. Pure; times
 * are microseconds.
 */
import type { RecordingUs, StreamUs } from '../../../kernel/time.ts';
import type { EncodedSample } from '../../../media/sample.ts';

/** `untilUs` may be infinite. */
export type Hold = { fromUs: RecordingUs; untilUs: RecordingUs };
type Placed = Pick<EncodedSample, 'kind' | 'ptsUs' | 'dtsUs' | 'durationUs'>;

/** Decode times grow by at least this much. */
const MIN_STEP_US = 100;

export class HoldCutter {
  readonly #holds: readonly Hold[];
  #endUs = Number.NEGATIVE_INFINITY;
  #dtsUs = Number.NEGATIVE_INFINITY;

  /** @param holds in order, without overlaps */
  constructor(holds: readonly Hold[]) {
    this.#holds = holds;
  }

  /** Where the next sample in decode order goes; undefined for one within a hold. */
  place(sample: Placed): { ptsUs: StreamUs; dtsUs: StreamUs } | undefined {
    if (this.#holds.length === 0) return sample;
    return sample.kind === 'audio' ? this.#placeSound(sample) : this.#placePicture(sample);
  }

  #placePicture({ ptsUs, dtsUs }: Placed): { ptsUs: StreamUs; dtsUs: StreamUs } | undefined {
    if (this.#holds.some(({ fromUs, untilUs }) => ptsUs >= fromUs && ptsUs < untilUs)) return undefined;
    const shownUs = ptsUs - this.heldBefore(ptsUs);
    this.#dtsUs = Math.max(dtsUs - this.heldBefore(dtsUs), this.#dtsUs + MIN_STEP_US);
    return { ptsUs: Math.max(shownUs, this.#dtsUs), dtsUs: this.#dtsUs };
  }

  #placeSound({ ptsUs, durationUs }: Placed): { ptsUs: StreamUs; dtsUs: StreamUs } | undefined {
    const ownUs = ptsUs - this.heldBefore(ptsUs);
    const atUs = Math.max(ownUs, this.#endUs);
    const hold = this.#holds.find(({ fromUs, untilUs }) => ptsUs < untilUs && ptsUs + durationUs > fromUs);
    // A block that begins in a hold and ends after it is heard from its beginning.
    const isLeftOut =
      hold !== undefined &&
      (ptsUs >= hold.fromUs
        ? ptsUs + durationUs / 2 < hold.untilUs
        : atUs + durationUs / 2 > hold.fromUs - this.heldBefore(hold.fromUs));
    if (isLeftOut) return undefined;
    this.#endUs = atUs + durationUs;
    return { ptsUs: atUs, dtsUs: atUs };
  }

  /** How much of the recording before `atUs` is held. */
  heldBefore(atUs: RecordingUs): number {
    return this.#holds.reduce((sum, { fromUs, untilUs }) => sum + Math.max(0, Math.min(atUs, untilUs) - fromUs), 0);
  }

  /** The recording's own time at which something is that plays at `playedUs` of a file without holds. */
  ownTime(playedUs: StreamUs): RecordingUs {
    return this.#holds.reduce((us, { fromUs, untilUs }) => (fromUs <= us ? us + (untilUs - fromUs) : us), playedUs);
  }
}
