/**
 * Patience: how far a recording may be made while its channel stands still. A server that was stopped, or had no turn
 * for seconds, hands over everything that waited once it goes on, as does one that the recorder's node could not reach:
 * by waiting, the recording gives that its place even when it comes later than any network would make it. Pure.
 */
import type { RecordingUs } from '../../kernel/time.ts';

/**
 * A channel that was not heard for this long stands still. It is less than recordings lie behind, so that the last
 * media before the standstill is not cut off.
 */
const UNHEARD_US = 600_000;
/** A channel that stands still for longer is no longer waited for. */
const MAX_AWAY_US = 20_000_000;
/**
 * Afterwards the recording is composed at this many times real time. Lost packets that the system had no room for are
 * asked for meanwhile, and a machine that was too busy for one turn may be too busy for the next.
 */
const CATCH_UP = 2;

export class Patience {
  /** Up to where it may be composed; undefined while nothing holds it up. */
  #limitUs: RecordingUs | undefined;

  /**
   * Up to where it may be composed.
   * @param horizonUs up to where the recording would be made if nothing held it up
   * @param unheardUs how long the channel has not been heard
   * @param stepUs since the last call
   */
  limit(horizonUs: RecordingUs, unheardUs: number, stepUs: number): number {
    if (unheardUs > UNHEARD_US && unheardUs < MAX_AWAY_US) this.#limitUs ??= horizonUs;
    else if (this.#limitUs !== undefined) this.#limitUs += stepUs * CATCH_UP;
    if (this.#limitUs !== undefined && unheardUs <= UNHEARD_US && this.#limitUs >= horizonUs) this.#limitUs = undefined;
    return Math.min(horizonUs, this.#limitUs ?? horizonUs);
  }
}
