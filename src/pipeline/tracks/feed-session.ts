/**
 * FeedSession: a recorder's stay in its channel, from the connected feed to its end. It is the recording's clock: a run
 * goes from moment to moment of what it has read, and does the same with what happened while it was not there or was
 * too busy.
 */

import type { ChannelState } from '../../contract/line/channel-state.ts';
import type { StartCommand } from '../../contract/line/commands.ts';
import type { EndReason } from '../../contract/line/facts.ts';
import type { FeedEvent, RecorderHello } from '../../contract/line/feed.ts';
import type { Clock } from '../../kernel/clock.ts';
import { type HostUs, type RecordingUs, toHost, toRecording } from '../../kernel/time.ts';
import { FeedClient } from '../../stages/source/embedded/feed-client.ts';
import type { Happening } from '../recording.ts';
import { IdleWatch } from './idle-watch.ts';
import type { StreamChange } from './stream-state.ts';

/** After a stop, packets that were sent before it may still come up the socket for this long. */
const STRAGGLERS_US = 30_000;
/**
 * A run that catches up lets others have a turn after this long: recordings that share its process, and whoever asks
 * whether it hangs.
 */
const TURN_US = 20_000;
/** A track's sender is asked for the same thing at most this often, however fast a run catches up. */
const FEEDBACK_US = 400_000;

/** The channel is told at most this often what is safe: it keeps a little more meanwhile. */
const SAFE_EVERY_US = 1_000_000;

/** Where the recording ends, monotonic microseconds, and why. */
export type SessionEnd = { atMonoUs: HostUs; reason: EndReason; message: string };

/** Takes a feed's events and packets: the recording's tracks. */
type FeedTaker = {
  /** How many users are in the channel. */
  count(): number;
  onEvent(event: FeedEvent, atUs: HostUs): void;
  onRtp(track: number, datagram: Buffer, arrivalUs: HostUs): void;
  onRtcp(track: number, datagram: Buffer, arrivalUs: HostUs): void;
  /** Nothing that arrives after `atMonoUs` belongs to the recording. */
  end(atMonoUs: HostUs): void;
};

export type FeedSessionOptions = {
  start: Pick<StartCommand, 'source' | 'generation' | 'zeroMonoUs'>;
  clock: Clock;
  maxIdleMs: number;
  /** The distance of the recording's moments; each lies at a multiple of it. */
  stepMs: number;
  /** How the channel is to hand over media, where that is not as usual. */
  feed?: Pick<RecorderHello, 'gatherMs' | 'kinds'> | undefined;
  taker: FeedTaker;
  emit(happening: Happening): void;
  /** Everything sent before the end has been taken. Called once, before the last step. */
  onEnd(end: SessionEnd): void;
  /** What an earlier run knew of its channel. */
  state?: ChannelState | undefined;
};

export class FeedSession {
  readonly #o: FeedSessionOptions;
  #idle: IdleWatch;
  #feed: FeedClient | undefined;
  /** True once all that was kept for us before we joined has been read. */
  #caughtUp = false;
  /** What became of streams before that. */
  readonly #early: StreamChange[] = [];
  /** When the sender of each track was last told something. */
  readonly #fedBackUs = new Map<number, number>();
  /** Up to which moment everything was taken, in steps from the recording's zero; undefined before the first. */
  #step: number | undefined;
  /** When the channel was last heard, as far as has been taken. */
  #heardUs: HostUs | undefined;
  #toldSafeUs = Number.NEGATIVE_INFINITY;
  #ending: SessionEnd | undefined;
  #ended = false;
  #advancing = false;
  #closed = false;
  #packets = 0;

  constructor(options: FeedSessionOptions) {
    this.#o = options;
    const { start, clock } = options;
    // Users who were there when an earlier run was lost with its channel have this long to come back.
    this.#idle = new IdleWatch(start.generation > 1 ? clock.monoUs() : start.zeroMonoUs);
  }

