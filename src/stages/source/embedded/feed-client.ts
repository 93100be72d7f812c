/**
 * The recorder's end of a feed (`contract/line/feed.ts`): it reads a channel's events and packets from a unix socket,
 * keeps them in order until their moment is taken, and tells the channel what it wants (RTCP) and what is safe.
 */

import { createConnection, type Socket } from 'node:net';
import {
  decodeFeedEvent,
  encodeFeedEvent,
  encodeFeedFrame,
  type FeedEvent,
  type FeedFrame,
  FeedReader,
  type RecorderHello,
} from '../../../contract/line/feed.ts';
import { Fault } from '../../../kernel/fault.ts';
import type { HostUs } from '../../../kernel/time.ts';

/**
 * Memory that is read into, one read behind the other. Memory for each read would cost more than the read; pieces that
 * fit into the holes between longer-lived ones would keep those holes.
 */
const SLAB_BYTES = 256 * 1024;
/** Less room than this is left at the end of a slab. */
const MIN_READ_BYTES = 16 * 1024;
/** How many bytes are read ahead of what was taken; everything beyond waits in the socket, and then in the channel. */
const MAX_AHEAD_BYTES = 32 * 1024 * 1024;

export type FeedListener = {
  onEvent(event: FeedEvent, atUs: HostUs): void;
  /** One RTP datagram of a track, with its arrival on the channel host's monotonic clock, microseconds. */
  onRtp(track: number, datagram: Buffer, arrivalUs: HostUs): void;
  /** One compound RTCP datagram from a track's sender. */
  onRtcp(track: number, datagram: Buffer, arrivalUs: HostUs): void;
};

export type FeedClientOptions = {
  /** What the channel is told first: which run reads, and what it wants. */
  hello: Omit<RecorderHello, 'type'>;
  /** Everything from before the recorder came has been read, but not taken yet. */
  onCaughtUp(): void;
  /**
   * The feed is over: `undefined` when the channel ended it, a Fault when it broke. What was read can still be taken.
   */
  onEnd(fault: Fault | undefined): void;
};

type Waiting = { event: FeedEvent; arrivalUs: HostUs } | FeedFrame;

export class FeedClient {
  readonly #socket: Socket;
  readonly #options: FeedClientOptions;
  readonly #reader = new FeedReader();
  #waiting: Waiting[] = [];
  #head = 0;
  #waitingBytes = 0;
  #bytesRead = 0;
  #firstUs: HostUs | undefined;
  #newestUs = Number.NEGATIVE_INFINITY;
  #caughtUp = false;
  #paused = false;
  #ended = false;
  #safeUs = Number.NEGATIVE_INFINITY;
  /** Memory that is read into, and where the next read goes. It lives as long as somebody has a view of it. */
  #slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
  #slabAt = 0;

