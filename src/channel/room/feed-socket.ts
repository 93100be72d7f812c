/**
 * FeedSocket: where recorders read a feed (`contract/line/feed.ts`): a unix socket that lives as long as the feed. One
 * recorder reads at a time; a newer run of the recording takes the place of an older one.
 */
import { chmodSync, mkdtempSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { FEED_ALIVE_MS, type RecorderEvent } from '../../contract/line/feed.ts';
import type { Clock, Timer } from '../../kernel/clock.ts';
import { Fault, messageOf } from '../../kernel/fault.ts';
import type { Feed } from './feed.ts';
import { FeedConnection, type FeedLog } from './feed-connection.ts';
import type { FeedReading } from './feed-reading.ts';

/** Whoever connects must say within this time which run it is of, and gets nothing before. */
const HELLO_TIMEOUT_MS = 5000;
/** At most this many connections may wait without having said anything. */
const MAX_WAITING = 8;

/**
 * The folder of the feeds' sockets. A socket needs a short path, which the data folder may not have. A temporary folder
 * is the second choice, because machines clean out what looks unused there.
 */
export function feedDirOf(dataDir: string): string {
  const own = join(dataDir, 'feeds');
  return Buffer.byteLength(own) <= 80 ? own : mkdtempSync(join(tmpdir(), 'aircheck-'));
}

export type FeedSocketOptions = {
  clock: Clock;
  log: FeedLog;
  path: string;
  feed: Feed;
};

export class FeedSocket {
  readonly path: string;
  readonly #clock: Clock;
  readonly #log: FeedLog;
  readonly #feed: Feed;
  readonly #waiting = new Set<FeedConnection>();
  #server: Server | undefined;
  #alive: Timer | undefined;
  #current: { connection: FeedConnection; reading: FeedReading } | undefined;
  /** The newest run that has read the feed. */
  #generation: number | undefined;
  #isOver = false;

  constructor({ clock, log, path, feed }: FeedSocketOptions) {
    this.path = path;
    this.#clock = clock;
    this.#log = log;
    this.#feed = feed;
  }

  /** Opens the socket, mode 0600. @throws Fault `feed-unavailable` */
  listen(): Promise<void> {
    const server = createServer((socket) => this.#accept(socket));
    this.#server = server;
    const unavailable = (what: string, cause: unknown) =>
      new Fault('feed-unavailable', `cannot ${what} ${this.path}: ${messageOf(cause)}`, { blame: 'self', cause });
    return new Promise((resolve, reject) => {
      server.once('error', (cause) => reject(unavailable('listen on', cause)));
      server.listen(this.path, () => {
        try {
          chmodSync(this.path, 0o600);
          this.#alive = this.#clock.every(FEED_ALIVE_MS, () => this.#sayAlive());
          resolve();
        } catch (cause) {
          reject(unavailable('guard', cause));
        }
      });
    });
  }

  /** Ends the feed: its reader still gets everything that came before. Calling it again does nothing. */
  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#alive?.cancel();
    this.#server?.close();
    rmSync(this.path, { force: true });
    for (const connection of this.#waiting) connection.destroy();
    this.#feed.end();
    this.#finish();
  }

  /** Only after what waited while this process had no turn: timers come first in a turn of the event loop. */
  #sayAlive(): void {
    const say = () => {
      const { connection, reading } = this.#current ?? {};
      if (reading?.isLive) connection?.writeAlive(this.#clock.monoUs());
    };
    setImmediate(() => setImmediate(say));
  }

  #accept(socket: Socket): void {
    if (this.#isOver || this.#waiting.size >= MAX_WAITING) {
      socket.destroy();
      return;
    }
    const connection = new FeedConnection(socket, {
      clock: this.#clock,
      log: this.#log,
      onEvent: (from, event) => this.#onEvent(from, event),
      onKeyFrameWanted: (track) => this.#feed.wantKeyFrame(track),
      onDrained: (from) => this.#onDrained(from),
      onClose: (from) => this.#onClose(from),
    });
    this.#waiting.add(connection);
    this.#clock.after(HELLO_TIMEOUT_MS, () => {
      if (this.#waiting.has(connection)) connection.destroy();
    });
  }

  #onEvent(connection: FeedConnection, event: RecorderEvent): void {
    if (event.type === 'safe') {
      if (this.#current?.connection === connection) this.#feed.release(event.arrivalUs, this.#clock.monoUs());
      return;
    }
    const { generation, gatherMs, kinds } = event;
    if (this.#generation !== undefined && generation <= this.#generation) {
      this.#log.warn({ generation, newest: this.#generation }, 'a run that is not the newest is turned away');
      connection.destroy();
      return;
    }
    this.#generation = generation;
    const former = this.#current?.connection;
    this.#current = undefined;
    former?.destroy();
    this.#waiting.delete(connection);
    if (gatherMs !== undefined) connection.gatherFor(gatherMs);
    this.#current = { connection, reading: this.#feed.read(connection, this.#clock.monoUs(), kinds) };
  }

  #onDrained(connection: FeedConnection): void {
    if (this.#current?.connection !== connection) return;
    this.#current.reading.onDrained();
    if (this.#isOver) this.#finish();
  }

  #onClose(connection: FeedConnection): void {
    this.#waiting.delete(connection);
    if (this.#current?.connection !== connection) return;
    this.#current = undefined;
    this.#feed.stopReading();
    if (this.#isOver) this.#finish();
    else this.#log.info({ generation: this.#generation }, 'the recorder left its feed');
  }

  /** Frees everything once nobody has to be given anything any more. */
  #finish(): void {
    const current = this.#current;
    if (current && !current.reading.isFinished) return;
    this.#current = undefined;
    this.#feed.close(this.#clock.monoUs());
    current?.connection.end();
  }
}
