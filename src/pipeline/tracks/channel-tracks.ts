/**
 * ChannelTracks: every track of a channel that a recording wants, each with a line of the mode's own, kept in step with
 * the channel and the subscription. It takes the feed's events and packets, asks for key frames, and tells who falls
 * silent.
 */

import type { ChannelState, TrackState } from '../../contract/line/channel-state.ts';
import type { FeedEvent } from '../../contract/line/feed.ts';
import type { Subscription } from '../../contract/line/plan.ts';
import { Fault } from '../../kernel/fault.ts';
import { type HostUs, type RecordingUs, type SenderUs, toRecording } from '../../kernel/time.ts';
import type { Packet } from '../../media/packet.ts';
import type { Track } from '../../media/track.ts';
import { parsePacket } from '../../stages/rtp/parse-packet.ts';
import { encodePictureLossIndication, parseCompound } from '../../stages/rtp/rtcp.ts';
import { ParticipantClock, type StreamClock } from '../../stages/rtp/sender-clock.ts';
import type { QualityCollector } from '../report/quality-collector.ts';
import type { TrackEnd, TrackReport } from '../report/track-report.ts';
import { Timeline } from '../timeline.ts';
import type { ReceivedTrackOptions } from './received-track.ts';
import { isSubscribed, Roster } from './roster.ts';
import { type StreamChange, StreamState } from './stream-state.ts';

/** A gap in a track is waited for this long; a packet that was asked for again has come by then, or never will. */
const MAX_GAP_US = 1_700_000;
/** Key frame requests of one track are at least this far apart. */
const KEY_FRAME_REQUEST_US = 500_000;
/**
 * Our SSRC in feedback. Any fixed number will do, because the channel only looks at which track the feedback is about.
 */
const FEEDBACK_SSRC = 1;
const RTP_HEADER_BYTES = 12;

export type Subscriptions = { audio: Subscription; video: Subscription };

/** What a mode makes of one track. */
export type TrackLine = {
  onRtp(packet: Packet): void;
  /** As of ReceivedTrack. */
  onSenderReport(ntpUs: SenderUs, rtpTimestamp: number, arrivalUs: HostUs): void;
  /** Takes what the jitter buffer releases. Returns true when the sender should be asked for a key frame. */
  poll(nowUs: HostUs): boolean;
  /** Takes everything that the jitter buffer still holds: no more packets will come. */
  flush(): void;
  /** How many samples were given up since the last call because too many waited. */
  takeDropped(): number;
  /** The line's state, for a line that continues it. */
  save(): Omit<TrackState, 'track'>;
  close(): void;
};

/** The newest report from a track's sender. */
type Report = { ssrc: number; ntpUs: SenderUs; rtpTimestamp: number; arrivalUs: HostUs };

/** A track of the channel, whether it is wanted or not. */
type Source = { track: Track; ssrc: number | undefined; report: Report | undefined };

/** A track that is received, with its line. Times are microseconds of the recording. */
export type TrackEntry<L extends TrackLine> = {
  readonly track: Track;
  readonly line: L;
  /** When a change of the subscription added the track; minus infinity when it was wanted from its start. */
  readonly sinceUs: RecordingUs;
  /** From when on the track is not wanted; its line lives on until the mode has used what came before. */
  readonly unwantedUs: RecordingUs;
  /** Where the track ended; its line lives on in the same way. */
  readonly endedUs: RecordingUs;
  /** Whether the user has left the channel since. */
  readonly hasLeft: boolean;
};

type Entry<L extends TrackLine> = { -readonly [K in keyof TrackEntry<L>]: TrackEntry<L>[K] } & {
  source: Source;
  clock: StreamClock;
  keyFrameAskedUs: HostUs;
  report: TrackReport | undefined;
};

