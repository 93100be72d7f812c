/**
 * Participants: every user's lines in one recording, kept in step with the channel and the subscription. Takes the feed's
 * events and packets, answers what the picture and the sound of a moment are made of.
 */

import type { FeedEvent } from '../../contract/line/feed.ts';
import type { MixPlan } from '../../contract/line/plan.ts';
import { Fault } from '../../kernel/fault.ts';
import { US } from '../../kernel/time.ts';
import { type Picture, SOUND_RATE, type Sound } from '../../media/frame.ts';
import type { Track } from '../../media/track.ts';
import { parsePacket } from '../../stages/rtp/parse-packet.ts';
import { encodePictureLossIndication, parseCompound } from '../../stages/rtp/rtcp.ts';
import { ParticipantClock } from '../../stages/rtp/sender-clock.ts';
import { isSubscribed, Roster } from '../roster.ts';
import { Timeline } from '../timeline.ts';
import { AudioLine } from './audio-line.ts';
import { type StreamChange, StreamState } from './stream-state.ts';
import { VideoLine } from './video-line.ts';

/** A gap in a track is waited for this long; what was asked for again has come by then or never will. */
const MAX_GAP_US = 700_000;
/** A user with a camera has a place in the picture from the first frame on, or after this long without one. */
const FIRST_PICTURE_US = 2_000_000;
/** Key frame requests of one track are at least this far apart. */
const KEY_FRAME_REQUEST_US = 500_000;
/** Our SSRC in feedback. Any fixed number will do: the channel only looks at what it is about. */
const FEEDBACK_SSRC = 1;
const RTP_HEADER_BYTES = 12;

/** The newest report of a track's sender. */
type Report = { ssrc: number; ntpUs: number; rtpTimestamp: number; arrivalUs: number };

/** A track of the channel, whether it is wanted or not. */
type Source = { track: Track; ssrc: number | undefined; report: Report | undefined };

/** A track that is received, with its line. */
type Entry = {
  source: Source;
  line: VideoLine | AudioLine;
  keyFrameAskedUs: number;
  /** From when in the recording a change of the subscription brought it in; negative infinity when it was wanted from its start. */
  sinceUs: number;
  /** From when in the recording it is wanted no more; its line lives on until the picture clock has passed. */
  unwantedUs: number;
  /** Where in the recording the track ended; its line lives on until the picture clock has passed. */
  endedUs: number;
};

export type ParticipantsOptions = {
  plan: MixPlan;
  /** The recording's zero on the monotonic clock, microseconds. */
  zeroUs: number;
  /** Sends one RTCP datagram about a track to the channel. */
  sendRtcp(track: number, datagram: Buffer): void;
  onStreamChange(change: StreamChange): void;
  onDegraded(what: string, count: number): void;
};

export class Participants {
  readonly #o: ParticipantsOptions;
  readonly #roster = new Roster();
  readonly #streams = new StreamState();
  readonly #subscriptions: Timeline<MixPlan['subscribe']>;
  readonly #sources = new Map<number, Source>();
  readonly #entries = new Map<number, Entry>();
  readonly #clocks = new Map<string, ParticipantClock>();
  #endUs = Number.POSITIVE_INFINITY;

  constructor(options: ParticipantsOptions) {
    this.#o = options;
    this.#subscriptions = new Timeline(options.plan.subscribe);
  }

  /** How many users are in the channel now. */
  get count(): number {
    return this.#roster.present().length;
  }

