/**
 * AwayStream: one run's reading of a feed whose channel is at home on another node. The recorder's connection stays
 * while the one between the nodes breaks and comes again: to the recorder its channel stands still meanwhile. Moments
 * are told by this node's clock here, and by the home's there.
 */
import type { Socket } from 'node:net';
import {
  decodeFeedEvent,
  decodeRecorderEvent,
  encodeFeedEvent,
  FEED_HEADER_BYTES,
  type FeedFrame,
  FeedReader,
  writeFeedFrame,
} from '../../../contract/line/feed.ts';
import { type Clock, sleep, type Timer } from '../../../kernel/clock.ts';
import { Fault, messageOf } from '../../../kernel/fault.ts';
import { newHexId } from '../../../kernel/ids.ts';
import { ASK_MS, UNHEARD_MS } from './feed-wire.ts';
import type { HomeTime } from './home-time.ts';
import { LastingStream } from './lasting-stream.ts';

/** A connection to the home, how many messages the home has, and what came with the connection already. */
export type HomeConnection = { socket: Socket; head: Buffer; received: number };

export type AwayStreamOptions = {
  /** The recorder's connection. */
  recorder: Socket;
  time: HomeTime;
  /** Connects to the home. Rejects with a Fault, `feed-gone` when the stream cannot go on there. */
  connect(stream: string, received: number): Promise<HomeConnection>;
  clock: Clock;
  log: { info(details: object, text: string): void; warn(details: object, text: string): void };
  /** The connection to the home broke, and will be made again. */
  onBroken(): void;
  /** The last user has left the channel. */
  onLeft(): void;
  /** The home does not have the feed any more. */
  onGone(): void;
  onOver(): void;
};

/** How soon a connection that broke is made again, and the longest time between two attempts. */
const AGAIN_MS = 100;
const MAX_AGAIN_MS = 1_000;

export class AwayStream {
  readonly #o: AwayStreamOptions;
  readonly #id = newHexId();
  readonly #stream: LastingStream;
  readonly #fromHome = new FeedReader();
  readonly #fromRecorder = new FeedReader();
  readonly #over = new AbortController();
  readonly #timer: Timer;
  /** Whether the home, and the recorder, will say nothing more. */
  #homeEnded = false;
  #recorderEnded = false;
  readonly #present = new Set<string>();

