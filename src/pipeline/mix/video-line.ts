/**
 * VideoLine: one received video track, from RTP to the picture that is due. Frames wait encoded and are decoded only
 * when the picture clock reaches them (ADR 0004). No damaged picture is shown: the last good one is held until the next
 * key frame.
 */

import type { TrackState } from '../../contract/line/channel-state.ts';
import type { HostUs, RecordingUs, SenderUs } from '../../kernel/time.ts';
import type { Picture } from '../../media/frame.ts';
import type { Packet } from '../../media/packet.ts';
import type { ReceivedSample } from '../../media/sample.ts';
import { type DecodedPicture, VideoDecoder } from '../../stages/codec/video-decoder.ts';
import type { ShownPicture } from '../report/picture-watch.ts';
import { PictureNotes } from '../tracks/picture-notes.ts';
import { ReceivedTrack, type ReceivedTrackOptions } from '../tracks/received-track.ts';

/**
 * How many frames may wait for their time, some 20 s at 60 fps; when more do, the picture clock has stopped, and old
 * ones are dropped.
 */
const MAX_WAITING = 1200;
/**
 * How many pictures are decoded before they are due, and how many may come before others that they are shown after
 * (H.264 §C.4.5.3).
 */
const MAX_REORDER = 16;

/**
 * How much is kept of a track that nobody sees, from its last key frame on; beyond either limit a new key frame is
 * asked for when the track is seen.
 */
const MAX_ASIDE = 900;
const MAX_ASIDE_BYTES = 6_000_000;

/** A picture that went into the decoder and is not out. `isNew`: it has not been told of yet. */
type Fed = { ptsUs: RecordingUs; isNew: boolean };

export class VideoLine {
  readonly #received: ReceivedTrack;
  readonly #decoder: VideoDecoder;
  #waiting: ReceivedSample[] = [];
  /**
   * Samples that came due while nobody saw this line, and were not decoded: from the last key frame on, or from what
   * the decoder had last.
   */
  #aside: { sample: ReceivedSample; isTold: boolean }[] = [];
  #asideBytes = 0;
  #latest: Picture | undefined;
  #latestShape: ShownPicture | undefined;
  /** In display order. */
  #fed: Fed[] = [];
  /** Decoded and not yet due, in display order. */
  #ahead: (Fed & { picture: Picture })[] = [];
  /** Nothing more comes in. */
  #flushed = false;
  #dropped = 0;
  #skipping = false;
  /** The decoder found damage that the packets did not show; nothing is decoded before the next key frame. */
  #broken = false;
  /** While the latest picture is shown for longer than it should be: the place of the picture that ends it. */
  #holdEndUs: RecordingUs | undefined;
  /** Where in the recording the latest picture stands, microseconds. */
  #latestUs = 0;
  #heldUs: number[] = [];
  /** The last sample that was used, by this line or by the one that it continues. */
  #usedRtpTime: number | undefined;
  /** Samples up to here were shown, and told of, by the line that this one continues. */
  readonly #shownRtpTime: number;
  readonly #notes = new PictureNotes();

  constructor(options: ReceivedTrackOptions) {
    const { format } = options.track;
    if (format.kind !== 'video') throw new TypeError('a VideoLine takes a video track');
    this.#received = new ReceivedTrack(options);
    this.#usedRtpTime = options.state?.usedRtpTime;
    this.#shownRtpTime = this.#usedRtpTime ?? Number.NEGATIVE_INFINITY;
    this.#decoder = new VideoDecoder(format.codec);
  }

  onRtp(packet: Packet): void {
    const rtpTime = this.#received.onRtp(packet);
    const { format } = this.#received.track;
    if (rtpTime !== undefined) this.#notes.note(packet, rtpTime, format);
  }

  /** As of ReceivedTrack. */
  onSenderReport(ntpUs: SenderUs, rtpTimestamp: number, arrivalUs: HostUs): void {
    this.#received.onSenderReport(ntpUs, rtpTimestamp, arrivalUs);
  }