export type ChannelTracksOptions<L extends TrackLine> = {
  subscribe: Subscriptions;
  /** The kinds that are recorded. */
  records: { audio: boolean; video: boolean };
  /** The recording's zero on the monotonic clock, microseconds. */
  zeroUs: HostUs;
  createLine(received: ReceivedTrackOptions): L;
  /** Whether there is room for a wanted track; asked again when others are over. When left out all are taken. */
  admits?(track: Track): boolean;
  /** Sends one RTCP datagram about a track to the channel. */
  sendRtcp(track: number, datagram: Buffer): void;
  onStreamChange(change: StreamChange): void;
  onDegraded(what: string, count: number): void;
  /** Notes who is there and what becomes of their tracks. */
  report?: QualityCollector | undefined;
  /** The state of an earlier run, whose recording this one continues; used only where the feed is still the same. */
  state?: ChannelState | undefined;
};

export class ChannelTracks<L extends TrackLine> {
  /** Who is in the channel. */
  readonly roster = new Roster();
  readonly #o: ChannelTracksOptions<L>;
  readonly #streams = new StreamState();
  readonly #subscriptions: Timeline<Subscriptions>;
  readonly #sources = new Map<number, Source>();
  readonly #entries = new Map<number, Entry<L>>();
  readonly #clocks = new Map<string, ParticipantClock>();
  #endUs: HostUs = Number.POSITIVE_INFINITY;
  /** Tracks were freed since the last poll. */
  #hasForgotten = false;
  #feedUs: HostUs | undefined;
  /** The state of an earlier run, once the feed has shown that the state belongs to it. */
  #known: ChannelState | undefined;

  constructor(options: ChannelTracksOptions<L>) {
    this.#o = options;
    this.#subscriptions = new Timeline(options.subscribe);
  }

  /** Whether the feed has begun. */
  get hasBegun(): boolean {
    return this.#feedUs !== undefined;
  }

  /** Whether this continues the state that it was given; known once the feed has begun. */
  get goesOn(): boolean {
    return this.#known !== undefined;
  }