  constructor(options: AwayStreamOptions) {
    this.#o = options;
    const { recorder, time, clock } = options;
    this.#stream = new LastingStream({
      onData: (bytes) => this.#toRecorder(bytes),
      onEnd: () => {
        this.#homeEnded = true;
        recorder.end();
      },
      onDrain: () => recorder.resume(),
      onTold: (toldUs, askedUs, answeredUs) => time.steer(toldUs, askedUs, answeredUs),
      monoUs: () => clock.monoUs(),
    });
    recorder.on('drain', () => this.#stream.resume());
    recorder.on('data', (chunk: Buffer) => this.#toHome(chunk));
    recorder.on('end', () => {
      this.#recorderEnded = true;
      this.#stream.end();
    });
    recorder.on('error', () => {});
    recorder.on('close', () => this.#onClosed());
    this.#timer = clock.every(ASK_MS, () => this.#look());
    void this.#keepConnected();
  }

  /** Whether the connection to the home stands and somebody is in the channel there. */
  get isLive(): boolean {
    return this.#stream.isConnected && this.#present.size > 0;
  }

  /** The feed is over: the recorder gets no more of it. */
  cut(): void {
    if (this.#over.signal.aborted) return;
    this.#over.abort();
    this.#timer.cancel();
    this.#stream.detach();
    const { recorder, clock, onOver } = this.#o;
    // What has come is still for the recorder, unless it takes nothing.
    recorder.end();
    clock.after(UNHEARD_MS, () => recorder.destroy());
    onOver();
  }

  async #keepConnected(): Promise<void> {
    const { connect, clock, log } = this.#o;
    const { signal } = this.#over;
    for (let tries = 0; !signal.aborted; tries++) {
      try {
        const { socket, head, received } = await connect(this.#id, this.#stream.received);
        if (signal.aborted) return void socket.destroy();
        this.#stream.attach(socket, head, received);
        this.#stream.ask();
        if (tries > 0) log.info({}, 'the feed of a channel on another node goes on');
        tries = 0;
        await new Promise((resolve) => socket.once('close', resolve));
        if (signal.aborted) return;
        if (this.#homeEnded && this.#recorderEnded) return this.cut();
        log.warn({}, 'the connection to the home of a channel broke; it is made again');
        this.#o.onBroken();
      } catch (error) {
        if (signal.aborted) return;
        if (error instanceof Fault && error.code === 'feed-gone') {
          log.warn({ why: messageOf(error) }, 'the feed of a channel on another node is gone');
          this.cut();
          return this.#o.onGone();
        }
        if (tries === 0) log.warn({ why: messageOf(error) }, 'the home of a channel cannot be reached');
      }
      await sleep(clock, Math.min(MAX_AGAIN_MS, AGAIN_MS * 2 ** Math.min(tries, 10)), signal).catch(() => {});
    }
  }

  #look(): void {
    if (!this.#stream.isConnected) return;
    if (this.#stream.unheardUs(this.#o.clock.monoUs()) > UNHEARD_MS * 1000) this.#stream.detach();
    else this.#stream.ask();
  }

  /** The recorder has gone. The home is told, unless it has ended as well. */
  #onClosed(): void {
    if (!this.#recorderEnded) this.#stream.end();
    this.#recorderEnded = true;
    if (this.#homeEnded || !this.#stream.isConnected) this.cut();
    // It is told once; a home that does not hear of it finds that nobody reads.
    else this.#o.clock.after(UNHEARD_MS, () => this.cut());
  }

  #toRecorder(bytes: Buffer): boolean {
    const { recorder, log } = this.#o;
    if (!recorder.writable) return true;
    let translated: FeedFrame[];
    const wasPresent = this.#present.size > 0;
    try {
      translated = this.#fromHome.push(bytes).map((frame) => this.#byOwnTime(frame));
    } catch (error) {
      if (!(error instanceof Fault) || error.code === 'invariant') throw error;
      log.warn({ why: messageOf(error) }, 'the home sent what no feed holds');
      this.cut();
      return true;
    }
    const hasLeft = wasPresent && this.#present.size === 0;
    const size = translated.reduce((sum, { body }) => sum + FEED_HEADER_BYTES + body.length, 0);
    if (size === 0) return true;
    const out = Buffer.allocUnsafe(size);
    let at = 0;
    for (const { kind, track, arrivalUs, body } of translated)
      at = writeFeedFrame(out, at, kind, track, arrivalUs, body);
    const isTaken = recorder.write(out);
    if (hasLeft) this.#o.onLeft();
    return isTaken;
  }

  /** `hello` stays as it is: a feed is known by it. */
  #byOwnTime(frame: FeedFrame): FeedFrame {
    const { time } = this.#o;
    const arrivalUs = time.toOwn(frame.arrivalUs);
    if (frame.kind !== 'event') return { ...frame, arrivalUs };
    const event = decodeFeedEvent(frame.body);
    if (event.type === 'userJoined') this.#present.add(event.uid);
    if (event.type === 'userLeft') this.#present.delete(event.uid);
    if (event.type !== 'dropped') return { ...frame, arrivalUs };
    const { fromUs, untilUs } = event;
    const told = { ...event, fromUs: time.toOwn(fromUs), untilUs: time.toOwn(untilUs) };
    return { ...frame, arrivalUs, body: Buffer.from(JSON.stringify(told)) };
  }

  #toHome(chunk: Buffer): void {
    const { recorder, time, log } = this.#o;
    try {
      for (const { kind, track, arrivalUs, body } of this.#fromRecorder.push(chunk)) {
        const frame = Buffer.allocUnsafe(FEED_HEADER_BYTES + body.length);
        writeFeedFrame(frame, 0, kind, track, arrivalUs, body);
        const event = kind === 'event' ? decodeRecorderEvent(body) : undefined;
        const told =
          event?.type === 'safe'
            ? encodeFeedEvent({ type: 'safe', arrivalUs: time.toHomeAtMost(event.arrivalUs) }, arrivalUs)
            : frame;
        if (!this.#stream.write(told)) recorder.pause();
      }
    } catch (error) {
      if (!(error instanceof Fault) || error.code === 'invariant') throw error;
      log.warn({ why: messageOf(error) }, 'the recorder sent what no feed holds; it is cut off');
      this.cut();
    }
  }
}
