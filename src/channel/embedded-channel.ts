/**
 * The embedded channel server: takes publishers' WebRTC offers, keeps who is where, and feeds recorders.
 * A user is in a channel from the moment the connection stands, not from the moment of the offer.
 */
import { randomBytes } from 'node:crypto';
import { mkdirSync, readdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { Clock, Timer } from '../kernel/clock.ts';
import { Fault } from '../kernel/fault.ts';
import type { TrackReport } from './incoming-track.ts';
import type { VideoStreamType } from './layer-choice.ts';
import { type Offer, readOffer, writeAnswer, writeTransportOffer } from './offer.ts';
import { OutgoingFeed } from './outgoing-feed.ts';
import { openPeerHost, type Peer, type PeerHost, type PeerState } from './peer.ts';
import { Publisher } from './publisher.ts';
import { Room } from './room.ts';
import { readFragment } from './trickle.ts';

export type ChannelLog = {
  debug(fields: object, message: string): void;
  info(fields: object, message: string): void;
  warn(fields: object, message: string): void;
  child(fields: object): ChannelLog;
};

export type EmbeddedChannelOptions = {
  clock: Clock;
  log: ChannelLog;
  /** Address that media is received on, and that publishers are told to send to. */
  host: string;
  /** UDP port of all publishers; FFmpeg's WHIP client is given one more each, see ConsentRelay. */
  port: number;
  /** Folder for the feeds' sockets; owned by this server, made when it is not there. */
  feedDir: string;
  /** Peers other than WebRTC ones, for tests. */
  peers?: PeerHost;
};

export type Participant = {
  uid: string;
  joinedAtMs: number;
  sessionId: string;
  remoteAddress: string | undefined;
  tracks: TrackReport[];
};

export type Published = { sessionId: string; answer: string; etag: string };

export type FeedRequest = {
  appid: string;
  cname: string;
  uid: string;
  sid: string;
  /** Which layer of a simulcast the recorder is given, as long as it lives: 0, unless told, the highest, 1 the lowest. */
  videoStreamType?: VideoStreamType | undefined;
};

export type Feed = {
  /** Unix socket for one recorder. */
  path: string;
  /** The feed holds all that came in since this moment, monotonic microseconds. */
  openedMonoUs: number;
  /** Packets lost because the recorder read too slowly. */
  readonly dropped: number;
  /** Ends the feed and frees the recorder's uid. Calling it again does nothing. */
  close(): void;
};

/** A publisher that has not connected by then has failed to. */
const CONNECT_TIMEOUT_US = 30_000_000;
const TICK_MS = 20;
/** `sun_path` holds 108 bytes with its end on Linux, 104 on other systems. */
const MAX_SOCKET_PATH_BYTES = 100;

type Session = {
  sessionId: string;
  etag: string;
  key: string;
  uid: string;
  offer: Offer;
  publisher: Publisher;
  peer: Peer;
  present: boolean;
  createdUs: number;
};

export class EmbeddedChannel {
  readonly #clock: Clock;
  readonly #log: ChannelLog;
  readonly #feedDir: string;
  readonly #peers: PeerHost;
  readonly #rooms = new Map<string, Room>();
  readonly #sessions = new Map<string, Session>();
  readonly #feeds = new Set<Feed>();
  #ticker: Timer | undefined;
  #closed = false;

  /** @throws Fault `rtc-port-unavailable`, `feed-dir-too-long` */
  constructor(options: EmbeddedChannelOptions) {
    this.#clock = options.clock;
    this.#log = options.log;
    this.#feedDir = options.feedDir;
    if (Buffer.byteLength(join(options.feedDir, 'x'.repeat(13))) >= MAX_SOCKET_PATH_BYTES)
      throw new Fault(
        'feed-dir-too-long',
        `The path of ${options.feedDir} is too long for unix sockets, which may have ${MAX_SOCKET_PATH_BYTES} bytes in all. Choose a shorter data folder.`,
        { blame: 'self' },
      );
    mkdirSync(options.feedDir, { recursive: true, mode: 0o700 });
    // Sockets of a run that was killed.
    for (const name of readdirSync(options.feedDir))
      if (name.endsWith('.sock')) rmSync(join(options.feedDir, name), { force: true });
    this.#peers = options.peers ?? openPeerHost({ host: options.host, port: options.port, log: options.log });
  }

  /**
   * Takes a publisher's offer. When it connects, it takes the place of the uid's former session, if there is one.
   * @throws Fault `sdp-invalid`, `offer-unacceptable`, `uid-taken`, `channel-closed`
   */
  async publish(request: { appid: string; cname: string; uid: string; offer: string }): Promise<Published> {
    const { appid, cname, uid } = request;
    this.#requireOpen();
    const offer = readOffer(request.offer);
    const key = keyOf(appid, cname);
    this.#requireNoRecorder(key, uid);
    const sessionId = randomBytes(24).toString('base64url');
    const log = this.#log.child({ appid, cname, uid, session: sessionId.slice(0, 6) });
    let sendTo: Peer | undefined;
    const publisher = new Publisher({
      clock: this.#clock,
      sections: offer.sections,
      send: (datagram) => sendTo?.send(datagram),
      listener: {
        onRtp: (stream, datagram, arrivalUs) => this.#rooms.get(key)?.onRtp(stream, datagram, arrivalUs),
        onRtcp: (stream, datagram, arrivalUs) => this.#rooms.get(key)?.onRtcp(stream, datagram, arrivalUs),
      },
    });
    const peer = await this.#peers.open({
      name: `${cname}/${uid}`,
      offer: writeTransportOffer(offer),
      mid: offer.sections[0]!.mid,
      consentOf: offer.answersConsent ? undefined : offer.transport,
      onState: (state) => this.#onState(sessionId, state),
      onDatagram: (datagram) => publisher.onDatagram(datagram),
    });
    sendTo = peer;
    try {
      this.#requireOpen();
      this.#requireNoRecorder(key, uid);
      const answer = writeAnswer(offer, peer.answer);
      // A second attempt of a user whose first has not come through yet.
      for (const other of [...this.#sessions.values()])
        if (other.key === key && other.uid === uid && !other.present) this.#end(other, 'replaced');
      const etag = `"${randomBytes(9).toString('base64url')}"`;
      const createdUs = this.#clock.monoUs();
      this.#sessions.set(sessionId, { sessionId, etag, key, uid, offer, publisher, peer, present: false, createdUs });
      this.#ticker ??= this.#clock.every(TICK_MS, () => this.#tick());
      const codecs = offer.sections.map((section) => section.format.codec).join('+');
      const layers = Math.max(...offer.sections.map((section) => section.streams.length));
      log.info({ codecs, ...(layers > 1 && { layers }) }, 'publisher offered');
      return { sessionId, answer, etag };
    } catch (error) {
      peer.close();
      throw error;
    }
  }

  /**
   * Takes candidates a publisher found after its offer (RFC 8840).
   * @param etag of the session's ICE, as the If-Match header has it
   * @throws Fault `session-unknown`, `etag-missing`, `etag-mismatch`, `sdp-invalid`, `ice-restart-unsupported`
   */
  trickle(sessionId: string, etag: string | undefined, fragment: string): void {
    const session = this.#require(sessionId);
    if (etag === undefined)
      throw new Fault('etag-missing', 'If-Match must hold the ETag that the session was created with.', {
        blame: 'caller',
      });
    const parts = readFragment(fragment);
    const { iceUfrag, icePwd } = session.offer.transport;
    // "*" and new credentials are how an ICE restart is asked for (RFC 9725 §4.3.2).
    const restarts =
      etag === '*' ||
      (parts.iceUfrag !== undefined && parts.iceUfrag !== iceUfrag) ||
      (parts.icePwd !== undefined && parts.icePwd !== icePwd);
    if (restarts)
      throw new Fault('ice-restart-unsupported', 'ICE restarts are not supported; publish again instead.', {
        blame: 'caller',
      });
    if (etag !== session.etag)
      throw new Fault('etag-mismatch', 'If-Match does not hold the ETag of this session.', { blame: 'caller' });
    for (const candidate of parts.candidates) session.peer.addCandidate(candidate);
  }

  /** Ends a session. @throws Fault `session-unknown` */
  leave(sessionId: string): void {
    this.#end(this.#require(sessionId), 'left');
  }

  hasSession(sessionId: string): boolean {
    return this.#sessions.has(sessionId);
  }

  /** Who is in the channel, in order of joining. */
  participants(appid: string, cname: string): Participant[] {
    const nowUs = this.#clock.monoUs();
    const members = this.#rooms.get(keyOf(appid, cname))?.members ?? [];
    return members.map(({ uid, joinedAtMs, sessionId, publisher }) => ({
      uid,
      joinedAtMs,
      sessionId,
      remoteAddress: this.#sessions.get(sessionId)?.peer.remoteAddress(),
      tracks: publisher.tracks.map((track) => track.report(nowUs)),
    }));
  }

  /** Asks everyone in the channel for a key frame: a recorder that comes soon then finds a whole picture kept for it. */
  requestKeyFrames(appid: string, cname: string): void {
    this.#rooms.get(keyOf(appid, cname))?.wantKeyFrames();
  }

  /**
   * Lets a recorder into a channel, under a uid of its own, and keeps all media from now on for it.
   * @throws Fault `uid-taken`, `feed-unavailable`, `channel-closed`
   */
  async openFeed(request: FeedRequest): Promise<Feed> {
    const { appid, cname, uid, sid, videoStreamType = 0 } = request;
    this.#requireOpen();
    const key = keyOf(appid, cname);
    const attempts = [...this.#sessions.values()];
    if (attempts.some((session) => session.key === key && session.uid === uid))
      throw uidTaken(`uid ${uid} is a publisher in channel "${cname}"`);
    this.#requireNoRecorder(key, uid);
    const room = this.#roomOf(key);
    // Made again if something cleaned it away meanwhile.
    mkdirSync(this.#feedDir, { recursive: true, mode: 0o700 });
    const out = OutgoingFeed.create({
      clock: this.#clock,
      log: this.#log.child({ appid, cname, sid }),
      path: join(this.#feedDir, `${randomBytes(6).toString('base64url')}.sock`),
      onKeyFrameWanted: (track) => room.wantKeyFrame(uid, track),
    });
    const { openedMonoUs } = room.addFeed(uid, out, videoStreamType);
    const feed: Feed = {
      path: out.path,
      openedMonoUs,
      get dropped() {
        return out.dropped;
      },
      close: () => {
        if (!this.#feeds.delete(feed)) return;
        out.close();
        room.removeFeed(uid);
        this.#dropIfEmpty(key, room);
      },
    };
    this.#feeds.add(feed);
    try {
      await out.listen();
    } catch (error) {
      feed.close();
      throw error;
    }
    return feed;
  }

  /** Ends all sessions and feeds and gives the port back. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const session of [...this.#sessions.values()]) this.#end(session, 'server closing');
    for (const feed of [...this.#feeds]) feed.close();
    this.#ticker?.cancel();
    this.#peers.close();
  }

  #onState(sessionId: string, state: PeerState): void {
    const session = this.#sessions.get(sessionId);
    if (!session) return;
    if (state !== 'connected') {
      this.#end(session, state);
      return;
    }
    if (session.present) return;
    session.present = true;
    const former = this.#roomOf(session.key).join(session.uid, sessionId, session.publisher);
    const formerSession = former && this.#sessions.get(former.sessionId);
    if (formerSession) this.#end(formerSession, 'replaced');
    this.#log.info(
      { uid: session.uid, channel: session.key, from: session.peer.remoteAddress() },
      'publisher connected',
    );
  }

  #end(session: Session, why: string): void {
    if (!this.#sessions.delete(session.sessionId)) return;
    const room = this.#rooms.get(session.key);
    if (room) {
      room.leave(session.uid, session.sessionId);
      this.#dropIfEmpty(session.key, room);
    }
    session.peer.close();
    if (this.#sessions.size === 0) {
      this.#ticker?.cancel();
      this.#ticker = undefined;
    }
    this.#log.info({ uid: session.uid, channel: session.key, why }, 'publisher left');
  }

  #tick(): void {
    const nowUs = this.#clock.monoUs();
    for (const session of [...this.#sessions.values()]) {
      if (!session.present) {
        if (nowUs - session.createdUs > CONNECT_TIMEOUT_US) this.#end(session, 'never connected');
      } else if (session.publisher.isSilent(nowUs)) this.#end(session, 'silent');
      else session.publisher.tick();
    }
  }

  #roomOf(key: string): Room {
    let room = this.#rooms.get(key);
    if (!room) {
      room = new Room(this.#clock);
      this.#rooms.set(key, room);
    }
    return room;
  }

  #dropIfEmpty(key: string, room: Room): void {
    if (room.isEmpty && this.#rooms.get(key) === room) this.#rooms.delete(key);
  }

  #require(sessionId: string): Session {
    const session = this.#sessions.get(sessionId);
    if (!session)
      throw new Fault('session-unknown', 'There is no such session; it may have ended.', { blame: 'caller' });
    return session;
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
