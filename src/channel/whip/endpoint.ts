/**
 * WhipEndpoint: takes publishers' WebRTC offers (RFC 9725), and keeps their sessions until they end.
 */

import { randomBytes } from 'node:crypto';
import type { Clock, Timer } from '../../kernel/clock.ts';
import { Fault } from '../../kernel/fault.ts';
import type { HostUs } from '../../kernel/time.ts';
import type { Publisher } from '../room/publication.ts';
import type { ChannelLog, Place, Rooms } from '../room/rooms.ts';
import type { ReceptionTally } from './encoding-feedback.ts';
import { type Offer, readOffer, writeAnswer, writeTransportOffer } from './offer.ts';
import { openPeerHost, type Peer, type PeerHost, type PeerState } from './peer.ts';
import { RtpSession } from './rtp-session.ts';
import { readFragment } from './trickle.ts';

export type WhipEndpointOptions = {
  clock: Clock;
  log: ChannelLog;
  rooms: Pick<Rooms, 'holdPlace' | 'memory'>;
  /** Address that media is received on, and that publishers are told to send to. */
  host: string;
  /** UDP port of all publishers; each FFmpeg WHIP client gets one more, see ConsentRelay. */
  port: number;
  /** The server's own addresses must be found within this time, or the publisher is refused. */
  gatherTimeoutMs?: number;
  /** Replaces the WebRTC peers in tests. */
  peers?: PeerHost;
};

export type PublishRequest = {
  appid: string;
  cname: string;
  uid: string;
  offer: string;
  /**
   * Sessions of a publisher who comes again. Where another one of the uid has come in meanwhile, that one stays. When
   * absent, whoever comes last takes the uid's place.
   */
  after?: readonly string[] | undefined;
};
export type Published = { sessionId: string; answer: string; etag: string };

/** A publisher that has not connected by then has failed. */
const CONNECT_TIMEOUT_US = 30_000_000;
/** Of one who is to come in elsewhere and sends nothing for this long there is nothing to wait for: he may be there. */
const AWAY_SILENCE_US = 2_000_000;
const TICK_MS = 20;
const GATHER_TIMEOUT_MS = 5000;

type Session = {
  sessionId: string;
  etag: string;
  /** The app and the channel, as one text. */
  channel: string;
  uid: string;
  offer: Offer;
  rtp: RtpSession;
  peer: Peer;
  place: Place;
  present: boolean;
  createdUs: HostUs;
};

export class WhipEndpoint {
  /** Packets of all publishers, since the server began. */
  readonly reception: ReceptionTally = { received: 0, lost: 0, recovered: 0 };
  readonly #clock: Clock;
  readonly #log: ChannelLog;
  readonly #rooms: Pick<Rooms, 'holdPlace' | 'memory'>;
  readonly #peers: PeerHost;
  readonly #sessions = new Map<string, Session>();
  /** Channels whose publishers are to come in elsewhere. */
  readonly #departures = new Map<string, { timer: Timer; gone: PromiseWithResolvers<void> }>();
  #ticker: Timer | undefined;
  #closed = false;

  /** @throws Fault `rtc-port-unavailable` */
  constructor(options: WhipEndpointOptions) {
    this.#clock = options.clock;
    this.#log = options.log;
    this.#rooms = options.rooms;
    this.#peers =
      options.peers ??
      openPeerHost({
        ...{ host: options.host, port: options.port, log: options.log, clock: options.clock },
        gatherTimeoutMs: options.gatherTimeoutMs ?? GATHER_TIMEOUT_MS,
      });
  }

