/**
 * Room: one channel, by app and name. Who is in it in order of joining, and the recorders' feeds that hear of it.
 */
import type { Clock } from '../kernel/clock.ts';
import type { IncomingStream } from './incoming-stream.ts';
import type { IncomingTrack } from './incoming-track.ts';
import { LayerChoice, type VideoStreamType } from './layer-choice.ts';
import type { OutgoingFeed } from './outgoing-feed.ts';
import type { Publisher } from './publisher.ts';

export type Member = { uid: string; joinedAtMs: number; sessionId: string; publisher: Publisher };

/** A track in a feed: a number that is never used twice in one feed, and the layer that the recorder is given. */
type FeedTrack = { number: number; track: IncomingTrack; choice: LayerChoice };

class RoomFeed {
  readonly uid: string;
  readonly out: OutgoingFeed;
  readonly #videoStreamType: VideoStreamType;
  readonly #tracks = new Map<IncomingStream, FeedTrack>();
  #last = 0;

  constructor(uid: string, out: OutgoingFeed, videoStreamType: VideoStreamType) {
    this.uid = uid;
    this.out = out;
    this.#videoStreamType = videoStreamType;
  }

  startTrack(uid: string, track: IncomingTrack, atUs: number): FeedTrack {
    const number = ++this.#last;
    const choice = new LayerChoice(track.streams, this.#videoStreamType, atUs);
    const started = { number, track, choice };
    for (const stream of track.streams) this.#tracks.set(stream, started);
    this.out.writeEvent({ type: 'trackStarted', track: { track: number, uid, format: track.format } }, atUs);
    return started;
  }

  endTrack(track: IncomingTrack, atUs: number): void {
    const ended = this.#tracks.get(track.streams[0]!);
    if (!ended) return;
    for (const stream of track.streams) this.#tracks.delete(stream);
    this.out.writeEvent({ type: 'trackEnded', track: ended.number }, atUs);
  }

  trackOf(number: number): FeedTrack | undefined {
    for (const track of this.#tracks.values()) if (track.number === number) return track;
    return undefined;
  }

  onRtp(stream: IncomingStream, datagram: Buffer, arrivalUs: number): void {
    const track = this.#tracks.get(stream);
    if (!track) return;
    const { number, choice } = track;
    if (choice.onPacket(stream, arrivalUs)) this.#changeLayer(number, choice.chosen!);
    else if (choice.chosen === stream) this.out.writeMedia('rtp', number, datagram, arrivalUs);
  }

  onRtcp(stream: IncomingStream, datagram: Buffer, arrivalUs: number): void {
    const track = this.#tracks.get(stream);
    if (track?.choice.chosen === stream) this.out.writeMedia('rtcp', track.number, datagram, arrivalUs);
  }

  /** What is kept of the layer begins with a key frame. Its clock comes right behind the first packet, by which it is known. */
  #changeLayer(number: number, { cache, lastReport }: IncomingStream): void {
    cache.packets().forEach(({ datagram, arrivalUs }, n) => {
      this.out.writeMedia('rtp', number, datagram, arrivalUs);
      if (n === 0 && lastReport) this.out.writeMedia('rtcp', number, lastReport.datagram, lastReport.arrivalUs);
    });
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

  onRtp(stream: IncomingStream, datagram: Buffer, arrivalUs: number): void {
    for (const feed of this.#feeds.values()) feed.onRtp(stream, datagram, arrivalUs);
  }

  onRtcp(stream: IncomingStream, datagram: Buffer, arrivalUs: number): void {
    for (const feed of this.#feeds.values()) feed.onRtcp(stream, datagram, arrivalUs);
  }

  /**
   * Writes what came before now, and from here on everything; asks every sender for a key frame.
   * @param videoStreamType which layer of a simulcast the feed is given
   */
  addFeed(uid: string, out: OutgoingFeed, videoStreamType: VideoStreamType): { openedMonoUs: number } {
    const openedMonoUs = this.#clock.monoUs();
    const feed = new RoomFeed(uid, out, videoStreamType);
    this.#feeds.set(uid, feed);
    out.writeEvent({ type: 'hello', version: 1, monoUs: openedMonoUs, utcMs: this.#clock.nowMs() }, openedMonoUs);
    for (const member of this.#members.values()) out.writeEvent({ type: 'userJoined', uid: member.uid }, openedMonoUs);
    const past: { number: number; datagram: Buffer; arrivalUs: number }[] = [];
    const reports: typeof past = [];
    const wanted: { publisher: Publisher; stream: IncomingStream }[] = [];
    for (const member of this.#members.values()) {
      for (const track of member.publisher.tracks) {
        const started = feed.startTrack(member.uid, track, openedMonoUs);
        const { number } = started;
        const { chosen } = started.choice;
        for (const stream of streamsFor(started)) wanted.push({ publisher: member.publisher, stream });
        if (chosen?.lastReport) reports.push({ number, ...chosen.lastReport });
        for (const { datagram, arrivalUs } of chosen?.cache.packets() ?? []) past.push({ number, datagram, arrivalUs });
      }
    }
    // Reports first, so that every packet's clock can be mapped; then all tracks as they came in, in one order.
    for (const r of reports) out.writeMedia('rtcp', r.number, r.datagram, r.arrivalUs);
    past.sort((a, b) => a.arrivalUs - b.arrivalUs);
    for (const p of past) out.writeMedia('rtp', p.number, p.datagram, p.arrivalUs);
    for (const { publisher, stream } of wanted) publisher.wantKeyFrame(stream);
    return { openedMonoUs };
  }

  removeFeed(uid: string): void {
    this.#feeds.delete(uid);
  }

  /** Asks every sender for a key frame of all layers, so that the caches begin at one. */
  wantKeyFrames(): void {
    for (const member of this.#members.values()) member.publisher.wantKeyFrame();
  }

  /** @param number of a track in that recorder's feed; one that has ended is passed over */
  wantKeyFrame(recorderUid: string, number: number): void {
    const found = this.#feeds.get(recorderUid)?.trackOf(number);
    if (!found) return;
    for (const { publisher } of this.#members.values())
      if (publisher.tracks.includes(found.track))
        for (const stream of streamsFor(found)) publisher.wantKeyFrame(stream);
  }
}

/** Whose key frame helps a recorder: that of the layer it is given, or of any while it is given none. */
function streamsFor({ track, choice }: FeedTrack): readonly IncomingStream[] {
  return choice.chosen ? [choice.chosen] : track.streams;
}
