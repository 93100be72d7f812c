/**
 * DueSamples: one received track's samples on their way to files, unchanged. They wait until their time is final, and
 * are handed over in order of time.
 */

import type { TrackState } from '../../contract/line/channel-state.ts';
import { type HostUs, type RecordingUs, type SenderUs, US } from '../../kernel/time.ts';
import type { Orientation } from '../../media/frame.ts';
import { opusTicks } from '../../media/opus.ts';
import type { Packet } from '../../media/packet.ts';
import type { ReceivedSample } from '../../media/sample.ts';
import type { Track, VideoColor } from '../../media/track.ts';
import { type PictureSize, pictureSizeOf } from '../../stages/rtp/picture-size.ts';
import type { TrackLine } from '../tracks/channel-tracks.ts';
import { PictureNotes } from '../tracks/picture-notes.ts';
import { ReceivedTrack, type ReceivedTrackOptions } from '../tracks/received-track.ts';
import { INTERRUPTION_US } from './file-sink.ts';

/** How many samples may wait, 40 s of sound or 30 s of picture; when more wait, nobody takes them. */
const MAX_WAITING = 2000;

/** From one decode time to the next, for pictures that are decoded before any of them is shown. */
const DECODE_STEP_US = 1000;

/** A sample with its place in the recording, microseconds, and what its sender said of it. */
export type PlacedSample = ReceivedSample & {
  ptsUs: RecordingUs;
  /** Decode time: below `ptsUs` where pictures are decoded in another order than they are shown in. */
  dtsUs: RecordingUs;
  orientation?: Orientation | undefined;
  color?: VideoColor | undefined;
};

export class DueSamples implements TrackLine {
  readonly track: Track;
  readonly #received: ReceivedTrack;
  #waiting: ReceivedSample[] = [];
  #skipping = false;
  #dropped = 0;
  #keyFrameWanted = false;
  #size: PictureSize | undefined;
  #arrivalUs = Number.POSITIVE_INFINITY;
  /** The track goes on after an interruption, and no key frame has come since. */
  #resumed = false;
  readonly #notes = new PictureNotes();
  /** The last sample that was taken. */
  #usedRtpTime: number | undefined;

  constructor(options: ReceivedTrackOptions) {
    this.track = options.track;
    this.#received = new ReceivedTrack(options);
  }

  onRtp(packet: Packet): void {
    const rtpTime = this.#received.onRtp(packet);
    const { format } = this.track;
    // A slice can begin only with a key frame; one that is asked for now is there when the slice is written.
    this.#resumed ||= packet.arrivalUs - this.#arrivalUs >= INTERRUPTION_US;
    this.#arrivalUs = packet.arrivalUs;
    if (rtpTime !== undefined) this.#notes.note(packet, rtpTime, format);
  }

  /** As of ReceivedTrack. */
  onSenderReport(ntpUs: SenderUs, rtpTimestamp: number, arrivalUs: HostUs): void {
    this.#received.onSenderReport(ntpUs, rtpTimestamp, arrivalUs);
  }

  poll(nowUs: HostUs): boolean {
    const { samples, keyFrameWanted } = this.#received.take(nowUs);
    this.#enqueue(samples);
    if (this.#waiting.at(-1)?.keyFrame || samples.some((sample) => sample.keyFrame)) this.#resumed = false;
    return keyFrameWanted || this.#keyFrameWanted || this.#resumed;
  }

  /** As of ReceivedTrack. */
  completeUs(nowUs: HostUs): RecordingUs | undefined {
    return this.#received.completeUs(nowUs, this.#waiting[0]);
  }

  /** The track is wanted again, from its next key frame on, which is asked for at once. */
  resume(): void {
    this.#resumed = true;
  }

  /** Tells whether the reader of the samples needs a key frame to go on. */
  wantKeyFrame(wanted: boolean): void {
    this.#keyFrameWanted = wanted;
  }

  flush(): void {
    this.#enqueue(this.#received.flush());
  }

  takeDropped(): number {
    const dropped = this.#dropped;
    this.#dropped = 0;
    return dropped;
  }

  /** The samples before `untilUs` of the recording, in decode order. */
  takeUntil(untilUs: RecordingUs): PlacedSample[] {
    let due = 0;
    while (due < this.#waiting.length && this.#received.peekTimeOf(this.#waiting[due] as ReceivedSample) < untilUs)
      due++;
    const placed = this.#waiting.splice(0, due).map((sample): PlacedSample => {
      this.#usedRtpTime = Math.max(this.#usedRtpTime ?? sample.rtpTime, sample.rtpTime);
      const ptsUs = this.#received.timeOf(sample);
      return { ...sample, ptsUs, dtsUs: ptsUs, ...this.#notes.at(sample.rtpTime) };
    });
    // A picture that is decoded before pictures shown earlier waits until those are due, and so has them at hand.
    let nextUs = Number.POSITIVE_INFINITY;
    for (const sample of placed.toReversed()) {
      sample.dtsUs = Math.min(sample.ptsUs, nextUs - DECODE_STEP_US);
      nextUs = sample.dtsUs;
    }
    for (const sample of placed) this.#report(sample);
    return placed;
  }

  save(): Omit<TrackState, 'track'> {
    const usedRtpTime = this.#usedRtpTime;
    return { reception: this.#received.save(), ...(usedRtpTime === undefined ? {} : { usedRtpTime }) };
  }

  close(): void {
    this.#waiting = [];
  }

  #report({ ptsUs, data, keyFrame, afterLoss, orientation }: PlacedSample): void {
    const { report } = this.#received;
    const { format } = this.track;
    if (!report) return;
    if (format.kind === 'audio') {
      const endUs = ptsUs + Math.round((opusTicks(data) * US) / format.clockRate);
      report.onSound({ startUs: ptsUs, endUs, afterLoss, concealedUs: 0, madeUp: false, unheardUs: 0 });
      return;
    }
    if (afterLoss) report.onHold('loss');
    if (keyFrame) this.#size = pictureSizeOf(format.codec, data) ?? this.#size;
    const turned = { turn: orientation?.turn ?? 0, flip: orientation?.flip ?? false } as const;
    if (this.#size) report.onPicture(ptsUs, { ...this.#size, ...turned });
  }

  #enqueue(samples: ReceivedSample[]): void {
    for (const sample of samples) {
      // When a picture is left out, the pictures that refer to it are left out too.
      if (sample.keyFrame && this.#waiting.length < MAX_WAITING) this.#skipping = false;
      else this.#skipping ||= this.#waiting.length >= MAX_WAITING;
      if (this.#skipping) this.#dropped++;
      else this.#waiting.push(sample);
    }
  }
}
