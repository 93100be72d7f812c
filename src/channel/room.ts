/**
 * Room: one channel, by app and name. Who is in it in order of joining, and the recorders' feeds that hear of it.
 */
import type { Clock } from '../kernel/clock.ts';
import type { IncomingTrack } from './incoming-track.ts';
import type { OutgoingFeed } from './outgoing-feed.ts';
import type { Publisher } from './publisher.ts';

export type Member = { uid: string; joinedAtMs: number; sessionId: string; publisher: Publisher };

/** A feed with its own numbering of tracks: a number is never used twice in one feed. */
class RoomFeed {
  readonly uid: string;
  readonly out: OutgoingFeed;
  readonly #numbers = new Map<IncomingTrack, number>();
  #last = 0;

  constructor(uid: string, out: OutgoingFeed) {
    this.uid = uid;
    this.out = out;
  }

  startTrack(uid: string, track: IncomingTrack, atUs: number): void {
    const number = ++this.#last;
    this.#numbers.set(track, number);
    this.out.writeEvent({ type: 'trackStarted', track: { track: number, uid, format: track.format } }, atUs);
  }

  endTrack(track: IncomingTrack, atUs: number): void {
    const number = this.#numbers.get(track);
    if (number === undefined) return;
    this.#numbers.delete(track);
    this.out.writeEvent({ type: 'trackEnded', track: number }, atUs);
  }

  numberOf(track: IncomingTrack): number | undefined {
    return this.#numbers.get(track);
  }

  trackOf(number: number): IncomingTrack | undefined {
    for (const [track, n] of this.#numbers) if (n === number) return track;
    return undefined;
  }
}

export class Room {
  readonly #clock: Clock;
  readonly #members = new Map<string, Member>();
  readonly #feeds = new Map<string, RoomFeed>();

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  get isEmpty(): boolean {
    return this.#members.size === 0 && this.#feeds.size === 0;
  }

  /** In order of joining. */
  get members(): readonly Member[] {
    return [...this.#members.values()];
  }

  hasMember(uid: string): boolean {
    return this.#members.has(uid);
  }

  hasRecorder(uid: string): boolean {
    return this.#feeds.has(uid);
  }

  /**
   * Lets a user in. A user who is in already stays where he is in the order; only his tracks change.
   * @returns the session that this one took the place of
   */
  join(uid: string, sessionId: string, publisher: Publisher): Member | undefined {
    const nowUs = this.#clock.monoUs();
    const former = this.#members.get(uid);
    const joinedAtMs = former?.joinedAtMs ?? this.#clock.nowMs();
    this.#members.set(uid, { uid, joinedAtMs, sessionId, publisher });
    for (const feed of this.#feeds.values()) {
      if (former) for (const track of former.publisher.tracks) feed.endTrack(track, nowUs);
      else feed.out.writeEvent({ type: 'userJoined', uid }, nowUs);
      for (const track of publisher.tracks) feed.startTrack(uid, track, nowUs);
    }
    return former;
  }

  /** Lets a user out, if it is this session that he is in by. */
  leave(uid: string, sessionId: string): void {
    const member = this.#members.get(uid);
    if (member?.sessionId !== sessionId) return;
    this.#members.delete(uid);
    const nowUs = this.#clock.monoUs();
    for (const feed of this.#feeds.values()) {
      for (const track of member.publisher.tracks) feed.endTrack(track, nowUs);
      feed.out.writeEvent({ type: 'userLeft', uid }, nowUs);
    }
  }

  onRtp(track: IncomingTrack, datagram: Buffer, arrivalUs: number): void {
    this.#forward('rtp', track, datagram, arrivalUs);
  }

  onRtcp(track: IncomingTrack, datagram: Buffer, arrivalUs: number): void {
    this.#forward('rtcp', track, datagram, arrivalUs);
  }

  /** Writes what came before now, and from here on everything; asks every sender for a key frame. */
  addFeed(uid: string, out: OutgoingFeed): { openedMonoUs: number } {
    const openedMonoUs = this.#clock.monoUs();
    const feed = new RoomFeed(uid, out);
    this.#feeds.set(uid, feed);
    out.writeEvent({ type: 'hello', version: 1, monoUs: openedMonoUs, utcMs: this.#clock.nowMs() }, openedMonoUs);
    for (const member of this.#members.values()) out.writeEvent({ type: 'userJoined', uid: member.uid }, openedMonoUs);
    const past: { number: number; datagram: Buffer; arrivalUs: number }[] = [];
    const reports: typeof past = [];
    for (const member of this.#members.values()) {
      for (const track of member.publisher.tracks) {
        feed.startTrack(member.uid, track, openedMonoUs);
        const number = feed.numberOf(track)!;
        if (track.lastReport) reports.push({ number, ...track.lastReport });
        for (const { datagram, arrivalUs } of track.cache.packets()) past.push({ number, datagram, arrivalUs });
      }
    }
    // Reports first, so that every packet's clock can be mapped; then all tracks as they came in, in one order.
    for (const r of reports) out.writeMedia('rtcp', r.number, r.datagram, r.arrivalUs);
    past.sort((a, b) => a.arrivalUs - b.arrivalUs);
    for (const p of past) out.writeMedia('rtp', p.number, p.datagram, p.arrivalUs);
    this.wantKeyFrames();
    return { openedMonoUs };
  }

  removeFeed(uid: string): void {
    this.#feeds.delete(uid);
  }

  /** Asks every sender for a key frame, so that the caches begin at one. */
  wantKeyFrames(): void {
    for (const member of this.#members.values()) member.publisher.wantKeyFrame();
  }

  /** @param number of a track in that recorder's feed; one that has ended is passed over */
  wantKeyFrame(recorderUid: string, number: number): void {
    const track = this.#feeds.get(recorderUid)?.trackOf(number);
    if (!track) return;
    for (const member of this.#members.values())
      if (member.publisher.tracks.includes(track)) member.publisher.wantKeyFrame(track);
  }

  #forward(kind: 'rtp' | 'rtcp', track: IncomingTrack, datagram: Buffer, arrivalUs: number): void {
    for (const feed of this.#feeds.values()) {
      const number = feed.numberOf(track);
      if (number !== undefined) feed.out.writeMedia(kind, number, datagram, arrivalUs);
    }
  }
}