  onEvent(event: FeedEvent, atUs: number): void {
    const at = atUs - this.#o.zeroUs;
    switch (event.type) {
      case 'hello':
      case 'caughtUp':
        return;
      case 'userJoined':
        this.#roster.join(event.uid, at);
        return;
      case 'userLeft':
        this.#roster.leave(event.uid, at);
        for (const source of this.#sources.values()) if (source.track.uid === event.uid) this.#endTrack(source, at);
        return;
      case 'trackStarted':
        this.#startTrack(event.track, at);
        return;
      case 'trackEnded': {
        const source = this.#sources.get(event.track);
        if (source) this.#endTrack(source, at);
        return;
      }
    }
  }

  /**
   * From `atUs` of the recording on, `subscribe` says who is seen and heard (contract §1.3). Tracks that are wanted anew are
   * received from now on; of those no longer wanted, what comes before `atUs` is still used.
   * @param nowUs monotonic
   */
  changeSubscription(atUs: number, subscribe: MixPlan['subscribe'], nowUs: number): void {
    const fromUs = this.#subscriptions.change(atUs, subscribe);
    for (const entry of this.#entries.values()) {
      const { uid, format } = entry.source.track;
      const wanted = isSubscribed(subscribe[format.kind], uid);
      if (wanted === (entry.unwantedUs === Number.POSITIVE_INFINITY)) continue;
      if (wanted) {
        entry.sinceUs = fromUs;
        entry.unwantedUs = Number.POSITIVE_INFINITY;
        continue;
      }
      entry.unwantedUs = fromUs;
      const change = this.#streams.onEnd(uid, format.kind);
      if (change) this.#o.onStreamChange(change);
    }
    for (const source of this.#sources.values()) {
      if (this.#entries.has(source.track.track)) continue;
      const entry = this.#receive(source, fromUs);
      if (!entry) continue;
      const { report } = source;
      // A stream without a report goes by arrival: sound and picture would only drift into step.
      if (report && report.ssrc === source.ssrc)
        entry.line.onSenderReport(report.ntpUs, report.rtpTimestamp, report.arrivalUs);
      if (entry.line instanceof VideoLine) this.#askKeyFrame(entry, nowUs);
    }
  }

  onRtp(track: number, datagram: Buffer, arrivalUs: number): void {
    const source = this.#sources.get(track);
    if (!source || arrivalUs > this.#endUs) return;
    const entry = this.#entries.get(track);
    if (!entry) {
      // Nobody wants it. Should that change, a key frame is asked for by its SSRC (RFC 3550 §5.1).
      if (datagram.length >= RTP_HEADER_BYTES) source.ssrc = datagram.readUInt32BE(8);
      return;
    }
    const packet = this.#parse(() => parsePacket(datagram, arrivalUs));
    if (!packet) return;
    source.ssrc = packet.ssrc;
    if (entry.unwantedUs === Number.POSITIVE_INFINITY) {
      const change = this.#streams.onPacket(source.track.uid, source.track.format.kind, arrivalUs);
      if (change) this.#o.onStreamChange(change);
    }
    entry.line.onRtp(packet);
  }

  onRtcp(track: number, datagram: Buffer, arrivalUs: number): void {
    const source = this.#sources.get(track);
    if (!source) return;
    for (const report of this.#parse(() => parseCompound(datagram)) ?? []) {
      if (report.type !== 'senderReport') continue;
      const { ssrc, ntpUs, rtpTimestamp } = report;
      if (source.ssrc !== undefined && ssrc !== source.ssrc) continue;
      source.report = { ssrc, ntpUs, rtpTimestamp, arrivalUs };
      this.#entries.get(track)?.line.onSenderReport(ntpUs, rtpTimestamp, arrivalUs);
    }
  }

  /** Lets packets go on whose wait is over, asks for key frames, and tells streams that fell silent. */
  poll(nowUs: number): void {
    for (const entry of this.#entries.values()) {
      const { line, source } = entry;
      if (line instanceof VideoLine) {
        if (line.poll(nowUs)) this.#askKeyFrame(entry, nowUs);
        for (const heldUs of line.takeHeldUs()) {
          const what = `the picture of user ${source.track.uid} was held for ${Math.round(heldUs / 1000)} ms for want of a key frame`;
          this.#o.onDegraded(what, 1);
        }
      } else line.poll(nowUs);
      const dropped = line.takeDropped();
      const { uid, format } = source.track;
      if (dropped > 0) this.#o.onDegraded(`${format.kind} of user ${uid} waited too long and was left out`, dropped);
    }
    for (const change of this.#streams.onTime(nowUs)) this.#o.onStreamChange(change);
  }

  /** The recording time of the first subscribed media that waits, microseconds, if any does. */
  firstMediaUs(): number | undefined {
    let first: number | undefined;
    for (const { source, line, sinceUs, unwantedUs } of this.#entries.values()) {
      const waitingUs = line.firstWaitingUs();
      if (waitingUs === undefined) continue;
      const at = this.#isWanted(source.track, waitingUs) ? waitingUs : Math.max(waitingUs, sinceUs);
      if (at < unwantedUs && (first === undefined || at < first)) first = at;
    }
    return first;
  }

  /**
   * The picture of each user who has a place in the picture at `atUs`, in join order; the pictures are those of `shownUs`.
   * They stay the lines' own.
   */
  picturesAt(atUs: number, shownUs: number): { uids: string[]; pictures: Map<string, Picture | undefined> } {
    const uids: string[] = [];
    const pictures = new Map<string, Picture | undefined>();
    const { video } = this.#subscriptions.at(atUs);
    for (const { uid, joinedUs } of this.#roster.at(atUs)) {
      if (!isSubscribed(video, uid)) continue;
      let picture: Picture | undefined;
      let hasCamera = false;
      let cameUs = joinedUs;
      for (const { source, line, endedUs, sinceUs } of this.#entries.values()) {
        if (source.track.uid !== uid || !(line instanceof VideoLine)) continue;
        hasCamera ||= endedUs > atUs;
        if (sinceUs <= atUs) cameUs = Math.max(cameUs, sinceUs);
        picture = line.pictureAt(shownUs) ?? picture;
      }
      if (!picture && hasCamera && atUs - cameUs < FIRST_PICTURE_US) continue;
      uids.push(uid);
      pictures.set(uid, picture);
    }
    return { uids, pictures };
  }

  /** Hands over all sound that begins before `untilUs`, with its start in samples from the recording's zero. */
  soundUntil(untilUs: number, use: (uid: string, startSample: number, sound: Sound) => void): void {
    for (const { source, line } of this.#entries.values()) {
      if (!(line instanceof AudioLine)) continue;
      line.decodeUntil(untilUs, (start, sound) => {
        if (this.#isWanted(source.track, (start * US) / SOUND_RATE)) use(source.track.uid, start, sound);
      });
    }
  }

  /** Frees what ended, or was wanted no more, before `atUs`. */
  forget(atUs: number): void {
    this.#roster.forget(atUs);
    this.#subscriptions.forget(atUs);
    for (const [number, entry] of this.#entries) {
      if (entry.unwantedUs >= atUs) {
        if (entry.endedUs >= atUs) continue;
        // A picture outlives its track while its user is there: the last frame is held until a new track brings another.
        const { uid } = entry.source.track;
        const held = entry.line instanceof VideoLine && this.#roster.at(atUs).some((u) => u.uid === uid);
        if (held && ![...this.#entries.values()].some((e) => replaces(e, entry))) continue;
      }
      entry.line.close();
      this.#entries.delete(number);
    }
  }

  /** Nothing that arrives after `atUs` (monotonic) belongs to the recording; what waits in jitter buffers is let go. */
  end(atUs: number): void {
    this.#endUs = atUs;
    for (const { line } of this.#entries.values()) line.flush();
    for (const change of this.#streams.endAll()) this.#o.onStreamChange(change);
  }

  close(): void {
    for (const { line } of this.#entries.values()) line.close();
    this.#entries.clear();
  }

  #isWanted({ uid, format }: Track, atUs: number): boolean {
    return isSubscribed(this.#subscriptions.at(atUs)[format.kind], uid);
  }

  #startTrack(track: Track, at: number): void {
    if (this.#sources.has(track.track)) return;
    const source: Source = { track, ssrc: undefined, report: undefined };
    this.#sources.set(track.track, source);
    this.#receive(source, at);
  }

  /** Begins a line for a track that is wanted at `at` or will be later. */
  #receive(source: Source, at: number): Entry | undefined {
    const { plan, zeroUs } = this.#o;
    const { track } = source;
    const { uid, format } = track;
    if (!(format.kind === 'video' ? plan.video : plan.audio)) return undefined;
    // Changes may be known already of a time the feed has not come to yet.
    const held = this.#subscriptions.since(at);
    const wants = ({ value }: (typeof held)[number]) => isSubscribed(value[format.kind], uid);
    const first = held.findIndex(wants);
    if (first < 0) return undefined;
    const participant = this.#clocks.get(uid) ?? new ParticipantClock();
    this.#clocks.set(uid, participant);
    const received = { track, clock: participant.addStream(format.clockRate), zeroUs, maxGapUs: MAX_GAP_US };
    const line = format.kind === 'video' ? new VideoLine(received) : new AudioLine(received, plan.audio?.channels ?? 1);
    const entry: Entry = {
      source,
      line,
      keyFrameAskedUs: Number.NEGATIVE_INFINITY,
      sinceUs: held[first]?.fromUs ?? Number.NEGATIVE_INFINITY,
      unwantedUs: held[held.findLastIndex(wants) + 1]?.fromUs ?? Number.POSITIVE_INFINITY,
      endedUs: Number.POSITIVE_INFINITY,
    };
    this.#entries.set(track.track, entry);
    return entry;
  }

  #askKeyFrame(entry: Entry, nowUs: number): void {
    const { track, ssrc } = entry.source;
    const isLive = entry.endedUs === Number.POSITIVE_INFINITY && entry.unwantedUs === Number.POSITIVE_INFINITY;
    if (!isLive || ssrc === undefined || nowUs - entry.keyFrameAskedUs < KEY_FRAME_REQUEST_US) return;
    entry.keyFrameAskedUs = nowUs;
    this.#o.sendRtcp(track.track, encodePictureLossIndication(FEEDBACK_SSRC, ssrc));
  }

  #endTrack({ track }: Source, at: number): void {
    this.#sources.delete(track.track);
    const entry = this.#entries.get(track.track);
    if (!entry) return;
    entry.endedUs = at;
    entry.line.flush();
    const change = this.#streams.onEnd(track.uid, track.format.kind);
    if (change) this.#o.onStreamChange(change);
  }

  /** Bytes from a stranger that cannot be read cost themselves, and are counted. */
  #parse<T>(read: () => T): T | undefined {
    try {
      return read();
    } catch (error) {
      if (!(error instanceof Fault) || error.blame !== 'channel') throw error;
      this.#o.onDegraded(`malformed packet: ${error.message}`, 1);
      return undefined;
    }
  }
}

/** True when `entry` shows the picture of the same user as `old`, later. */
function replaces(entry: Entry, old: Entry): boolean {
  return (
    entry !== old &&
    entry.source.track.uid === old.source.track.uid &&
    entry.line instanceof VideoLine &&
    entry.source.track.track > old.source.track.track
  );
}