  /**
   * Takes a publisher's offer. When it connects, it takes the place of the uid's former session, if there is one.
   * @throws Fault `sdp-invalid`, `offer-unacceptable`, `uid-taken`, `channel-full`, `app-full`, `server-full`,
   *   `rtc-port-unavailable`, `ice-gathering-timeout`, `channel-closed`
   */
  async publish({ appid, cname, uid, offer: sdp, after }: PublishRequest): Promise<Published> {
    this.#requireOpen();
    for (const { channel, uid: taken, present, sessionId } of this.#sessions.values())
      if (after && present && taken === uid && channel === `${appid}/${cname}` && !after.includes(sessionId))
        throw new Fault('uid-taken', `Another publisher has come in as user ${uid}.`, { blame: 'caller' });
    const offer = readOffer(sdp);
    const place = this.#rooms.holdPlace(appid, cname, uid, offer.sections.length);
    let session: Session | undefined;
    try {
      session = await this.#open({ appid, cname, uid, offer, place });
      const answer = writeAnswer(offer, session.peer.answer);
      const { channel, sessionId, etag } = session;
      // The same user tried before, and that attempt has not connected yet.
      for (const other of [...this.#sessions.values()])
        if (other.channel === channel && other.uid === uid && !other.present) this.#end(other, 'replaced');
      this.#sessions.set(sessionId, session);
      this.#ticker ??= this.#clock.every(TICK_MS, () => this.#tick());
      const codecs = offer.sections.map((section) => section.format.codec).join('+');
      const layers = Math.max(...offer.sections.map((section) => section.streams.length));
      const fields = { appid, cname, uid, session: sessionId.slice(0, 6), codecs, ...(layers > 1 && { layers }) };
      this.#log.info(fields, 'publisher offered');
      return { sessionId, answer, etag };
    } catch (error) {
      session?.peer.close();
      place.free();
      throw error;
    }
  }

  /**
   * Takes candidates that a publisher found after its offer (RFC 8840).
   * @param etag of the session's ICE, as in the If-Match header
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
    // A client asks for an ICE restart with "*" and new credentials (RFC 9725 §4.3.2).
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

  /**
   * Has the publishers of a channel come in elsewhere. Those who ask (`isSentAway`) can go before they are missed;
   * after `graceMs` the sessions of the others are ended, and those of silent ones before. Resolves once none is left.
   */
  sendAway(appid: string, cname: string, graceMs: number): Promise<void> {
    const channel = `${appid}/${cname}`;
    if (!this.#isOccupied(channel)) return Promise.resolve();
    let departure = this.#departures.get(channel);
    if (!departure) {
      const timer = this.#clock.after(graceMs, () => {
        for (const session of [...this.#sessions.values()])
          if (session.channel === channel) this.#end(session, 'sent away');
      });
      departure = { timer, gone: Promise.withResolvers() };
      this.#departures.set(channel, departure);
    }
    return departure.gone.promise;
  }

  /** Whether a publisher is to come in elsewhere, and soon. @throws Fault `session-unknown` */
  isSentAway(sessionId: string): boolean {
    return this.#departures.has(this.#require(sessionId).channel);
  }

  /** Ends all sessions and gives the port back. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    for (const session of [...this.#sessions.values()]) this.#end(session, 'server closing');
    this.#ticker?.cancel();
    this.#peers.close();
  }

  async #open(given: { appid: string; cname: string; uid: string; offer: Offer; place: Place }): Promise<Session> {
    const { appid, cname, uid, offer, place } = given;
    const sessionId = randomBytes(24).toString('base64url');
    let sendTo: Peer | undefined;
    const rtp = new RtpSession({
      clock: this.#clock,
      sections: offer.sections,
      memory: this.#rooms.memory,
      tally: this.reception,
      send: (datagram) => sendTo?.send(datagram),
    });
    const peer = await this.#peers.open({
      name: `${cname}/${uid}`,
      offer: writeTransportOffer(offer),
      mid: offer.sections[0]!.mid,
      consentOf: offer.answersConsent ? undefined : offer.transport,
      onState: (state) => this.#onState(sessionId, state),
      onDatagram: (datagram) => rtp.onDatagram(datagram),
    });
    sendTo = peer;
    if (this.#closed) {
      peer.close();
      this.#requireOpen();
    }
    const etag = `"${randomBytes(9).toString('base64url')}"`;
    const createdUs = this.#clock.monoUs();
    return { sessionId, etag, channel: `${appid}/${cname}`, uid, offer, rtp, peer, place, present: false, createdUs };
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
    session.place.enter(this.#publisherOf(session));
    const { uid, channel, peer } = session;
    this.#log.info({ uid, channel, from: peer.remoteAddress() }, 'publisher connected');
  }

  #publisherOf(session: Session): Publisher {
    const { sessionId, rtp, peer } = session;
    return {
      sessionId,
      publications: rtp.publications,
      remoteAddress: () => peer.remoteAddress(),
      onReplaced: () => this.#end(session, 'replaced'),
    };
  }

  #end(session: Session, why: string): void {
    if (!this.#sessions.delete(session.sessionId)) return;
    session.place.free();
    session.peer.close();
    if (this.#sessions.size === 0) {
      this.#ticker?.cancel();
      this.#ticker = undefined;
    }
    const departure = this.#departures.get(session.channel);
    if (departure && !this.#isOccupied(session.channel)) {
      this.#departures.delete(session.channel);
      departure.timer.cancel();
      departure.gone.resolve();
    }
    this.#log.info({ uid: session.uid, channel: session.channel, why }, 'publisher left');
  }

  #isOccupied(channel: string): boolean {
    for (const session of this.#sessions.values()) if (session.channel === channel) return true;
    return false;
  }

  #tick(): void {
    const nowUs = this.#clock.monoUs();
    for (const session of [...this.#sessions.values()]) {
      if (!session.present) {
        if (nowUs - session.createdUs > CONNECT_TIMEOUT_US) this.#end(session, 'never connected');
      } else if (!session.offer.answersConsent && session.rtp.isSilent(nowUs)) this.#end(session, 'silent');
      else if (this.#departures.has(session.channel) && session.rtp.silentUs(nowUs) > AWAY_SILENCE_US)
        this.#end(session, 'sent away');
      else session.rtp.tick();
    }
  }

  #require(sessionId: string): Session {
    const session = this.#sessions.get(sessionId);
    if (!session)
      throw new Fault('session-unknown', 'There is no such session; it may have ended.', { blame: 'caller' });
    return session;
  }

  #requireOpen(): void {
    if (this.#closed)
      throw new Fault('channel-closed', 'The server is shutting down.', { blame: 'self', retryable: true });
  }
}
