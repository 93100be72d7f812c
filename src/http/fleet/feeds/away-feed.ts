/**
 * AwayFeed: a feed of a channel that is at home on another node, for the recorder on this one (ADR 0032). It has a
 * socket of its own here, where each run of the recording connects as to any feed.
 */
import { randomBytes } from 'node:crypto';
import { chmodSync, mkdirSync, rmSync } from 'node:fs';
import { createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';
import { z } from 'zod';
import { type Clock, sleep } from '../../../kernel/clock.ts';
import { Fault, messageOf } from '../../../kernel/fault.ts';
import { newHexId } from '../../../kernel/ids.ts';
import type { HostUs } from '../../../kernel/time.ts';
import type { Node } from '../../../store/node-tables.ts';
import type { NodeLinks } from '../links.ts';
import { AwayStream, type HomeConnection } from './away-stream.ts';
import {
  FEED_PROTOCOL,
  FEEDS_PATH,
  FEEDS_WIRE,
  feedPath,
  type OpenedFeed,
  type OpenFeedRequest,
  openedFeedSchema,
  RECEIVED_HEADER,
  refusedFeedSchema,
  streamPath,
} from './feed-wire.ts';
import { HomeTime } from './home-time.ts';

type Home = Pick<Node, 'id' | 'name' | 'nodeUrl' | 'wire'>;
export type AwayFeedOptions = {
  who: Omit<OpenFeedRequest, 'taker'>;
  home: Home;
  links: Pick<NodeLinks, 'send' | 'upgrade'>;
  /** Folder for the socket. */
  feedDir: string;
  clock: Clock;
  log: { info(details: object, text: string): void; warn(details: object, text: string): void };
  onBroken(): void;
};

/** The longest that the home is waited for with one request. */
const REQUEST_MS = 3_000;
/** A home that was slow to open the feed is asked for its time so often, until one answer was quick. */
const MOST_ASKED = 4;
const QUICK_US: HostUs = 4_000;
/** How often a home that does not answer is told that its feed is not needed any more, before it finds out itself. */
const RELEASE_TRIES = 5;
const RELEASE_AGAIN_MS = 1_000;

export class AwayFeed {
  readonly path: string;
  readonly who: AwayFeedOptions['who'];
  readonly home: Home;
  readonly openedMonoUs: HostUs;
  /** Whether the channel is at home on another node by now, or nowhere. */
  hasMoved = false;
  readonly #o: AwayFeedOptions;
  readonly #taker: string;
  readonly #time: HomeTime;
  readonly #server: Server;
  readonly #streams = new Set<AwayStream>();
  #isOver = false;

  /**
   * Opens a feed at the home of its channel, or takes over the one that is kept there for the recording.
   * @throws Fault as of Rooms.openFeed and of NodeLinks; `feed-unavailable` where the home is of a version without
   *   feeds for others, or this node can have no socket
   */
  static async open(options: AwayFeedOptions): Promise<AwayFeed> {
    const { who, home, links, clock } = options;
    const unavailable = (why: string, cause?: unknown) =>
      new Fault('feed-unavailable', why, { blame: 'self', retryable: true, cause });
    if ((home.wire ?? 1) < FEEDS_WIRE)
      throw unavailable(`node ${home.name}, where the channel is at home, gives no feeds to other nodes`);
    const taker = newHexId();
    const body = Buffer.from(JSON.stringify({ ...who, taker } satisfies OpenFeedRequest));
    const headers = { 'content-type': 'application/json' };
    const ask = async () => {
      const askedUs = clock.monoUs();
      const answer = await links.send(home, { method: 'POST', url: FEEDS_PATH, headers, body }, REQUEST_MS);
      const answeredUs = clock.monoUs();
      const given = <T>(schema: z.ZodType<T>) => {
        try {
          return schema.safeParse(JSON.parse(answer.body.toString())).data;
        } catch {
          return undefined;
        }
      };
      if (answer.status === 409) {
        const refused = given(refusedFeedSchema);
        if (refused) throw new Fault(refused.code, refused.message, { blame: 'caller' });
      }
      const opened = answer.status === 200 ? given(openedFeedSchema) : undefined;
      if (!opened) throw unavailable(`node ${home.name} answered ${answer.status} where it was asked for a feed`);
      return { opened, askedUs, answeredUs, tookUs: answeredUs - askedUs };
    };
    const first = await ask();
    const { opened } = first;
    const answers = [first];
    // The recording's zero is told other nodes by what is believed now, and not by what is learnt later.
    while (answers.length < MOST_ASKED && answers.every(({ tookUs }) => tookUs > QUICK_US)) {
      const again = await ask().catch(() => undefined);
      if (!again) break;
      answers.push(again);
    }
    const time = new HomeTime();
    for (const { opened: told, askedUs, answeredUs } of answers.toSorted((a, b) => a.tookUs - b.tookUs))
      time.steer(told.nowMonoUs, askedUs, answeredUs);
    const feed = new AwayFeed(options, taker, time, opened);
    try {
      await feed.#listen();
    } catch (cause) {
      feed.close();
      throw unavailable(`cannot listen on ${feed.path}: ${messageOf(cause)}`, cause);
    }
    return feed;
  }

  private constructor(options: AwayFeedOptions, taker: string, time: HomeTime, opened: OpenedFeed) {
    this.#o = options;
    this.who = options.who;
    this.home = options.home;
    this.#taker = taker;
    this.#time = time;
    this.openedMonoUs = time.toOwn(opened.openedMonoUs);
    this.path = join(options.feedDir, `${randomBytes(6).toString('base64url')}.sock`);
    this.#server = createServer({ allowHalfOpen: true }, (recorder) => this.#accept(recorder));
  }

  /** A moment of the home by this node's clock, as moments of the feed are told to recorders, and the reverse. */
  toOwn(homeUs: HostUs): HostUs {
    return this.#time.toOwn(homeUs);
  }

  toHome(ownUs: HostUs): HostUs {
    return this.#time.toHome(ownUs);
  }

  /** Whether no run can read it any more, so that another must be opened. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /**
   * Ends it where the channel has moved and the former home has nothing more of it: nobody is there, or it cannot be
   * reached. A home that only the database cannot reach keeps its publishers, and is read on.
   */
  endIfIdle(): void {
    if (this.hasMoved && ![...this.#streams].some(({ isLive }) => isLive)) this.close();
  }

  /** The home is gone, or is another now: the run at work has what came until now. Calling it again does nothing. */
  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#server.close();
    rmSync(this.path, { force: true });
    for (const stream of [...this.#streams]) stream.cut();
  }

  /** Ends it, and tells the home that it is not needed any more; not waited for. */
  close(): void {
    this.end();
    void this.#release();
  }

  #listen(): Promise<void> {
    const { feedDir } = this.#o;
    mkdirSync(feedDir, { recursive: true, mode: 0o700 });
    return new Promise((resolve, reject) => {
      this.#server.once('error', reject);
      this.#server.listen(this.path, () => {
        try {
          chmodSync(this.path, 0o600);
          resolve();
        } catch (error) {
          reject(error);
        }
      });
    });
  }

  #accept(recorder: Socket): void {
    if (this.#isOver) return void recorder.destroy();
    const { clock, log, onBroken, who } = this.#o;
    const { sid } = who;
    const named = (say: 'info' | 'warn') => (details: object, text: string) =>
      log[say]({ sid, home: this.home.name, ...details }, text);
    const stream: AwayStream = new AwayStream({
      ...{ recorder, time: this.#time, clock, onBroken },
      log: { info: named('info'), warn: named('warn') },
      connect: (id, received) => this.#connect(id, received),
      onLeft: () => this.endIfIdle(),
      onGone: () => this.end(),
      onOver: () => this.#streams.delete(stream),
    });
    this.#streams.add(stream);
  }

  async #connect(id: string, received: number): Promise<HomeConnection> {
    const { links, who } = this.#o;
    const url = streamPath(who.sid, this.#taker, id, received);
    const { socket, head, status, headers } = await links.upgrade(
      this.home,
      { url, protocol: FEED_PROTOCOL },
      REQUEST_MS,
    );
    if (socket) return { socket, head, received: z.coerce.number().parse(headers[RECEIVED_HEADER]) };
    const why = `node ${this.home.name} answered ${status} where a feed was to go on`;
    // Whoever answers knows nothing of it; all else may pass.
    if (status === 404 || status === 421) throw new Fault('feed-gone', why, { blame: 'self' });
    throw new Fault('node-silent', why, { blame: 'self', retryable: true });
  }

  async #release(): Promise<void> {
    const { links, who, clock } = this.#o;
    const url = feedPath(who.sid, this.#taker);
    for (let tries = 0; tries < RELEASE_TRIES; tries++) {
      const told = await links
        .send(this.home, { method: 'DELETE', url, headers: {}, body: undefined }, REQUEST_MS)
        .then(
          () => true,
          () => false,
        );
      if (told) return;
      await sleep(clock, RELEASE_AGAIN_MS);
    }
  }
}
