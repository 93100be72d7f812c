/**
 * Horizon: up to where a composite recording may be made now. It lies behind the present, further back while media is
 * missing or late, stands still while nobody is there or the channel is silent, and ends where the recording does.
 */
import type { EndReason } from '../../contract/line/facts.ts';
import { type HostUs, type RecordingUs, toRecording } from '../../kernel/time.ts';
import type { FeedSession, SessionEnd } from '../tracks/feed-session.ts';
import { Patience } from '../tracks/patience.ts';
import type { Participants } from './participants.ts';

/** How far behind the present pictures are composed. A stop encodes this much at once. */
const DELAY_US = 1_000_000;
/** How far behind while somebody's media is incomplete: a gap may still be filled, and packets may be late. */
const MAX_DELAY_US = 2_000_000;
/** While nobody is there nothing is recorded for this long: if nobody comes back, the file ends with the last user. */
const HOLD_EMPTY_US = 60_000_000;

/** Where the recording ends, in recording time, and why. */
export type Ended = { endUs: RecordingUs; reason: EndReason; message: string };

export type HorizonOptions = {
  /** The recording's zero, monotonic. */
  zeroUs: HostUs;
  session: Pick<FeedSession, 'nowUs' | 'emptySinceUs' | 'unheardUs'>;
  participants: Pick<Participants, 'completeUs'>;
  /** How often `advance` is called, microseconds. */
  stepUs: number;
};

export class Horizon {
  readonly #o: HorizonOptions;
  readonly #patience = new Patience();
  #atUs: RecordingUs = Number.NEGATIVE_INFINITY;
  #ended: Ended | undefined;
  /** An earlier run lost the channel with those in it at `atUs`; nobody came since monotonic `emptyUs`. */
  #lost: { atUs: RecordingUs; emptyUs: HostUs | undefined } | undefined;

  constructor(options: HorizonOptions) {
    this.#o = options;
  }

  /** Up to where the recording may be made, as of the last `advance`. */
  get atUs(): RecordingUs {
    return this.#atUs;
  }

  /** Set once all that was sent before the recording's end has been taken. */
  get ended(): Ended | undefined {
    return this.#ended;
  }

  /** Moves on to the session's present. */
  advance(): void {
    this.#atUs = this.#ended ? this.#ended.endUs : this.#lookAhead();
  }

  end({ atMonoUs, reason, message }: SessionEnd): void {
    const atUs = toRecording(atMonoUs, this.#o.zeroUs);
    // An empty channel adds nothing: when the horizon waits for users, the file ends with the last one.
    this.#ended = { endUs: Math.min(atUs, this.#heldUs(atUs) ?? atUs), reason, message };
  }

  /** An earlier run made the recording up to `atUs`, and its channel is gone: nobody is there until users come back. */
  loseChannel(atUs: RecordingUs): void {
    this.#lost = { atUs, emptyUs: this.#o.session.emptySinceUs };
  }

  #lookAhead(): RecordingUs {
    const { session, participants, zeroUs, stepUs } = this.#o;
    const monoUs = session.nowUs;
    const nowUs = toRecording(monoUs, zeroUs);
    const completeUs = Math.max(participants.completeUs(monoUs), nowUs - MAX_DELAY_US);
    const dueUs = Math.min(nowUs - DELAY_US, completeUs);
    const heldUs = this.#heldUs(nowUs - DELAY_US);
    const horizonUs = heldUs === undefined ? dueUs : Math.min(dueUs, heldUs);
    return this.#patience.limit(horizonUs, session.unheardUs, stepUs);
  }

  /** Since when nothing is recorded because nobody is there; undefined when that is not so. */
  #heldUs(nowUs: RecordingUs): RecordingUs | undefined {
    const emptyUs = this.#o.session.emptySinceUs;
    if (emptyUs === undefined) return undefined;
    const lost = this.#lost;
    const heldUs = lost && lost.emptyUs === emptyUs ? lost.atUs : toRecording(emptyUs, this.#o.zeroUs);
    return nowUs - heldUs < HOLD_EMPTY_US ? heldUs : undefined;
  }
}