  /**
   * What is known when everything up to `takenUs` has been taken; undefined before the feed has begun.
   * @param emptySinceUs since when nobody is there. Both are monotonic
   */
  save(takenUs: HostUs, emptySinceUs: HostUs | undefined): ChannelState | undefined {
    if (this.#feedUs === undefined) return undefined;
    return {
      feedUs: this.#feedUs,
      takenUs,
      ...(emptySinceUs === undefined ? {} : { emptySinceUs }),
      roster: this.roster.save(),
      streams: this.#streams.save(),
      clocks: [...this.#clocks].map(([uid, clock]) => ({ uid, clock: clock.save() })),
      tracks: [...this.#entries].map(([track, { line }]) => ({ track, ...line.save() })),
      ...(this.#o.admits && { refused: this.#refusedAt(toRecording(takenUs, this.#o.zeroUs)) }),
    };
  }

  /** How many users are in the channel now. */
  get count(): number {
    return this.roster.present().length;
  }

  /** The tracks that are or were wanted and have not been forgotten, in order of their beginning. */
  entries(): IterableIterator<TrackEntry<L>> {
    return this.#entries.values();
  }

  /** Who is wanted at `atUs` of the recording. */
  subscriptionAt(atUs: RecordingUs): Subscriptions {
    return this.#subscriptions.at(atUs);
  }

  isWanted({ uid, format }: Track, atUs: RecordingUs): boolean {
    return isSubscribed(this.#subscriptions.at(atUs)[format.kind], uid);
  }

  onEvent(event: FeedEvent, atUs: HostUs): void {
    const at = toRecording(atUs, this.#o.zeroUs);
    switch (event.type) {
      case 'hello':
        this.#begin(event.monoUs);
        return;
      case 'caughtUp':
      case 'alive':
      case 'dropped':
        return;
      case 'userJoined':
        if (this.#isKnown(atUs)) return;
        this.roster.join(event.uid, at);
        this.#o.report?.onJoined(event.uid, at);
        return;
      case 'userLeft':
        if (!this.#isKnown(atUs)) {
          this.roster.leave(event.uid, at);
          this.#o.report?.onLeft(event.uid, at);
        }
        for (const source of this.#sources.values())
          if (source.track.uid === event.uid) this.#endTrack(source, at, 'left');
        for (const entry of this.#entries.values()) if (entry.track.uid === event.uid) entry.hasLeft = true;
        this.#admitMore(at, atUs);
        return;
      case 'trackStarted':
        this.#startTrack(event.track, at);
        return;
      case 'trackEnded': {
        const source = this.#sources.get(event.track);
        if (source) this.#endTrack(source, at, 'ended');
        return;
      }
    }
  }

  /**
   * From `atUs` of the recording on, `subscribe` tells whose streams are recorded (contract §1.3). Newly wanted tracks
   * are received from now on; of tracks no longer wanted, what comes before `atUs` is still used.
   * @param nowUs monotonic
   */
  changeSubscription(atUs: RecordingUs, subscribe: Subscriptions, nowUs: HostUs): void {
    const fromUs = this.#subscriptions.change(atUs, subscribe);
    const isWanted = ({ uid, format }: Track) => isSubscribed(subscribe[format.kind], uid);
    for (const entry of this.#entries.values()) {
      if (entry.unwantedUs < Number.POSITIVE_INFINITY || isWanted(entry.track)) continue;
      const { uid, format } = entry.track;
      entry.unwantedUs = fromUs;
      entry.report?.onEnd(fromUs, 'unsubscribed');
      const change = this.#streams.onEnd(uid, format.kind);
      if (change) this.#o.onStreamChange(change);
    }
    for (const entry of this.#entries.values()) {
      if (entry.unwantedUs === Number.POSITIVE_INFINITY || entry.endedUs < Number.POSITIVE_INFINITY) continue;
      if (!isWanted(entry.track) || !this.#isAdmitted(entry.track, fromUs)) continue;
      entry.sinceUs = fromUs;
      entry.unwantedUs = Number.POSITIVE_INFINITY;
      entry.report?.onResume();
    }
    this.#receiveMore(fromUs, nowUs);
  }

  onRtp(track: number, datagram: Buffer, arrivalUs: HostUs): void {
    const source = this.#sources.get(track);
    if (!source || arrivalUs > this.#endUs) return;
    const entry = this.#entries.get(track);
    if (!entry) {
      // Nobody wants the track. Should that change, a key frame is asked for by its SSRC (RFC 3550 §5.1).
      if (datagram.length >= RTP_HEADER_BYTES) source.ssrc = datagram.readUInt32BE(8);
      return;
    }
    const packet = this.#parse(parsePacket, datagram, arrivalUs);
    if (!packet) return;
    source.ssrc = packet.ssrc;
    entry.line.onRtp(packet);
  }

  /** Padding, headers and parts of pictures are no sign of life; only what can be shown or heard is. */
  #onWhole(number: number, arrivalUs: HostUs): void {
    const entry = this.#entries.get(number);
    const isWanted = entry?.unwantedUs === Number.POSITIVE_INFINITY && entry.endedUs === Number.POSITIVE_INFINITY;
    if (!entry || !isWanted || this.#isKnown(arrivalUs)) return;
    const { uid, format } = entry.track;
    const change = this.#streams.onMedia(uid, format.kind, arrivalUs);
    if (change) this.#o.onStreamChange(change);
  }

  onRtcp(track: number, datagram: Buffer, arrivalUs: HostUs): void {
    const source = this.#sources.get(track);
    if (!source) return;
    for (const report of this.#parse(parseCompound, datagram, arrivalUs) ?? []) {
      if (report.type !== 'senderReport') continue;
      const { ssrc, ntpUs, rtpTimestamp } = report;
      if (source.ssrc !== undefined && ssrc !== source.ssrc) continue;
      source.report = { ssrc, ntpUs, rtpTimestamp, arrivalUs };
      this.#entries.get(track)?.line.onSenderReport(ntpUs, rtpTimestamp, arrivalUs);
    }
  }

  /** Releases packets that have waited long enough, asks for key frames, and tells of streams that fell silent. */
  poll(nowUs: HostUs): void {
    if (this.#hasForgotten) this.#admitMore(toRecording(nowUs, this.#o.zeroUs), nowUs);
    this.#hasForgotten = false;
    for (const entry of this.#entries.values()) {
      const { line, track } = entry;
      const keyFrameWanted = line.poll(nowUs);
      entry.report?.onKeyFrameWanted(keyFrameWanted, toRecording(nowUs, this.#o.zeroUs));
      if (keyFrameWanted) this.#askKeyFrame(entry, nowUs);
      const dropped = line.takeDropped();
      const what = `${track.format.kind} of user ${track.uid} waited too long and was left out`;
      if (dropped > 0) this.#o.onDegraded(what, dropped);
    }
    for (const change of this.#streams.onTime(nowUs)) this.#o.onStreamChange(change);
  }

  /**
   * Frees tracks that ended, or were last wanted, before `atUs`, and forgets users who left before.
   * @param keeps true for a track that ended and whose line is still needed
   */
  forget(atUs: RecordingUs, keeps: (entry: TrackEntry<L>) => boolean): void {
    this.roster.forget(atUs);
    this.#subscriptions.forget(atUs);
    for (const [number, entry] of this.#entries) {
      if (entry.unwantedUs >= atUs && (entry.endedUs >= atUs || keeps(entry))) continue;
      entry.line.close();
      entry.report?.close();
      this.#clocks.get(entry.track.uid)?.removeStream(entry.clock);
      this.#entries.delete(number);
      this.#hasForgotten = true;
    }
    // A clock is kept as long as its user may send: thousands of users may pass through a channel.
    if (this.#clocks.size <= this.#entries.size && this.#clocks.size <= this.count) return;
    const needed = new Set(this.roster.present());
    for (const { track } of this.#entries.values()) needed.add(track.uid);
    for (const uid of this.#clocks.keys()) if (!needed.has(uid)) this.#clocks.delete(uid);
  }

  /** Nothing that arrives after `atUs` (monotonic) belongs to the recording; jitter buffers release what waits. */
  end(atUs: HostUs): void {
    this.#endUs = atUs;
    for (const { line } of this.#entries.values()) line.flush();
    for (const change of this.#streams.endAll()) this.#o.onStreamChange(change);
  }

  close(): void {
    for (const { line, report } of this.#entries.values()) {
      line.close();
      report?.close();
    }
    this.#entries.clear();
  }

  #begin(feedUs: HostUs): void {
    this.#feedUs = feedUs;
    const { state } = this.#o;
    if (state?.feedUs !== feedUs) return;
    this.#known = state;
    this.roster.restore(state.roster);
    for (const { uid, joinedUs, leftUs } of state.roster.stays) {
      this.#o.report?.onJoined(uid, joinedUs);
      if (leftUs !== undefined) this.#o.report?.onLeft(uid, leftUs);
    }
    this.#streams.restore(state.streams);
    for (const { uid, clock } of state.clocks) this.#clocks.set(uid, new ParticipantClock(clock));
  }

  /** True for what the earlier run had taken when its state was saved. */
  #isKnown(atUs: HostUs): boolean {
    return this.#known !== undefined && atUs <= this.#known.takenUs;
  }

  #startTrack(track: Track, at: RecordingUs): void {
    if (this.#sources.has(track.track)) return;
    const source: Source = { track, ssrc: undefined, report: undefined };
    this.#sources.set(track.track, source);
    this.#receive(source, at);
  }

  /** Begins a line for a track that is wanted at `at` or later. */
  #receive(source: Source, at: RecordingUs): Entry<L> | undefined {
    const { records, zeroUs, createLine } = this.#o;
    const { track } = source;
    const { uid, format } = track;
    if (!records[format.kind]) return undefined;
    // Changes may be known already for a time that the feed has not reached.
    const held = this.#subscriptions.since(at);
    const wants = ({ value }: (typeof held)[number]) => isSubscribed(value[format.kind], uid);
    const first = held.findIndex(wants);
    if (first < 0 || !this.#isAdmitted(track, at)) return undefined;
    const participant = this.#clocks.get(uid) ?? new ParticipantClock();
    this.#clocks.set(uid, participant);
    const clock = participant.addStream(format.clockRate, String(track.track));
    const sinceUs = held[first]?.fromUs ?? Number.NEGATIVE_INFINITY;
    const unwantedUs = held[held.findLastIndex(wants) + 1]?.fromUs ?? Number.POSITIVE_INFINITY;
    const report = this.#o.report?.onTrack(track, Math.max(at, sinceUs));
    if (unwantedUs < Number.POSITIVE_INFINITY) report?.onEnd(unwantedUs, 'unsubscribed');
    const entry: Entry<L> = {
      track,
      source,
      clock,
      line: createLine({
        ...{ track, clock, zeroUs, maxGapUs: MAX_GAP_US, report },
        state: this.#known?.tracks.find((known) => known.track === track.track),
        knownUs: this.#known?.takenUs,
        onWhole: (arrivalUs) => this.#onWhole(track.track, arrivalUs),
      }),
      keyFrameAskedUs: Number.NEGATIVE_INFINITY,
      report,
      sinceUs,
      unwantedUs,
      endedUs: Number.POSITIVE_INFINITY,
      hasLeft: false,
    };
    this.#entries.set(track.track, entry);
    return entry;
  }

  #askKeyFrame(entry: Entry<L>, nowUs: HostUs): void {
    const { track, ssrc } = entry.source;
    const isLive = entry.endedUs === Number.POSITIVE_INFINITY && entry.unwantedUs === Number.POSITIVE_INFINITY;
    if (!isLive || ssrc === undefined || nowUs - entry.keyFrameAskedUs < KEY_FRAME_REQUEST_US) return;
    entry.keyFrameAskedUs = nowUs;
    this.#o.sendRtcp(track.track, encodePictureLossIndication(FEEDBACK_SSRC, ssrc));
  }

  #endTrack({ track }: Source, at: RecordingUs, by: TrackEnd): void {
    this.#sources.delete(track.track);
    const entry = this.#entries.get(track.track);
    if (!entry) return;
    entry.endedUs = at;
    entry.report?.onEnd(at, by);
    entry.line.flush();
    const change = this.#streams.onEnd(track.uid, track.format.kind);
    if (change) this.#o.onStreamChange(change);
  }

  /** A run that goes on with a recording has room for the tracks that the run before it had, and for no others. */
  #isAdmitted(track: Track, at: RecordingUs): boolean {
    const { admits, zeroUs } = this.#o;
    if (!admits) return true;
    const { takenUs, refused } = this.#known ?? {};
    if (takenUs !== undefined && refused && at <= toRecording(takenUs, zeroUs)) return !refused.includes(track.track);
    return admits(track);
  }

  /** The tracks that are wanted and for which there is no room. */
  #refusedAt(at: RecordingUs): number[] {
    const { records } = this.#o;
    return [...this.#sources.values()]
      .filter(({ track }) => records[track.format.kind] && this.isWanted(track, at))
      .map(({ track }) => track.track)
      .filter((number) => (this.#entries.get(number)?.unwantedUs ?? Number.NEGATIVE_INFINITY) <= at);
  }

  /** There may be room for tracks that had none. */
  #admitMore(at: RecordingUs, nowUs: HostUs): void {
    if (this.#o.admits) this.#receiveMore(at, nowUs);
  }

  /** Begins lines for the tracks under way that are wanted and have none. */
  #receiveMore(at: RecordingUs, nowUs: HostUs): void {
    for (const source of this.#sources.values()) {
      if (this.#entries.has(source.track.track)) continue;
      const entry = this.#receive(source, at);
      if (!entry) continue;
      const { report } = source;
      // Without a report a stream is placed by arrival, and sound and picture would only slowly come into step.
      if (report && report.ssrc === source.ssrc)
        entry.line.onSenderReport(report.ntpUs, report.rtpTimestamp, report.arrivalUs);
      if (entry.track.format.kind === 'video') this.#askKeyFrame(entry, nowUs);
    }
  }

  /** Called for every packet. Bytes that cannot be read are counted, and cost nothing else. */
  #parse<T>(parse: (datagram: Buffer, arrivalUs: HostUs) => T, datagram: Buffer, arrivalUs: HostUs): T | undefined {
    try {
      return parse(datagram, arrivalUs);
    } catch (error) {
      if (!(error instanceof Fault) || error.blame !== 'channel') throw error;
      this.#o.onDegraded(`malformed packet: ${error.message}`, 1);
      return undefined;
    }
  }
}
