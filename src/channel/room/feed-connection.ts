/**
 * FeedConnection: one recorder at the socket of its feed. Writes media in few pieces, and reads what the recorder says.
 */

import type { Socket } from 'node:net';
import {
  decodeRecorderEvent,
  encodeFeedEvent,
  FEED_GATHER_MS,
  FEED_HEADER_BYTES,
  type FeedEvent,
  type FeedFrame,
  type FeedKind,
  FeedReader,
  type RecorderEvent,
  writeFeedFrame,
} from '../../contract/line/feed.ts';
import type { Clock, Timer } from '../../kernel/clock.ts';
import { Fault } from '../../kernel/fault.ts';
import type { HostUs } from '../../kernel/time.ts';
import { parseCompound } from '../../stages/rtp/rtcp.ts';
import type { FeedSink } from './feed-reading.ts';

/** Room for the largest datagram with its header. */
const GATHER_BYTES = 0x10000 + FEED_HEADER_BYTES;
const MAX_SPARE = 4;
const ALIVE = Buffer.from(JSON.stringify({ type: 'alive' } satisfies FeedEvent));
/**
 * At most this much is handed to the socket before the recorder takes some; the rest stays in the logs, which keep it
 * anyway.
 */
const MAX_UNSENT_BYTES = 1024 * 1024;
/** A recorder that does not read the end of its feed for this long is cut off. */
const CLOSE_TIMEOUT_MS = 10_000;

export type FeedLog = { info(fields: object, message: string): void; warn(fields: object, message: string): void };

export type FeedConnectionOptions = {
  clock: Clock;
  log: FeedLog;
  onEvent(connection: FeedConnection, event: RecorderEvent): void;
  /** The recorder wants a key frame of the track. */
  onKeyFrameWanted(track: number): void;
  onDrained(connection: FeedConnection): void;
  /** It is over; called once. */
  onClose(connection: FeedConnection): void;
};

export class FeedConnection implements FeedSink {
  readonly #socket: Socket;
  readonly #o: FeedConnectionOptions;
  readonly #frames = new FeedReader();
  /** Media that has not been written yet, at the start of its memory. */
  #gathered: Buffer = Buffer.alloc(0);
  #gatheredBytes = 0;
  /** Runs while media is gathered, and once more after what filled its memory sooner. */
  #timer: Timer | undefined;
  /** Memory of media that has been written, to be used again. */
  readonly #spare: Buffer[] = [];
  #gatherMs = FEED_GATHER_MS;

  constructor(socket: Socket, options: FeedConnectionOptions) {
    this.#socket = socket;
    this.#o = options;
    socket.on('data', (chunk: Buffer) => this.#take(chunk));
    socket.on('drain', () => options.onDrained(this));
    // A recorder that went away closes its connection as well, and `onClose` tells of it.
    socket.on('error', () => {});
    socket.on('close', () => options.onClose(this));
  }

  /** From now on media is gathered for so long. */
  gatherFor(ms: number): void {
    this.#gatherMs = ms;
  }

  get isFull(): boolean {
    return this.#socket.writableLength > MAX_UNSENT_BYTES;
  }

  /** Says that the channel is there: with the media that waits, so that it wakes nobody by itself. */
  writeAlive(atUs: HostUs): void {
    if (this.#gatheredBytes > 0) this.#gather('event', 0, ALIVE, atUs);
    else this.writeEvent({ type: 'alive' }, atUs);
  }

  /** Written at once, with all media gathered before it. */
  writeEvent(event: FeedEvent, atUs: HostUs): void {
    this.#sendGathered();
    if (this.#socket.writable) this.#socket.write(encodeFeedEvent(event, atUs));
  }

  /**
   * Media is gathered for as long as the recorder said: one write, one system call and one waking of the recorder serve
   * many packets. The recorder works later than that anyway.
   */
  writeMedia(kind: 'rtp' | 'rtcp', track: number, datagram: Buffer, arrivalUs: HostUs): void {
    this.#gather(kind, track, datagram, arrivalUs);
  }

  #gather(kind: FeedKind, track: number, datagram: Buffer, arrivalUs: HostUs): void {
    if (this.#gatheredBytes + FEED_HEADER_BYTES + datagram.length > this.#gathered.length) {
      this.#sendGathered();
      this.#gathered = this.#spare.pop() ?? Buffer.allocUnsafeSlow(GATHER_BYTES);
    }
    this.#timer ??= this.#o.clock.after(this.#gatherMs, () => {
      this.#timer = undefined;
      this.#sendGathered();
    });
    this.#gatheredBytes = writeFeedFrame(this.#gathered, this.#gatheredBytes, kind, track, arrivalUs, datagram);
  }

  /** Ends the data, and then the connection. */
  end(): void {
    this.#sendGathered();
    const timer = this.#o.clock.after(CLOSE_TIMEOUT_MS, () => this.#socket.destroy());
    this.#socket.once('close', () => timer.cancel());
    this.#socket.end();
  }

  /** Cuts the connection. */
  destroy(): void {
    this.#socket.destroy();
  }

  #sendGathered(): void {
    if (this.#gatheredBytes === 0) return;
    const memory = this.#gathered;
    const bytes = memory.subarray(0, this.#gatheredBytes);
    this.#gathered = this.#spare.pop() ?? Buffer.alloc(0);
    this.#gatheredBytes = 0;
    if (!this.#socket.writable) return;
    this.#socket.write(bytes, () => {
      if (this.#spare.length < MAX_SPARE) this.#spare.push(memory);
    });
  }

  #take(chunk: Buffer): void {
    try {
      for (const frame of this.#frames.push(chunk)) this.#takeFrame(frame);
    } catch (error) {
      if (!(error instanceof Fault) || error.code === 'invariant') throw error;
      this.#o.log.warn({ err: error }, 'the recorder sent what no feed holds; it is cut off');
      this.#socket.destroy();
    }
  }

  #takeFrame({ kind, track, body }: FeedFrame): void {
    if (kind === 'event') this.#o.onEvent(this, decodeRecorderEvent(body));
    if (kind !== 'rtcp') return;
    try {
      for (const packet of parseCompound(body))
        if (packet.type === 'pictureLossIndication' || packet.type === 'fullIntraRequest')
          this.#o.onKeyFrameWanted(track);
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      this.#o.log.warn({ err: error }, 'the recorder sent RTCP that cannot be read');
    }
  }
}