  /**
   * Moves what the jitter buffer releases into the queue. Returns true when the sender should be asked for a key frame.
   */
  poll(nowUs: HostUs): boolean {
    const { samples, keyFrameWanted } = this.#received.take(nowUs);
    this.#enqueue(samples);
    // A key frame that waits already ends the damage when its time comes.
    const isHere = this.#aside[0]?.sample.keyFrame || this.#waiting.some((sample) => sample.keyFrame);
    return keyFrameWanted || (this.#broken && !isHere);
  }

  /** Takes everything that the jitter buffer still holds: no more packets will come. */
  flush(): void {
    this.#enqueue(this.#received.flush());
    this.#flushed = true;
  }

  /** As of ReceivedTrack. */
  completeUs(nowUs: HostUs): RecordingUs | undefined {
    return this.#received.completeUs(nowUs, this.#waiting[0]);
  }

  /** The recording time of the first frame that waits, microseconds; undefined when none does. */
  firstWaitingUs(): RecordingUs | undefined {
    const first = this.#waiting[0];
    return first && this.#received.peekTimeOf(first);
  }

  /**
   * The picture to show at `atUs` of the recording: the last good one that came due, or undefined before the first. The
   * line owns it; it is valid until the next call.
   */
  pictureAt(atUs: RecordingUs): Picture | undefined {
    for (const { sample, isTold } of this.#takeAside()) this.#decode(sample, isTold);
    for (const sample of this.#waiting.splice(0, this.#countDue(atUs))) this.#decode(sample);
    // A picture may leave the decoder only after later ones went in, when it is decoded before pictures that are shown
    // earlier.
    for (let n = 0; n < MAX_REORDER && this.#owes(atUs); n++) {
      const next = this.#waiting.shift();
      if (next) this.#decode(next);
      else if (this.#flushed) this.#take(this.#decoder.flush());
      else break;
    }
    while (this.#ahead[0] && this.#ahead[0].ptsUs <= atUs) this.#show(this.#ahead.shift()!);
    return this.#latest;
  }

  /** Where in the recording the picture stands that is shown, microseconds; undefined before the first. */
  get shownUs(): RecordingUs | undefined {
    return this.#latest && this.#latestUs;
  }

  /** The place of the last picture that is due at `atUs`, as far as can be told without decoding it. */
  dueUs(atUs: RecordingUs): RecordingUs | undefined {
    const last = this.#waiting[this.#countDue(atUs) - 1] ?? this.#aside.at(-1)?.sample;
    return last ? this.#received.peekTimeOf(last) : this.shownUs;
  }

  /** Whether there is a picture to show at `atUs`, as far as can be told without decoding it. */
  hasPictureAt(atUs: RecordingUs): boolean {
    return this.#latest !== undefined || this.#aside.length > 0 || this.#countDue(atUs) > 0;
  }

  /**
   * Called instead of `pictureAt` where nobody sees the picture of `atUs`: it costs next to nothing, and `pictureAt`
   * can go on from it at any time.
   */
  passOver(atUs: RecordingUs): void {
    for (const sample of this.#waiting.splice(0, this.#countDue(atUs))) this.#putAside(sample);
  }

  /**
   * For each time since the last call that the picture was held after a loss or damage until a key frame came: how
   * long, microseconds.
   */
  takeHeldUs(): number[] {
    return this.#heldUs.splice(0);
  }

  /** How many frames were given up since the last call because too many waited. */
  takeDropped(): number {
    const dropped = this.#dropped;
    this.#dropped = 0;
    return dropped;
  }

  save(): Omit<TrackState, 'track'> {
    const usedRtpTime = this.#usedRtpTime;
    return { reception: this.#received.save(), ...(usedRtpTime === undefined ? {} : { usedRtpTime }) };
  }

  close(): void {
    this.#latest?.free();
    this.#latest = undefined;
    for (const { picture } of this.#ahead.splice(0)) picture.free();
    this.#waiting = [];
    this.#takeAside();
    this.#decoder.close();
  }

  #putAside(sample: ReceivedSample): void {
    const report = sample.rtpTime > this.#shownRtpTime ? this.#received.report : undefined;
    this.#usedRtpTime = Math.max(this.#usedRtpTime ?? sample.rtpTime, sample.rtpTime);
    // The picture is told of although nobody looks at it; its size becomes known only when somebody does.
    const shape = this.#latestShape;
    if (shape) report?.onPicture(this.#received.peekTimeOf(sample), shape);
    if (sample.keyFrame) this.#takeAside();
    if (this.#aside.length >= MAX_ASIDE || this.#asideBytes + sample.data.length > MAX_ASIDE_BYTES) {
      this.#takeAside();
      this.#breakOff();
    }
    if (this.#broken && !sample.keyFrame) return;
    this.#aside.push({ sample, isTold: shape !== undefined });
    this.#asideBytes += sample.data.length;
  }

  #takeAside(): { sample: ReceivedSample; isTold: boolean }[] {
    this.#asideBytes = 0;
    return this.#aside.splice(0);
  }

  /** How many waiting samples are due, including those that due ones are predicted from. */
  #countDue(atUs: RecordingUs): number {
    let due = 0;
    for (let n = 0; n < this.#waiting.length && n <= due + MAX_REORDER; n++)
      if (this.#received.peekTimeOf(this.#waiting[n] as ReceivedSample) <= atUs) due = n + 1;
    return due;
  }

  /** Whether a picture that is due is still in the decoder. */
  #owes(atUs: RecordingUs): boolean {
    return this.#fed[0] !== undefined && this.#fed[0].ptsUs <= atUs;
  }

  #decode(sample: ReceivedSample, isTold = false): void {
    const isNew = !isTold && sample.rtpTime > this.#shownRtpTime;
    const report = isNew ? this.#received.report : undefined;
    this.#usedRtpTime = Math.max(this.#usedRtpTime ?? sample.rtpTime, sample.rtpTime);
    const ptsUs = this.#received.timeOf(sample);
    if (sample.afterLoss) {
      this.#holdEndUs = ptsUs;
      report?.onHold('loss');
    }
    if (this.#broken) {
      // A picture that refers to a damaged one is damaged too, and not worth decoding.
      if (!sample.keyFrame) return;
      this.#forget();
      this.#broken = false;
      this.#holdEndUs = ptsUs;
    }
    const { undecodable } = this.#decoder;
    this.#feed({ ptsUs, isNew });
    this.#take(this.#decoder.decode({ data: sample.data, ptsUs, ...this.#notes.at(sample.rtpTime) }));
    if (this.#decoder.undecodable > undecodable) this.#breakOff();
    if (this.#broken) report?.onHold('damage');
  }

  #feed(fed: Fed): void {
    const at = this.#fed.findLastIndex(({ ptsUs }) => ptsUs <= fed.ptsUs);
    this.#fed.splice(at + 1, 0, fed);
  }

  #take(decoded: DecodedPicture[]): void {
    for (const { picture, ptsUs, damaged } of decoded) {
      // Pictures come in display order: an earlier one that is not out never will be.
      const at = this.#fed.findLastIndex((fed) => fed.ptsUs <= ptsUs);
      const isNew = this.#fed.splice(0, at + 1).at(-1)?.isNew ?? true;
      if (!damaged) this.#ahead.push({ picture, ptsUs, isNew });
      else {
        picture.free();
        this.#breakOff();
      }
    }
  }

  #breakOff(): void {
    this.#broken = true;
    this.#holdEndUs = Number.POSITIVE_INFINITY;
    this.#fed = [];
  }

  #forget(): void {
    this.#decoder.reset();
    this.#fed = [];
  }

  #show({ picture, ptsUs, isNew }: Fed & { picture: Picture }): void {
    if (this.#holdEndUs !== undefined && ptsUs >= this.#holdEndUs) {
      if (this.#latest && isNew) this.#heldUs.push(ptsUs - this.#latestUs);
      this.#holdEndUs = undefined;
    }
    this.#latest?.free();
    this.#latest = picture;
    this.#latestUs = ptsUs;
    const { width, height, orientation } = picture;
    this.#latestShape = { width, height, turn: orientation?.turn ?? 0, flip: orientation?.flip ?? false };
    if (isNew) this.#received.report?.onPicture(ptsUs, this.#latestShape);
  }

  #enqueue(samples: ReceivedSample[]): void {
    for (const sample of samples) {
      // A key frame makes everything before it needless; but only the picture clock may skip, and frames are dropped
      // here only when it has stopped.
      if (sample.keyFrame && this.#waiting.length >= MAX_WAITING) {
        this.#dropped += this.#waiting.length;
        this.#waiting = [];
      }
      // The number is bounded even without a key frame, and what refers to a frame that was left out is left out with
      // it.
      if (sample.keyFrame) this.#skipping = false;
      else this.#skipping ||= this.#waiting.length >= 2 * MAX_WAITING;
      if (this.#skipping) this.#dropped++;
      else this.#waiting.push(sample);
    }
  }
}
