/**
 * HomeFeeds: the feeds of this node's channels that recorders on other nodes read (ADR 0032). Each run's stream reads
 * the feed's own socket, as a recorder here would, and sends what it reads to the other node as it is.
 */
import { createConnection, type Socket } from 'node:net';
import type { OpenFeed, Rooms } from '../../../channel/room/rooms.ts';
import type { Clock, Timer } from '../../../kernel/clock.ts';
import { Fault } from '../../../kernel/fault.ts';
import type { HostUs } from '../../../kernel/time.ts';
import { ASK_MS, type OpenedFeed, type OpenFeedRequest, UNHEARD_MS, UNREAD_MS } from './feed-wire.ts';
import { LastingStream } from './lasting-stream.ts';

export type HomeFeedsOptions = {
  rooms: Pick<Rooms, 'openFeed'>;
  clock: Clock;
  log: { info(details: object, text: string): void; warn(details: object, text: string): void };
};

type Kept = { feed: OpenFeed; taker: string; streams: Map<string, HomeStream>; readUs: HostUs };

export class HomeFeeds {
  readonly #o: HomeFeedsOptions;
  readonly #kept = new Map<string, Kept>();
  /** Feeds that are being opened: a request that comes again waits for the first. */
  readonly #opening = new Map<string, Promise<OpenFeed>>();
  readonly #timer: Timer;
  #closed = false;

  constructor(options: HomeFeedsOptions) {
    this.#o = options;
    this.#timer = options.clock.every(ASK_MS, () => this.#look());
  }

  /** How many feeds are kept for recorders on other nodes. */
  get size(): number {
    return this.#kept.size;
  }

  /**
   * Opens a feed for a recorder elsewhere. One that is kept for the recording already goes to the new taker, who is
   * given everything again that was not safe.
   * @throws Fault as of Rooms.openFeed
   */
  async open({ taker, ...who }: OpenFeedRequest): Promise<OpenedFeed> {
    const { rooms, clock } = this.#o;
    const { sid } = who;
    let kept = this.#kept.get(sid);
    if (!kept) {
      let opening = this.#opening.get(sid);
      if (!opening) {
        opening = rooms.openFeed(who).finally(() => this.#opening.delete(sid));
        this.#opening.set(sid, opening);
      }
      const feed = await opening;
      kept = this.#kept.get(sid) ?? { feed, taker, streams: new Map(), readUs: clock.monoUs() };
      if (this.#closed) feed.close();
      else this.#kept.set(sid, kept);
    }
    if (kept.taker !== taker) cut(kept);
    kept.taker = taker;
    kept.readUs = clock.monoUs();
    return { openedMonoUs: kept.feed.openedMonoUs, nowMonoUs: clock.monoUs() };
  }

  /** Gives a kept feed to a recorder of this node, which goes on with the recording. Undefined where none is kept. */
  adopt(sid: string): OpenFeed | undefined {
    const kept = this.#kept.get(sid);
    if (!kept) return undefined;
    this.#kept.delete(sid);
    cut(kept);
    return kept.feed;
  }

  /** The taker needs the feed no more. Does nothing for one that another has taken over. */
  release(sid: string, taker: string): void {
    const kept = this.#kept.get(sid);
    if (kept?.taker === taker) this.#close(sid, kept);
  }

  /**
   * The stream of a run, begun where it is new.
   * @param received as the run's node says
   * @throws Fault `feed-gone` when it cannot go on
   */
  stream(sid: string, taker: string, id: string, received: number): LastingStream {
    const kept = this.#kept.get(sid);
    const gone = (why: string) => new Fault('feed-gone', why, { blame: 'self' });
    if (!kept || kept.taker !== taker) throw gone('no feed is kept here for this recorder');
    const known = kept.streams.get(id);
    if (known?.stream.agreesOn(received)) return known.stream;
    if (known || received > 0) throw gone('the stream has ended here');
    const stream = new HomeStream(kept.feed.path, this.#o.clock, () => kept.streams.delete(id));
    kept.streams.set(id, stream);
    return stream.stream;
  }

  /** Cuts all connections, and ends all feeds. */
  close(): void {
    this.#closed = true;
    this.#timer.cancel();
    for (const [sid, kept] of this.#kept) this.#close(sid, kept);
  }

  #close(sid: string, kept: Kept): void {
    this.#kept.delete(sid);
    cut(kept);
    kept.feed.close();
  }

  #look(): void {
    const nowUs = this.#o.clock.monoUs();
    for (const [sid, kept] of this.#kept) {
      for (const { stream } of kept.streams.values()) {
        if (stream.unheardUs(nowUs) > UNHEARD_MS * 1000) stream.detach();
        if (stream.isConnected) kept.readUs = nowUs;
      }
      if (nowUs - kept.readUs <= UNREAD_MS * 1000) continue;
      this.#o.log.warn({ sid }, 'no node has read the feed of a recording for a minute; it is given up');
      this.#close(sid, kept);
    }
  }
}

function cut({ streams }: Kept): void {
  for (const stream of [...streams.values()]) stream.cut();
  streams.clear();
}

/** One run's reading of a feed, from the feed's socket to the other node. */
class HomeStream {
  readonly stream: LastingStream;
  readonly #socket: Socket;
  readonly #clock: Clock;
  readonly #onOver: () => void;
  #hasEnded = false;
  #isOver = false;

  constructor(path: string, clock: Clock, onOver: () => void) {
    this.#clock = clock;
    this.#onOver = onOver;
    // Neither side's end ends the other: what is on its way still comes.
    const socket = createConnection({ path, allowHalfOpen: true });
    this.#socket = socket;
    this.stream = new LastingStream({
      onData: (bytes) => !socket.writable || socket.write(bytes),
      onEnd: () => socket.end(),
      onDrain: () => socket.resume(),
      monoUs: () => clock.monoUs(),
    });
    socket.on('drain', () => this.stream.resume());
    socket.on('data', (chunk) => {
      if (!this.stream.write(chunk)) socket.pause();
    });
    socket.on('end', () => {
      this.#hasEnded = true;
      this.stream.end();
    });
    socket.on('error', () => {});
    socket.on('close', () => this.#onClose());
  }

  cut(): void {
    this.#isOver = true;
    this.stream.detach();
    this.#socket.destroy();
  }

  /** The feed has ended, and the other node is still to hear all of it; or the feed has cut this run off. */
  #onClose(): void {
    if (this.#isOver) return;
    if (this.#hasEnded && !this.stream.isConfirmed) {
      this.#clock.after(ASK_MS, () => this.#onClose());
      return;
    }
    this.cut();
    this.#onOver();
  }
}
