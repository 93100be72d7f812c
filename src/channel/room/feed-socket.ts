/**
 * The channel's end of a feed (`contract/line/feed.ts`): a unix socket for one recorder. What is written before the
 * recorder has connected is kept for it, so that a process that takes its time to start misses nothing.
 */
import { chmodSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import {
  encodeFeedEvent,
  encodeFeedFrame,
  FEED_HEADER_BYTES,
  type FeedEvent,
  FeedReader,
  writeFeedFrame,
} from '../../contract/line/feed.ts';
import type { Clock, Timer } from '../../kernel/clock.ts';
import { Fault, messageOf } from '../../kernel/fault.ts';
import { parseCompound } from '../../stages/rtp/rtcp.ts';

export const MAX_BUFFERED_BYTES = 64 * 1024 * 1024;
/** Less than a recorder waits for stragglers after a stop. */
const GATHER_MS = 10;
/** Holds the largest datagram with its header. */
const GATHER_BYTES = 0x10000 + FEED_HEADER_BYTES;
const MAX_SPARE = 4;
const DROP_REPORT_MS = 1000;
/** A recorder that does not read the end of its feed for this long is cut off. */
const CLOSE_TIMEOUT_MS = 10_000;

export type FeedLog = { info(fields: object, message: string): void; warn(fields: object, message: string): void };

export type FeedSocketOptions = {
  clock: Clock;
  log: FeedLog;
  path: string;
  /** The recorder wants a key frame of the track. */
  onKeyFrameWanted(track: number): void;
  /** Bytes held for a recorder that is slow or not there yet; 64 MB unless told. */
  maxBufferedBytes?: number;
};

export class FeedSocket {
  readonly path: string;
  readonly #clock: Clock;
  readonly #log: FeedLog;
  readonly #onKeyFrameWanted: (track: number) => void;
  readonly #maxBufferedBytes: number;
  #server: Server | undefined;
  #socket: Socket | undefined;
  /** Undefined once the recorder has connected. */
  #backlog: Buffer[] | undefined = [];
  #backlogBytes = 0;
  #dropped = 0;
  #droppedReported = 0;
  #dropReport: Timer | undefined;
  /** Media that is not on its way yet; the rest of its memory is free. */
  #gathered: Buffer = Buffer.alloc(0);
  #gatheredBytes = 0;
  /** Memory whose media has gone out, to be used again. */
  readonly #spare: Buffer[] = [];
  #over = false;

  constructor(options: FeedSocketOptions) {
    this.path = options.path;
    this.#clock = options.clock;
    this.#log = options.log;
    this.#onKeyFrameWanted = options.onKeyFrameWanted;
    this.#maxBufferedBytes = options.maxBufferedBytes ?? MAX_BUFFERED_BYTES;
  }

  /** Packets that a full buffer cost this recorder. */
  get dropped(): number {
    return this.#dropped;
  }

  get connected(): boolean {
    return this.#socket !== undefined && !this.#over;
  }

  /** Opens the socket, mode 0600. @throws Fault `feed-unavailable` */
  listen(): Promise<void> {
    const server = createServer((socket) => this.#accept(socket));
    this.#server = server;
    return new Promise((resolve, reject) => {
      server.once('error', (cause) =>
        reject(
          new Fault('feed-unavailable', `cannot listen on ${this.path}: ${cause.message}`, { blame: 'self', cause }),
        ),
      );
      server.listen(this.path, () => {
        try {
          chmodSync(this.path, 0o600);
          resolve();
        } catch (cause) {
          reject(
            new Fault('feed-unavailable', `cannot guard ${this.path}: ${messageOf(cause)}`, { blame: 'self', cause }),
          );
        }
      });
    });
  }

  /** Goes out at once, with all that was written before. */
  writeEvent(event: FeedEvent, atUs: number): void {
    this.#write(encodeFeedEvent(event, atUs));
  }

  /** @param kind media is dropped, and counted, when the buffer is full */
  writeMedia(kind: 'rtp' | 'rtcp', track: number, datagram: Buffer, arrivalUs: number): void {
    if (this.#over) return;
    if (this.#bufferedBytes() + datagram.length > this.#maxBufferedBytes) {
      this.#drop();
      return;
    }
    if (this.#backlog) this.#write(encodeFeedFrame(kind, track, arrivalUs, datagram));
    else this.#gather(kind, track, datagram, arrivalUs);
  }

  /** Ends the data and then the connection. Calling it again does nothing. */
  close(): void {
    if (this.#over) return;
    this.#over = true;
    this.#dropReport?.cancel();
    this.#stopListening();
    const socket = this.#socket;
    if (!socket || socket.destroyed) return;
    this.#sendGathered();
    const timer = this.#clock.after(CLOSE_TIMEOUT_MS, () => socket.destroy());
    socket.once('close', () => timer.cancel());
    socket.end();
  }

  #bufferedBytes(): number {
    return this.#backlogBytes + this.#gatheredBytes + (this.#socket?.writableLength ?? 0);
  }

  #write(frame: Buffer): void {
    if (this.#over) return;
    if (this.#backlog) {
      this.#backlog.push(frame);
      this.#backlogBytes += frame.length;
      return;
    }
    this.#sendGathered();
    this.#socket!.write(frame);
  }

  /** One write, one system call and one waking of the recorder for all packets of some milliseconds: it is a second behind. */
  #gather(kind: 'rtp' | 'rtcp', track: number, datagram: Buffer, arrivalUs: number): void {
    if (this.#gatheredBytes + FEED_HEADER_BYTES + datagram.length > this.#gathered.length) {
      this.#sendGathered();
      this.#gathered = this.#spare.pop() ?? Buffer.allocUnsafeSlow(GATHER_BYTES);
    }
    if (this.#gatheredBytes === 0) this.#clock.after(GATHER_MS, () => this.#sendGathered());
    this.#gatheredBytes = writeFeedFrame(this.#gathered, this.#gatheredBytes, kind, track, arrivalUs, datagram);
  }

  #sendGathered(): void {
    if (this.#gatheredBytes === 0) return;
    const memory = this.#gathered;
    const bytes = memory.subarray(0, this.#gatheredBytes);
    this.#gathered = this.#spare.pop() ?? Buffer.alloc(0);
    this.#gatheredBytes = 0;
    this.#socket?.write(bytes, () => {
      if (this.#spare.length < MAX_SPARE) this.#spare.push(memory);
    });
  }

  #accept(socket: Socket): void {
    if (this.#socket || this.#over) {
      socket.destroy();
      return;
    }
    this.#socket = socket;
    this.#stopListening();
    const reader = new FeedReader();
    socket.on('data', (chunk: Buffer) => {
      try {
        for (const frame of reader.push(chunk)) if (frame.kind === 'rtcp') this.#onFeedback(frame.track, frame.body);
      } catch (error) {
        if (!(error instanceof Fault)) throw error;
        this.#log.warn({ err: error }, 'the recorder sent what is no feed frame; its feed is cut');
        socket.destroy();
      }
    });
    // A recorder that went away closes as well; what there is to say is said there.
    socket.on('error', () => {});
    socket.on('close', () => {
      if (this.#over) return;
      this.#over = true;
      this.#dropReport?.cancel();
      this.#log.info({ dropped: this.#dropped }, 'the recorder left its feed');
    });
    const backlog = this.#backlog ?? [];
    this.#backlog = undefined;
    this.#backlogBytes = 0;
    for (const frame of backlog) this.#write(frame);
    this.writeEvent({ type: 'caughtUp' }, this.#clock.monoUs());
  }

  #onFeedback(track: number, datagram: Buffer): void {
    try {
      for (const packet of parseCompound(datagram))
        if (packet.type === 'pictureLossIndication' || packet.type === 'fullIntraRequest')
          this.#onKeyFrameWanted(track);
    } catch (error) {
      if (!(error instanceof Fault)) throw error;
      this.#log.warn({ err: error }, 'the recorder sent RTCP that cannot be read');
    }
  }

  #drop(): void {
    this.#dropped++;
    this.#dropReport ??= this.#clock.after(DROP_REPORT_MS, () => {
      this.#dropReport = undefined;
      const count = this.#dropped - this.#droppedReported;
      this.#droppedReported = this.#dropped;
      this.#log.warn({ count, total: this.#dropped }, 'packets dropped: the recorder reads its feed too slowly');
    });
  }

  #stopListening(): void {
    if (!this.#server) return;
    this.#server.close();
    this.#server = undefined;
    rmSync(this.path, { force: true });
  }
}
