/**
 * Participants: every user's lines in one recording, kept in step with the channel. Takes the feed's events and packets,
 * answers what the picture and the sound of a moment are made of.
 */

import type { FeedEvent } from '../../contract/line/feed.ts';
import type { MixPlan } from '../../contract/line/plan.ts';
import { Fault } from '../../kernel/fault.ts';
import type { Picture, Sound } from '../../media/frame.ts';
import type { Track } from '../../media/track.ts';
import { parsePacket } from '../../stages/rtp/parse-packet.ts';
import { encodePictureLossIndication, parseCompound } from '../../stages/rtp/rtcp.ts';
import { ParticipantClock } from '../../stages/rtp/sender-clock.ts';
import { isSubscribed, Roster } from '../roster.ts';
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

type Entry = {
  track: Track;
  line: VideoLine | AudioLine;
  ssrc: number | undefined;
  keyFrameAskedUs: number;
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
  readonly #entries = new Map<number, Entry>();
  readonly #clocks = new Map<string, ParticipantClock>();
  #endUs = Number.POSITIVE_INFINITY;

  constructor(options: ParticipantsOptions) {
    this.#o = options;
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
        for (const entry of this.#entries.values()) if (entry.track.uid === event.uid) this.#endTrack(entry, at);
        return;
      case 'trackStarted':
        this.#startTrack(event.track);
        return;
      case 'trackEnded': {
        const entry = this.#entries.get(event.track);
        if (entry) this.#endTrack(entry, at);
        return;
      }
    }
  }

  onRtp(track: number, datagram: Buffer, arrivalUs: number): void {
    const entry = this.#entries.get(track);
    if (!entry || arrivalUs > this.#endUs) return;
    const packet = this.#parse(() => parsePacket(datagram, arrivalUs));
    if (!packet) return;
    entry.ssrc = packet.ssrc;
    const change = this.#streams.onPacket(entry.track.uid, entry.track.format.kind, arrivalUs);
    if (change) this.#o.onStreamChange(change);
    entry.line.onRtp(packet);
  }

  onRtcp(track: number, datagram: Buffer, arrivalUs: number): void {
    const entry = this.#entries.get(track);
    if (!entry) return;
    for (const report of this.#parse(() => parseCompound(datagram)) ?? []) {
      if (report.type !== 'senderReport') continue;
      if (entry.ssrc !== undefined && report.ssrc !== entry.ssrc) continue;
      entry.line.onSenderReport(report.ntpUs, report.rtpTimestamp, arrivalUs);
    }
  }

  /** Lets packets go on whose wait is over, asks for key frames, and tells streams that fell silent. */
  poll(nowUs: number): void {
    for (const entry of this.#entries.values()) {
      const { line } = entry;
      if (line instanceof VideoLine) {
        const wanted = line.poll(nowUs) && entry.endedUs === Number.POSITIVE_INFINITY;
        if (wanted && entry.ssrc !== undefined && nowUs - entry.keyFrameAskedUs >= KEY_FRAME_REQUEST_US) {
          entry.keyFrameAskedUs = nowUs;
          this.#o.sendRtcp(entry.track.track, encodePictureLossIndication(FEEDBACK_SSRC, entry.ssrc));
        }
      } else line.poll(nowUs);
      const dropped = line.takeDropped();
      if (dropped > 0)
        this.#o.onDegraded(
          `${entry.track.format.kind} of user ${entry.track.uid} waited too long and was left out`,
          dropped,
        );
    }
    for (const change of this.#streams.onTime(nowUs)) this.#o.onStreamChange(change);
  }

  /** The recording time of the first subscribed media that waits, microseconds, if any does. */
  firstMediaUs(): number | undefined {
    let first: number | undefined;
    for (const { line } of this.#entries.values()) {
      const at = line.firstWaitingUs();
      if (at !== undefined && (first === undefined || at < first)) first = at;
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
    for (const { uid, joinedUs } of this.#roster.at(atUs)) {
      if (!isSubscribed(this.#o.plan.subscribe.video, uid)) continue;
      let picture: Picture | undefined;
      let hasCamera = false;
      for (const { track, line, endedUs } of this.#entries.values()) {
        if (track.uid !== uid || !(line instanceof VideoLine)) continue;
        hasCamera ||= endedUs > atUs;
        picture = line.pictureAt(shownUs) ?? picture;
      }
      if (!picture && hasCamera && atUs - joinedUs < FIRST_PICTURE_US) continue;
      uids.push(uid);
      pictures.set(uid, picture);
    }
    return { uids, pictures };
  }

  /** Hands over all sound that begins before `untilUs`, with its start in samples from the recording's zero. */
  soundUntil(untilUs: number, use: (uid: string, startSample: number, sound: Sound) => void): void {
    for (const { track, line } of this.#entries.values()) {
      if (line instanceof AudioLine) line.decodeUntil(untilUs, (start, sound) => use(track.uid, start, sound));
    }
  }

  /** Frees what ended before `atUs`. */
  forget(atUs: number): void {
    this.#roster.forget(atUs);
    for (const [number, entry] of this.#entries) {
      if (entry.endedUs >= atUs) continue;
      // A picture outlives its track while its user is there: the last frame is held until a new track brings another.
      const held = entry.line instanceof VideoLine && this.#roster.at(atUs).some((u) => u.uid === entry.track.uid);
      if (held && ![...this.#entries.values()].some((e) => replaces(e, entry))) continue;
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

  #startTrack(track: Track): void {
    const { plan, zeroUs } = this.#o;
    const { kind } = track.format;
    const wanted = kind === 'video' ? plan.video : plan.audio;
    if (!wanted || !isSubscribed(plan.subscribe[kind], track.uid) || this.#entries.has(track.track)) return;
    const participant = this.#clocks.get(track.uid) ?? new ParticipantClock();
    this.#clocks.set(track.uid, participant);
    const clock = participant.addStream(track.format.clockRate);
    const received = { track, clock, zeroUs, maxGapUs: MAX_GAP_US };
    const line = kind === 'video' ? new VideoLine(received) : new AudioLine(received, plan.audio?.channels ?? 1);
    this.#entries.set(track.track, {
      track,
      line,
      ssrc: undefined,
      keyFrameAskedUs: Number.NEGATIVE_INFINITY,
      endedUs: Number.POSITIVE_INFINITY,
    });
  }

  #endTrack(entry: Entry, at: number): void {
    if (entry.endedUs !== Number.POSITIVE_INFINITY) return;
    entry.endedUs = at;
    entry.line.flush();
    const change = this.#streams.onEnd(entry.track.uid, entry.track.format.kind);
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
    entry.track.uid === old.track.uid &&
    entry.line instanceof VideoLine &&
    entry.track.track > old.track.track
  );
}
