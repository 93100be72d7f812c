/**
 * Patience: how far a recording may be composed while its channel stands still. A server that was stopped, or had no
 * turn for seconds, hands over all that waited for it when it goes on: what is late by more than any network makes it
 * has its place then. Pure.
 */
import type { RecordingUs } from '../../kernel/time.ts';

/**
 * A channel that is not heard of for so long stands still. Less than composition is behind: what it ends with is not
 * cut.
 */
const UNHEARD_US = 600_000;
/** One that stands still for longer is waited for no more. */
const MAX_AWAY_US = 20_000_000;
/**
 * Afterwards so much is composed in each time. Packets that the system had no room for are asked for meanwhile, and a
 * machine that is too busy for one turn is too busy for the next.
 */
const CATCH_UP = 2;

export class Patience {
  /** Up to where may be composed; undefined while nothing holds it up. */
  #limitUs: RecordingUs | undefined;

  /**
   * Up to where may be composed.
   * @param horizonUs up to where the recording would be made if nothing held it up
   * @param unheardUs how long the channel was not heard of
   * @param stepUs since the last call
   */
  limit(horizonUs: RecordingUs, unheardUs: number, stepUs: number): number {
    if (unheardUs > UNHEARD_US && unheardUs < MAX_AWAY_US) this.#limitUs ??= horizonUs;
    else if (this.#limitUs !== undefined) this.#limitUs += stepUs * CATCH_UP;
    if (this.#limitUs !== undefined && unheardUs <= UNHEARD_US && this.#limitUs >= horizonUs) this.#limitUs = undefined;
    return Math.min(horizonUs, this.#limitUs ?? horizonUs);
  }
}
