/**
 * FleetFeeds: opens the feed of a recording where its channel is at home (ADR 0032): here, or on another node, of which
 * it is read over the network. Looks after those that are: a home can die, and a channel can move.
 */
import type { Rooms } from '../channel/room/rooms.ts';
import type { NodeDirectory } from '../http/fleet/directory.ts';
import { AwayFeed, type AwayFeedOptions } from '../http/fleet/feeds/away-feed.ts';
import type { HomeFeeds } from '../http/fleet/feeds/home-feeds.ts';
import { type Clock, sleep, type Timer } from '../kernel/clock.ts';
import { Fault, messageOf } from '../kernel/fault.ts';
import type { HostUs } from '../kernel/time.ts';
import type { Log } from '../observe/log.ts';
import type { ChannelPort, Feed } from '../session/ports.ts';
import type { Node } from '../store/node-tables.ts';
import type { PlaceTables } from '../store/place-tables.ts';

export type FleetFeedsOptions = {
  /** The id of this node. */
  self: string;
  places: Pick<PlaceTables, 'claimHome' | 'homesOf'>;
  directory: Pick<NodeDirectory, 'find'>;
  links: AwayFeedOptions['links'];
  /** The feeds of this node's channels that others read. */
  given: Pick<HomeFeeds, 'adopt'>;
  rooms: Pick<Rooms, 'openFeed'>;
  /** Folder for sockets. */
  feedDir: string;
  clock: Clock;
  log: Log;
  /** A connection to the home of a channel broke. */
  onBroken(): void;
};

type FeedRequest = Parameters<ChannelPort['openFeed']>[0];

/** How often it is looked whether channels are still at home where they are read. */
const LOOK_MS = 1_000;
/** A home that gives no feed is asked again for so long, if it does not die: it is slow, or about to be replaced. */
const PATIENCE_US = 15_000_000;
const AGAIN_MS = 300;

export class FleetFeeds {
  readonly #o: FleetFeedsOptions;
  readonly #taken = new Set<AwayFeed>();
  readonly #timer: Timer;
  #looking: Promise<void> | undefined;

  constructor(options: FleetFeedsOptions) {
    this.#o = options;
    this.#timer = options.clock.every(LOOK_MS, () => {
      this.#looking ??= this.#look()
        .catch((error) => options.log.debug({ error: messageOf(error) }, 'homes of channels could not be read'))
        .finally(() => {
          this.#looking = undefined;
        });
    });
  }

  /** The channels that are recorded here and are at home on other nodes; one more than once where it is recorded so. */
  get channels(): { appid: string; cname: string }[] {
    return [...this.#taken].map(({ who: { appid, cname } }) => ({ appid, cname }));
  }

  /** A moment of this node by the clock of the home of a recording's channel, from which the recording is read. */
  homeMoment(sid: string, ownUs: HostUs): { home: string; us: HostUs } {
    const feed = [...this.#taken].find(({ who }) => who.sid === sid);
    return feed ? { home: feed.home.id, us: feed.toHome(ownUs) } : { home: this.#o.self, us: ownUs };
  }

  /**
   * Opens one more feed of a recording's channel, under a name and a uid of its own, where the channel is at home; what
   * it is told in that node's time can be told in this one's.
   * @throws Fault as of Rooms.openFeed and of NodeLinks; `feed-unavailable` where that node is gone
   */
  async openAt(home: string, who: FeedRequest): Promise<Feed & { toOwn(homeUs: HostUs): HostUs }> {
    const { self, directory, rooms } = this.#o;
    if (home === self) {
      const feed = await rooms.openFeed(who);
      const { path, openedMonoUs } = feed;
      return { path, openedMonoUs, toOwn: (homeUs) => homeUs, close: () => feed.close() };
    }
    const node = await directory.find(home);
    if (!node)
      throw new Fault('feed-unavailable', 'the home of the channel is gone', { blame: 'self', retryable: true });
    return this.#take(who, node);
  }

  /** As of ChannelPort. */
  async open(who: FeedRequest): Promise<Feed> {
    const { clock, log } = this.#o;
    const untilUs: HostUs = clock.monoUs() + PATIENCE_US;
    for (;;) {
      try {
        return await this.#open(who);
      } catch (error) {
        if (!(error instanceof Fault) || !error.retryable || clock.monoUs() > untilUs) throw error;
        log.warn({ sid: who.sid, why: messageOf(error) }, 'the feed of a channel cannot be had yet');
        await sleep(clock, AGAIN_MS);
      }
    }
  }

  async #open(who: FeedRequest): Promise<Feed> {
    const { self, places, directory, rooms, given } = this.#o;
    const owner = await places.claimHome(who.appid, who.cname);
    const home = owner === undefined || owner === self ? undefined : await directory.find(owner);
    if (!home) return given.adopt(who.sid) ?? rooms.openFeed(who);
    return this.#take(who, home);
  }

  async #take(who: FeedRequest, home: Node): Promise<Feed & { toOwn(homeUs: HostUs): HostUs }> {
    const { links, feedDir, clock, log, onBroken } = this.#o;
    const feed = await AwayFeed.open({ who, home, links, feedDir, clock, log, onBroken });
    log.info({ sid: who.sid, home: home.name }, 'a recording reads its channel from another node');
    this.#taken.add(feed);
    return {
      path: feed.path,
      openedMonoUs: feed.openedMonoUs,
      get isOver() {
        return feed.isOver;
      },
      toOwn: (homeUs) => feed.toOwn(homeUs),
      close: () => {
        this.#taken.delete(feed);
        feed.close();
      },
    };
  }

  async close(): Promise<void> {
    this.#timer.cancel();
    await this.#looking;
    for (const feed of this.#taken) feed.close();
  }

  async #look(): Promise<void> {
    const { places, log } = this.#o;
    const feeds = [...this.#taken].filter(({ isOver }) => !isOver);
    const homes = await places.homesOf(feeds.map(({ who }) => who));
    for (const feed of feeds) {
      const { sid, appid, cname } = feed.who;
      const home = homes.find((each) => each.appid === appid && each.cname === cname);
      if (home?.owner === feed.home.id) feed.hasMoved = false;
      else if (!feed.hasMoved) {
        log.warn({ sid, home: feed.home.name }, 'a channel is no longer at home where it is read');
        // Ends once nothing more can be expected of the former home.
        feed.hasMoved = true;
      }
      feed.endIfIdle();
    }
  }
}
