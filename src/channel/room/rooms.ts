/**
 * Rooms: the channels of a server, who is in which (whatever brought them in), and the feeds of recorders. A user is in
 * a channel from the moment the connection stands, not from the moment it is asked for.
 */

import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock } from '../../kernel/clock.ts';
import { Fault } from '../../kernel/fault.ts';
import type { HostUs } from '../../kernel/time.ts';
import type { LogMemory } from './encoding.ts';
import type { VideoStreamType } from './encoding-choice.ts';
import { FeedSocket } from './feed-socket.ts';
import { PacketArena } from './packet-arena.ts';
import type { PacketLogBounds } from './packet-log.ts';
import type { Publication, PublicationReport, Publisher } from './publication.ts';
import { Room } from './room.ts';

export type ChannelLog = {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  child(fields: object): ChannelLog;
};

export type RoomsOptions = {
  clock: Clock;
  log: ChannelLog;
  /** Folder for the feeds' sockets; only this server uses it, and makes it when it is missing. */
  feedDir: string;
  /** How much of streams is kept, see `DEFAULT_BOUNDS`. */
  bounds?: MemoryBounds;
  limits?: PublisherLimits;
};

/** How much is kept, so that a recorder that comes late or again misses nothing. */
export type MemoryBounds = {
  /** Bounds of one encoding. */
  perEncoding: PacketLogBounds;
  /** Bound of all encodings of the server together. */
  totalBytes: number;
};

const MB = 1024 * 1024;
export const DEFAULT_BOUNDS: MemoryBounds = {
  perEncoding: { maxBytes: 32 * MB, maxUs: 120_000_000 },
  totalBytes: 512 * MB,
};

/** Someone in a channel: a publisher, or a recorder, which sends nothing. */
export type Participant = {
  uid: string;
  joinedAtMs: number;
  recorder: boolean;
  /** Only of a publisher. */
  sessionId?: string;
  remoteAddress?: string | undefined;
  tracks: PublicationReport[];
};

/** How many may publish at once, including those who are about to come in. */
export type PublisherLimits = {
  total: number;
  perApp: number;
  /** Bound of the publications in one channel. */
  tracksPerChannel: number;
};
export const DEFAULT_LIMITS: PublisherLimits = { total: 1000, perApp: 1000, tracksPerChannel: 200 };
/** When a connection broke, its user comes again while the old session still counts, and perhaps once more. */
const MAX_PLACES_OF_USER = 4;

/** A publisher's place in a room, from the moment it is asked for. */
export type Place = {
  /** The user is in from now on, and replaces the uid's former publisher, if there is one. */
  enter(publisher: Publisher): void;
  /** The user is out, unless another publisher of the uid has come in meanwhile. Calling it again does nothing. */
  free(): void;
};

export type FeedRequest = {
  appid: string;
  cname: string;
  uid: string;
  sid: string;
  /**
   * Which encoding of a simulcast the recorder is given, as long as it lives: 0, the default, the highest, 1 the
   * lowest.
   */
  videoStreamType?: VideoStreamType | undefined;
};

export type OpenFeed = {
  /** Unix socket for one recorder. */
  path: string;
  /** The feed holds everything that came in since this moment, monotonic microseconds. */
  openedMonoUs: HostUs;
  readonly appid: string;
  readonly sid: string;
  /** How many packets were given up at a bound before a recorder read them. */
  readonly dropped: number;
  /** As of Feed. */
  backlogAgeUs(nowUs: HostUs): number;
  /** Ends the feed and frees the recorder's uid. Calling it again does nothing. */
  close(): void;
};

/** `sun_path` holds 108 bytes with its end on Linux, 104 on other systems. */
const MAX_SOCKET_PATH_BYTES = 100;

export class Rooms {
  /** Where everything that comes in is kept. */
  readonly memory: LogMemory;
  readonly #clock: Clock;
  readonly #log: ChannelLog;
  readonly #feedDir: string;
  readonly #limits: PublisherLimits;
  readonly #rooms = new Map<string, Room>();
  readonly #feeds = new Set<OpenFeed>();
  #droppedPackets = 0;
  #closed = false;