  private constructor(path: string, options: FeedClientOptions) {
    this.#options = options;
    const onread = { buffer: () => this.#room(), callback: (bytes: number) => this.#onRead(bytes) };
    this.#socket = createConnection({ path, onread });
  }

  /** Connects to the socket at `path`. Rejects with a Fault when nobody serves it. */
  static connect(path: string, options: FeedClientOptions): Promise<FeedClient> {
    return new Promise((resolve, reject) => {
      const client = new FeedClient(path, options);
      const socket = client.#socket;
      const refuse = (cause: Error) =>
        reject(
          new Fault('feed-unreachable', `no feed at the given socket: ${cause.message}`, { blame: 'self', cause }),
        );
      socket.once('error', refuse);
      socket.once('connect', () => {
        socket.off('error', refuse);
        socket.write(encodeFeedEvent({ type: 'hello', ...options.hello }, 0));
        client.#listen();
        resolve(client);
      });
    });
  }

  /** When the first media of the feed came in, monotonic microseconds; undefined until it was read. */
  get firstMediaUs(): HostUs | undefined {
    return this.#firstUs;
  }

  /**
   * The moment up to which everything that came has been read, monotonic microseconds. It is the present, less the time
   * for which the channel was asked to gather media, when nothing waits to be read; a process that could not read for a
   * while must first catch up, from moment to moment.
   * @param monoUs gives the present
   */
  async readUntil(monoUs: () => number): Promise<number> {
    const nowUs = monoUs();
    const readBefore = this.#bytesRead;
    // The socket is read between two turns of the event loop.
    await new Promise((resolve) => setImmediate(resolve));
    await new Promise((resolve) => setImmediate(resolve));
    if (this.#ended) return nowUs;
    const isWhole = this.#caughtUp && !this.#paused && this.#bytesRead === readBefore;
    const gatheredUs = (this.#options.hello.gatherMs ?? 0) * 1000;
    return isWhole ? nowUs - gatheredUs : Math.min(nowUs, this.#newestUs);
  }

  /** Hands over, in order, what arrived up to `untilUs` (monotonic) and was not taken before. */
  take(untilUs: HostUs, listener: FeedListener): void {
    for (;;) {
      const next = this.#waiting[this.#head];
      if (!next || next.arrivalUs > untilUs) break;
      this.#head++;
      if ('event' in next) {
        listener.onEvent(next.event, next.arrivalUs);
        continue;
      }
      this.#waitingBytes -= next.body.length;
      if (next.kind === 'rtp') listener.onRtp(next.track, next.body, next.arrivalUs);
      else listener.onRtcp(next.track, next.body, next.arrivalUs);
    }
    if (this.#head === this.#waiting.length || this.#head > 4096) {
      this.#waiting = this.#waiting.slice(this.#head);
      this.#head = 0;
    }
    if (!this.#paused || this.#waitingBytes > MAX_AHEAD_BYTES / 2) return;
    this.#paused = false;
    this.#socket.resume();
  }

  /** Sends one RTCP datagram about a track to the channel. Does nothing once the feed is over. */
  sendRtcp(track: number, datagram: Buffer, nowUs: HostUs): void {
    if (!this.#ended) this.#socket.write(encodeFeedFrame('rtcp', track, nowUs, datagram));
  }

  /**
   * Tells the channel that nothing from before `arrivalUs` is needed again. A moment that is not later than the last
   * one is not told.
   */
  sendSafe(arrivalUs: HostUs, nowUs: HostUs): void {
    if (this.#ended || arrivalUs <= this.#safeUs) return;
    this.#safeUs = arrivalUs;
    this.#socket.write(encodeFeedEvent({ type: 'safe', arrivalUs }, nowUs));
  }

  /** Leaves the channel; what was not taken is dropped. */
  close(): void {
    this.#ended = true;
    this.#waiting = [];
    this.#head = 0;
    this.#socket.end();
    // What the channel has sent already is read, or the socket would stay open for it.
    this.#socket.resume();
  }

  #listen(): void {
    const socket = this.#socket;
    socket.on('end', () => this.#end(undefined));
    socket.on('error', (cause) =>
      this.#end(new Fault('feed-lost', `the feed broke: ${cause.message}`, { blame: 'self', cause })),
    );
    socket.on('close', () => this.#end(new Fault('feed-lost', 'the feed closed without an end', { blame: 'self' })));
  }

  /** Memory for the next read. */
  #room(): Buffer {
    if (this.#slab.length - this.#slabAt < MIN_READ_BYTES) {
      this.#slab = Buffer.allocUnsafeSlow(SLAB_BYTES);
      this.#slabAt = 0;
    }
    return this.#slab.subarray(this.#slabAt);
  }

  /** Returns whether more is to be read. */
  #onRead(bytes: number): boolean {
    if (this.#ended) return true;
    const chunk = this.#slab.subarray(this.#slabAt, this.#slabAt + bytes);
    this.#slabAt += bytes;
    try {
      this.#read(chunk);
    } catch (error) {
      if (!(error instanceof Fault) || error.code === 'invariant') throw error;
      this.#end(error);
    }
    return true;
  }

  #read(chunk: Buffer): void {
    this.#bytesRead += chunk.length;
    for (const frame of this.#reader.push(chunk)) {
      const { arrivalUs } = frame;
      this.#newestUs = Math.max(this.#newestUs, arrivalUs);
      if (frame.kind === 'event') {
        const event = decodeFeedEvent(frame.body);
        this.#waiting.push({ event, arrivalUs });
        if (event.type !== 'caughtUp' || this.#caughtUp) continue;
        this.#caughtUp = true;
        this.#options.onCaughtUp();
        continue;
      }
      this.#firstUs ??= arrivalUs;
      this.#waiting.push(frame);
      this.#waitingBytes += frame.body.length;
    }
    if (this.#waitingBytes <= MAX_AHEAD_BYTES || this.#paused) return;
    this.#paused = true;
    this.#socket.pause();
  }

  #end(fault: Fault | undefined): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#socket.destroy();
    this.#options.onEnd(fault);
  }
}
