/**
 * FeedSession: a recorder's stay in its channel, from the connected feed to its end. Knows when all that was kept before it
 * joined has been read, since when nobody is there, and when a recording that is to stop may do so.
 */
import type { StartCommand } from '../../contract/line/commands.ts';
import type { EndReason } from '../../contract/line/facts.ts';
import type { FeedEvent } from '../../contract/line/feed.ts';
import type { Clock } from '../../kernel/clock.ts';
import type { Fault } from '../../kernel/fault.ts';
import { FeedClient } from '../../stages/source/embedded/feed-client.ts';
import type { Happening } from '../recording.ts';
import { IdleWatch } from './idle-watch.ts';
import type { StreamChange } from './stream-state.ts';

/** After a stop, packets that were sent before it may still come up the socket for this long. */
const STRAGGLERS_MS = 30;

/** Where the recording ends, monotonic microseconds, and why. */
export type SessionEnd = { atMonoUs: number; reason: EndReason; message: string };

/** What takes a feed's events and packets: the recording's tracks. */
export type FeedTaker = {
  /** How many users are there. */
  count(): number;
  onEvent(event: FeedEvent, atUs: number): void;
  onRtp(track: number, datagram: Buffer, arrivalUs: number): void;
  onRtcp(track: number, datagram: Buffer, arrivalUs: number): void;
  /** Nothing that arrives after `atMonoUs` belongs to the recording. */
  end(atMonoUs: number): void;
};

export type FeedSessionOptions = {
  start: Pick<StartCommand, 'source' | 'zeroMonoUs'>;
  clock: Clock;
  maxIdleMs: number;
  taker: FeedTaker;
  emit(happening: Happening): void;
  /** Everything sent before the end has been taken. Called once. */
  onEnd(end: SessionEnd): void;
};

export class FeedSession {
  readonly #o: FeedSessionOptions;
  readonly #idle: IdleWatch;
  #feed: FeedClient | undefined;
  /** True once all that was kept for us before we joined has been read. */
  #caughtUp = false;
  /** What became of streams before that. */
  readonly #early: StreamChange[] = [];
  /** Set once the recording is to end; carries it out as soon as it can be. */
  #stopping: (() => void) | undefined;
  #ended = false;

  constructor(options: FeedSessionOptions) {
    this.#o = options;
    this.#idle = new IdleWatch(options.start.zeroMonoUs);
  }

  get caughtUp(): boolean {
    return this.#caughtUp;
  }

  /** True once the recording was told to end. */
  get stopping(): boolean {
    return this.#stopping !== undefined;
  }

  /** Since when nobody is there, monotonic microseconds; undefined while somebody is. */
  get emptySinceUs(): number | undefined {
    return this.#idle.emptySinceUs;
  }

  /** Rejects with a Fault when the feed cannot be had. */
  async join(): Promise<void> {
    const { start, clock, taker } = this.#o;
    this.#feed = await FeedClient.connect(start.source.path, {
      onEvent: (event, atUs) => {
        taker.onEvent(event, atUs);
        this.#idle.onPresence(taker.count(), atUs);
        if (event.type === 'caughtUp') this.#onCaughtUp();
      },
      onRtp: (track, datagram, arrivalUs) => taker.onRtp(track, datagram, arrivalUs),
      onRtcp: (track, datagram, arrivalUs) => taker.onRtcp(track, datagram, arrivalUs),
      onEnd: (fault: Fault | undefined) => {
        this.#onCaughtUp();
        this.end({
          atMonoUs: clock.monoUs(),
          reason: 'feedLost',
          message: fault?.message ?? 'the channel ended the feed',
        });
      },
    });
  }

  sendRtcp(track: number, datagram: Buffer): void {
    this.#feed?.sendRtcp(track, datagram, this.#o.clock.monoUs());
  }

  /** Streams are told of once the recorder has told that it is there, also those that were there before it. */
  tellStream(change: StreamChange): void {
    if (this.#caughtUp) this.#o.emit({ type: 'streamStateChanged', ...change });
    else this.#early.push(change);
  }

  /** Ends the recording of a channel that was empty for too long. */
  poll(nowUs: number): void {
    const { maxIdleMs } = this.#o;
    if (!this.#idle.isExpired(nowUs, maxIdleMs)) return;
    const message = `nobody was in the channel for ${maxIdleMs / 1000} s`;
    this.end({ atMonoUs: nowUs, reason: 'idle', message });
  }

  /** Ends the recording. Calling it again does nothing. */
  end(end: SessionEnd): void {
    if (this.#stopping) return;
    const { clock, taker, onEnd } = this.#o;
    this.#stopping = () => {
      // A stop that comes before the feed was read waits for it: what is in there was sent before the stop.
      if (!this.#caughtUp || this.#ended) return;
      this.#ended = true;
      taker.end(end.atMonoUs);
      onEnd(end);
    };
    clock.after(STRAGGLERS_MS, this.#stopping);
  }

  close(): void {
    this.#feed?.close();
  }

  #onCaughtUp(): void {
    if (this.#caughtUp) return;
    this.#caughtUp = true;
    this.#o.emit({ type: 'joined' });
    for (const change of this.#early.splice(0)) this.tellStream(change);
    this.#stopping?.();
  }
}