  /** @throws Fault `feed-dir-too-long` */
  constructor({ clock, log, feedDir, bounds = DEFAULT_BOUNDS, limits = DEFAULT_LIMITS }: RoomsOptions) {
    this.memory = { arena: new PacketArena(bounds.totalBytes), bounds: bounds.perEncoding };
    this.#clock = clock;
    this.#log = log;
    this.#limits = limits;
    this.#feedDir = feedDir;
    if (Buffer.byteLength(join(feedDir, 'x'.repeat(13))) >= MAX_SOCKET_PATH_BYTES)
      throw new Fault(
        'feed-dir-too-long',
        `The path of ${feedDir} is too long for unix sockets, which may have ${MAX_SOCKET_PATH_BYTES} bytes in all. ` +
          'Choose a shorter data folder.',
        { blame: 'self' },
      );
    mkdirSync(feedDir, { recursive: true, mode: 0o700 });
    // Sockets of a server that was killed.
    for (const name of readdirSync(feedDir)) if (name.endsWith('.sock')) rmSync(join(feedDir, name), { force: true });
  }

  /**
   * Keeps a place for a publisher who is about to come in.
   * @param tracks how many publications the publisher will bring
   * @throws Fault `uid-taken`, `channel-full`, `app-full`, `server-full`, `channel-closed`
   */
  holdPlace(appid: string, cname: string, uid: string, tracks: number): Place {
    this.#requireOpen();
    const key = keyOf(appid, cname);
    this.#requireNoRecorder(key, uid);
    this.#requireRoom(appid, key, uid, tracks);
    const room = this.#roomOf(key);
    room.holdPlace(uid, tracks);
    let entered: Publisher | undefined;
    let freed = false;
    return {
      enter: (publisher) => {
        if (freed || entered) return;
        entered = publisher;
        room.join(uid, publisher);
      },
      free: () => {
        if (freed) return;
        freed = true;
        if (entered) room.leave(uid, entered);
        room.freePlace(uid, tracks);
        this.#dropIfEmpty(key, room);
      },
    };
  }

  /** How many rooms, places and feeds there are, and how much memory is in use. */
  get held(): { rooms: number; places: number; feeds: number; bytes: number } {
    const places = [...this.#rooms.values()].reduce((sum, room) => sum + room.places, 0);
    return { rooms: this.#rooms.size, places, feeds: this.#feeds.size, bytes: this.memory.arena.bytes };
  }

  /** How far each recorder is behind its channel. */
  backlogs(): { sid: string; appid: string; backlogAgeUs: number }[] {
    const nowUs = this.#clock.monoUs();
    return [...this.#feeds].map((feed) => ({
      sid: feed.sid,
      appid: feed.appid,
      backlogAgeUs: feed.backlogAgeUs(nowUs),
    }));
  }

  /** Packets of all feeds that were given up at a bound before a recorder read them, since the server began. */
  get droppedPackets(): number {
    return this.#droppedPackets;
  }

  /** Who is in the channel: publishers in order of joining, then recorders. */
  participants(appid: string, cname: string): Participant[] {
    const nowUs = this.#clock.monoUs();
    const room = this.#rooms.get(keyOf(appid, cname));
    const publishers = (room?.members ?? []).map(({ uid, joinedAtMs, publisher }) => ({
      ...{ uid, joinedAtMs, recorder: false },
      sessionId: publisher.sessionId,
      remoteAddress: publisher.remoteAddress(),
      tracks: publisher.publications.map((publication) => publication.report(nowUs)),
    }));
    const recorders = (room?.recorders ?? []).map((one) => ({ ...one, recorder: true, tracks: [] }));
    return [...publishers, ...recorders];
  }

  /** What a publisher in the channel sends, in the offer's order; nothing where nobody is in by that uid. */
  publicationsOf(appid: string, cname: string, uid: string): readonly Publication[] {
    const members = this.#rooms.get(keyOf(appid, cname))?.members ?? [];
    return members.find((member) => member.uid === uid)?.publisher.publications ?? [];
  }

