/**
 * VideoLine: one received video track, from RTP to the picture that is due. Frames wait encoded and are decoded only when the
 * picture clock reaches them (ADR 0004). No damaged picture is shown: the last good one is held until the next key frame.
 */
import type { TrackState } from '../../contract/line/channel-state.ts';
import type { Picture } from '../../media/frame.ts';
import type { Packet } from '../../media/packet.ts';
import type { ReceivedSample } from '../../media/sample.ts';
import { VideoDecoder } from '../../stages/codec/video-decoder.ts';
import { PictureNotes } from '../tracks/picture-notes.ts';
import { ReceivedTrack, type ReceivedTrackOptions } from '../tracks/received-track.ts';

/** Frames that may wait for their time, some 20 s at 60 fps; beyond that the picture clock has stopped, and old ones go. */
const MAX_WAITING = 1200;

export class VideoLine {
  readonly #received: ReceivedTrack;
  readonly #decoder: VideoDecoder;
  #waiting: ReceivedSample[] = [];
  #latest: Picture | undefined;
  #dropped = 0;
  #skipping = false;
  /** The decoder found damage that the packets did not show; nothing is decoded before the next key frame. */
  #broken = false;
  /** The latest picture is shown for longer than it was meant to be. */
  #holding = false;
  /** Where in the recording the latest picture stands, microseconds. */
  #latestUs = 0;
  #heldUs: number[] = [];
  /** The last sample that was made use of, by this line or the one that it goes on for. */
  #usedRtpTime: number | undefined;
  /** Samples up to here were shown, and told of, by the line that this one goes on for. */
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
  onSenderReport(ntpUs: number, rtpTimestamp: number, arrivalUs: number): void {
    this.#received.onSenderReport(ntpUs, rtpTimestamp, arrivalUs);
  }

  /** Moves what the jitter buffer lets go into the queue. Returns true when the sender should be asked for a key frame. */
  poll(nowUs: number): boolean {
    const { samples, keyFrameWanted } = this.#received.take(nowUs);
    this.#enqueue(samples);
    // One that is here already ends the damage when its time comes.
    return keyFrameWanted || (this.#broken && !this.#waiting.some((sample) => sample.keyFrame));
  }

  /** Lets everything go that the jitter buffer still holds: no more packets will come. */
  flush(): void {
    this.#enqueue(this.#received.flush());
  }

  /** As of ReceivedTrack. */
  completeUs(nowUs: number): number | undefined {
    return this.#received.completeUs(nowUs);
  }

  /** The recording time of the first frame that waits, microseconds; undefined when none does. */
  firstWaitingUs(): number | undefined {
    const first = this.#waiting[0];
    return first && this.#received.peekTimeOf(first);
  }

  /**
   * The picture to show at `atUs` of the recording: the last good one that came due, or undefined before the first. It stays
   * this line's own, and is valid until the next call.
   */
  pictureAt(atUs: number): Picture | undefined {
    let due = 0;
    while (due < this.#waiting.length && this.#received.peekTimeOf(this.#waiting[due] as ReceivedSample) <= atUs) due++;
    for (const sample of this.#waiting.splice(0, due)) this.#decode(sample);
    return this.#latest;
  }

  /** How long the picture was held after a loss or damage until a key frame came, microseconds, per time since the last call. */
  takeHeldUs(): number[] {
    return this.#heldUs.splice(0);
  }

  /** Frames given up because too many waited, since the last call. */
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
    this.#waiting = [];
    this.#decoder.close();
  }

  #decode(sample: ReceivedSample): void {
    const isNew = sample.rtpTime > this.#shownRtpTime;
    const report = isNew ? this.#received.report : undefined;
    this.#usedRtpTime = Math.max(this.#usedRtpTime ?? sample.rtpTime, sample.rtpTime);
    if (sample.afterLoss) {
      this.#holding = true;
      report?.onHold('loss');
    }
    if (this.#broken) {
      // What refers to a damaged picture is damaged too, and not worth decoding.
      if (!sample.keyFrame) return;
      this.#decoder.reset();
      this.#broken = false;
    }
    const atUs = this.#received.timeOf(sample);
    const undecodable = this.#decoder.undecodable;
    const decoded = this.#decoder.decode({
      data: sample.data,
      ptsUs: atUs,
      ...this.#notes.at(sample.rtpTime),
    });
    for (const { picture, damaged } of decoded) {
      if (damaged) {
        this.#broken = true;
        picture.free();
        continue;
      }
      if (this.#latest && this.#holding && isNew) this.#heldUs.push(atUs - this.#latestUs);
      this.#holding = false;
      this.#latest?.free();
      this.#latest = picture;
      this.#latestUs = atUs;
      const { width, height, orientation } = picture;
      report?.onPicture(atUs, { width, height, turn: orientation?.turn ?? 0, flip: orientation?.flip ?? false });
    }
    this.#broken ||= this.#decoder.undecodable > undecodable;
    if (!this.#broken) return;
    this.#holding = true;
    report?.onHold('damage');
  }

  #enqueue(samples: ReceivedSample[]): void {
    for (const sample of samples) {
      // A key frame makes all before it needless, but only the picture clock may skip: dropping here is for a stopped clock.
      if (sample.keyFrame && this.#waiting.length >= MAX_WAITING) {
        this.#dropped += this.#waiting.length;
        this.#waiting = [];
      }
      // Without a key frame there is an end too, and what refers to a frame left out is left out with it.
      if (sample.keyFrame) this.#skipping = false;
      else this.#skipping ||= this.#waiting.length >= 2 * MAX_WAITING;
      if (this.#skipping) this.#dropped++;
      else this.#waiting.push(sample);
    }
  }
}
