/**
 * Places: who is recorded where more users send than the start call's group allows (contract §1.2.2): first come first
 * served. Who has a place keeps it until leaving the channel, also while publishing anew.
 */
import type { Track } from '../../media/track.ts';
import type { TrackEntry, TrackLine } from '../tracks/channel-tracks.ts';

export class Places {
  readonly #most: number;
  readonly #onRefused: (uid: string) => void;
  /** Users who were refused; each is told of once. */
  readonly #refused = new Set<string>();

  /** @param most how many users are recorded at once */
  constructor(most: number, onRefused: (uid: string) => void) {
    this.#most = most;
    this.#onRefused = onRefused;
  }

  /** @param entries the tracks that are recorded */
  admits({ uid }: Track, entries: Iterable<TrackEntry<TrackLine>>): boolean {
    const recorded = new Set<string>();
    for (const { track, unwantedUs, endedUs, hasLeft } of entries)
      if (unwantedUs === Number.POSITIVE_INFINITY && (endedUs === Number.POSITIVE_INFINITY || !hasLeft))
        recorded.add(track.uid);
    if (recorded.has(uid) || recorded.size < this.#most) return true;
    if (this.#refused.has(uid)) return false;
    this.#refused.add(uid);
    this.#onRefused(uid);
    return false;
  }
}