  /** The channels that have publishers, those who are about to come in among them. */
  occupied(): { appid: string; cname: string }[] {
    return [...this.#rooms].flatMap(([key, { places }]) => {
      const slash = key.indexOf('/');
      return places > 0 ? [{ appid: key.slice(0, slash), cname: key.slice(slash + 1) }] : [];
    });
  }

  /**
   * Asks everyone in the channel for a key frame: a recorder that comes soon then finds a whole picture kept for it.
   */
  requestKeyFrames(appid: string, cname: string): void {
    this.#rooms.get(keyOf(appid, cname))?.wantKeyFrames();
  }

  /**
   * Lets a recorder into a channel, under a uid of its own, and keeps all media from now on for it.
   * @throws Fault `uid-taken`, `feed-unavailable`, `channel-closed`
   */
  async openFeed(request: FeedRequest): Promise<OpenFeed> {
    const { appid, cname, uid, sid, videoStreamType = 0 } = request;
    this.#requireOpen();
    const key = keyOf(appid, cname);
    if (this.#rooms.get(key)?.hasPublisher(uid)) throw uidTaken(`uid ${uid} is a publisher in channel "${cname}"`);
    this.#requireNoRecorder(key, uid);
    const room = this.#roomOf(key);
    // Made again in case something has removed it meanwhile.
    mkdirSync(this.#feedDir, { recursive: true, mode: 0o700 });
    const log = this.#log.child({ appid, cname, sid });
    let dropped = 0;
    const { feed: kept, openedMonoUs } = room.addFeed(uid, videoStreamType, (track, packets) => {
      dropped += packets;
      this.#droppedPackets += packets;
      log.warn({ track, packets, total: dropped }, 'packets were given up: the recorder is too far behind');
    });
    const path = join(this.#feedDir, `${randomBytes(6).toString('base64url')}.sock`);
    const socket = new FeedSocket({ clock: this.#clock, log, path, feed: kept });
    const feed: OpenFeed = {
      ...{ path, appid, sid },
      openedMonoUs,
      get dropped() {
        return dropped;
      },
      backlogAgeUs: (nowUs) => kept.backlogAgeUs(nowUs),
      close: () => {
        if (!this.#feeds.delete(feed)) return;
        room.removeFeed(uid);
        socket.close();
        this.#dropIfEmpty(key, room);
      },
    };
    this.#feeds.add(feed);
    try {
      await socket.listen();
    } catch (error) {
      feed.close();
      throw error;
    }
    return feed;
  }

  /** Ends all feeds, and lets nobody in any more. */
  close(): void {
    this.#closed = true;
    for (const feed of [...this.#feeds]) feed.close();
  }

  #roomOf(key: string): Room {
    let room = this.#rooms.get(key);
    if (!room) {
      room = new Room(this.#clock, this.memory.arena);
      this.#rooms.set(key, room);
    }
    return room;
  }

  #dropIfEmpty(key: string, room: Room): void {
    if (room.isEmpty && this.#rooms.get(key) === room) this.#rooms.delete(key);
  }

  #requireRoom(appid: string, key: string, uid: string, tracks: number): void {
    const { total, perApp, tracksPerChannel } = this.#limits;
    const full = (code: string, message: string) => new Fault(code, message, { blame: 'self', retryable: true });
    const room = this.#rooms.get(key);
    if (room?.placesOf(uid)) {
      // A user who comes again takes the place of the old session; there is only a bound on how many such places are
      // held.
      if (room.placesOf(uid) < MAX_PLACES_OF_USER) return;
      throw full('channel-full', `User ${uid} has ${MAX_PLACES_OF_USER} sessions already; end one, or wait.`);
    }
    if ((room?.tracks ?? 0) + tracks > tracksPerChannel)
      throw full('channel-full', `The channel has all the ${tracksPerChannel} tracks that it may have.`);
    let [inAll, ofApp] = [0, 0];
    for (const [other, { places }] of this.#rooms) {
      inAll += places;
      if (other.startsWith(keyOf(appid, ''))) ofApp += places;
    }
    if (ofApp >= perApp) throw full('app-full', `The app has all the ${perApp} publishers that it may have.`);
    if (inAll >= total) throw full('server-full', `The server has all the ${total} publishers that it may have.`);
  }

  #requireNoRecorder(key: string, uid: string): void {
    if (this.#rooms.get(key)?.hasRecorder(uid)) throw uidTaken(`uid ${uid} is the uid of a recorder in this channel`);
  }

  #requireOpen(): void {
    if (this.#closed)
      throw new Fault('channel-closed', 'The server is shutting down.', { blame: 'self', retryable: true });
  }
}

function keyOf(appid: string, cname: string): string {
  return `${appid}/${cname}`;
}

function uidTaken(message: string): Fault {
  return new Fault('uid-taken', message, { blame: 'caller' });
}