  /** The present of this run, monotonic microseconds: everything from before it has been taken. */
  get nowUs(): HostUs {
    const { zeroMonoUs } = this.#o.start;
    if (this.#ended && this.#ending) return this.#ending.atMonoUs;
    return this.#step === undefined ? zeroMonoUs : this.#timeOf(this.#step);
  }

  /** The same, microseconds of the recording; undefined before anything has been taken. */
  get takenUs(): RecordingUs | undefined {
    return this.#step === undefined ? undefined : toRecording(this.nowUs, this.#o.start.zeroMonoUs);
  }

  /** How far the run's present is behind real time, microseconds. */
  get lagUs(): number {
    if (this.#ended || this.#step === undefined) return 0;
    const untilUs = Math.min(this.#o.clock.monoUs(), this.#ending?.atMonoUs ?? Number.POSITIVE_INFINITY);
    return Math.max(0, untilUs - this.nowUs - this.#o.stepMs * 1000);
  }

  /** How many packets have been taken. */
  get packets(): number {
    return this.#packets;
  }

  /** True once the recording was told to end. */
  get stopping(): boolean {
    return this.#ending !== undefined;
  }

  /** Since when nobody is there, monotonic microseconds; undefined while somebody is. */
  get emptySinceUs(): HostUs | undefined {
    return this.#idle.emptySinceUs;
  }

  /** How long nothing at all was heard of the channel, microseconds; it says every `FEED_ALIVE_MS` that it is there. */
  get unheardUs(): number {
    return this.#heardUs === undefined ? 0 : this.nowUs - this.#heardUs;
  }

  /** Rejects with a Fault when the feed cannot be had. */
  async join(): Promise<void> {
    const { start, clock, feed } = this.#o;
    if (start.source.kind !== 'feed') throw new TypeError('a channel is read by its feed');
    this.#feed = await FeedClient.connect(start.source.path, {
      hello: { generation: start.generation, ...feed },
      onCaughtUp: () => this.#onCaughtUp(),
      onEnd: (fault) => {
        this.#onCaughtUp();
        const message = fault?.message ?? 'the channel ended the feed';
        this.end({ atMonoUs: clock.monoUs(), reason: 'feedLost', message });
      },
    });
  }

  /**
   * Takes everything that has been read, moment by moment, and calls `step` after each. Does nothing while an earlier
   * call goes on; a later call takes what is read meanwhile. Rejects when `step` does, or who takes what was read.
   */
  async advance(step: () => Promise<void> | void): Promise<void> {
    const { clock, onEnd } = this.#o;
    const feed = this.#feed;
    if (this.#advancing || !feed || this.#ended) return;
    this.#advancing = true;
    try {
      const untilUs = await feed.readUntil(() => clock.monoUs());
      this.#step ??= this.#firstStep(feed);
      if (this.#step === undefined) return;
      let turnUs = clock.monoUs();
      while (!this.#ended && !this.#closed) {
        const nextUs = this.#timeOf(this.#step + 1);
        const end = this.#ending;
        if (end && nextUs >= end.atMonoUs) {
          if (untilUs < end.atMonoUs + STRAGGLERS_US) return;
          this.#take(feed, end.atMonoUs);
          this.#ended = true;
          this.#o.taker.end(end.atMonoUs);
          onEnd(end);
        } else {
          if (nextUs > untilUs) return;
          this.#take(feed, nextUs);
          this.#step++;
          this.#endIfIdle(nextUs);
        }
        await step();
        if (clock.monoUs() - turnUs < TURN_US) continue;
        await new Promise((resolve) => setImmediate(resolve));
        turnUs = clock.monoUs();
      }
    } finally {
      this.#advancing = false;
    }
  }

  sendRtcp(track: number, datagram: Buffer): void {
    const nowUs = this.#o.clock.monoUs();
    if (nowUs - (this.#fedBackUs.get(track) ?? Number.NEGATIVE_INFINITY) < FEEDBACK_US) return;
    this.#fedBackUs.set(track, nowUs);
    this.#feed?.sendRtcp(track, datagram, nowUs);
  }

  /**
   * Tells the channel that everything that arrived before `arrivalUs` (monotonic) is on disk and will not be asked for
   * again.
   */
  sendSafe(arrivalUs: HostUs): void {
    const nowUs = this.#o.clock.monoUs();
    if (nowUs - this.#toldSafeUs < SAFE_EVERY_US) return;
    this.#toldSafeUs = nowUs;
    this.#feed?.sendSafe(arrivalUs, nowUs);
  }

  /** Streams are told of only after the recorder has told that it joined, including those that were there before. */
  tellStream(change: StreamChange): void {
    if (this.#caughtUp) this.#o.emit({ type: 'streamStateChanged', ...change });
    else this.#early.push(change);
  }

  /** Ends the recording once everything sent before has been taken. Calling it again does nothing. */
  end(end: SessionEnd): void {
    this.#ending ??= end;
  }

  /** Leaves the channel. Nothing more is taken. */
  close(): void {
    this.#closed = true;
    this.#feed?.close();
  }

  #timeOf(step: number): HostUs {
    return toHost(step * this.#o.stepMs * 1000, this.#o.start.zeroMonoUs);
  }

  /**
   * A run begins with the first media, or with the recording if that is later; undefined while earlier media may still
   * come.
   */
  #firstStep(feed: FeedClient): number | undefined {
    if (feed.firstMediaUs === undefined && !this.#caughtUp) return undefined;
    const { zeroMonoUs } = this.#o.start;
    const firstUs = Math.max(zeroMonoUs, feed.firstMediaUs ?? zeroMonoUs);
    return Math.floor(toRecording(firstUs, zeroMonoUs) / (this.#o.stepMs * 1000)) - 1;
  }

  #take(feed: FeedClient, untilUs: HostUs): void {
    const { taker, emit, state } = this.#o;
    const hear = (atUs: HostUs) => {
      this.#heardUs = Math.max(this.#heardUs ?? atUs, atUs);
    };
    feed.take(untilUs, {
      onEvent: (event, atUs) => {
        hear(atUs);
        if (event.type === 'hello' && event.monoUs === state?.feedUs)
          if (state.emptySinceUs !== undefined) this.#idle = new IdleWatch(state.emptySinceUs);
        if (event.type === 'dropped') {
          const ms = Math.round((event.untilUs - event.fromUs) / 1000);
          const what = `the channel could not keep ${ms} ms of a track for the recorder`;
          emit({ type: 'degraded', what, count: event.packets });
        }
        if (event.type === 'trackEnded') this.#fedBackUs.delete(event.track);
        taker.onEvent(event, atUs);
        this.#idle.onPresence(taker.count(), atUs);
      },
      onRtp: (track, datagram, arrivalUs) => {
        hear(arrivalUs);
        this.#packets++;
        taker.onRtp(track, datagram, arrivalUs);
      },
      onRtcp: (track, datagram, arrivalUs) => taker.onRtcp(track, datagram, arrivalUs),
    });
  }

  /** Ends the recording of a channel that was empty for too long. */
  #endIfIdle(nowUs: HostUs): void {
    const { maxIdleMs } = this.#o;
    if (!this.#idle.isExpired(nowUs, maxIdleMs)) return;
    this.end({ atMonoUs: nowUs, reason: 'idle', message: `nobody was in the channel for ${maxIdleMs / 1000} s` });
  }

  #onCaughtUp(): void {
    if (this.#caughtUp) return;
    this.#caughtUp = true;
    this.#o.emit({ type: 'joined' });
    for (const change of this.#early.splice(0)) this.tellStream(change);
  }
}
