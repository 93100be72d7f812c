/**
 * VideoLine: one received video track, from RTP to the picture that is due. Frames wait encoded and are decoded only when the
 * picture clock reaches them (ADR 0004).
 */
import type { Picture } from '../../media/frame.ts';
import type { Packet } from '../../media/packet.ts';
import type { ReceivedSample } from '../../media/sample.ts';
import type { VideoColor } from '../../media/track.ts';
import { VideoDecoder } from '../../stages/codec/video-decoder.ts';
import { parseColorSpace } from '../../stages/rtp/color-space.ts';
import { ReceivedTrack, type ReceivedTrackOptions } from './received-track.ts';

/** Frames that may wait for their time, some 20 s at 60 fps; beyond that the picture clock has stopped, and old ones go. */
const MAX_WAITING = 1200;

/** Sayings kept, many times what can be waiting. */
const MAX_COLORS = 64;

export class VideoLine {
  readonly #received: ReceivedTrack;
  readonly #decoder: VideoDecoder;
  #waiting: ReceivedSample[] = [];
  #latest: Picture | undefined;
  #dropped = 0;
  #skipping = false;
  /** What the sender said of its colours, and from when on. Sent with key frames, and again until it arrived. */
  #colors: { rtpTime: number; color: VideoColor }[] = [];

  constructor(options: ReceivedTrackOptions) {
    const { format } = options.track;
    if (format.kind !== 'video') throw new TypeError('a VideoLine takes a video track');
    this.#received = new ReceivedTrack(options);
    this.#decoder = new VideoDecoder(format.codec);
  }

  onRtp(packet: Packet): void {
    const rtpTime = this.#received.onRtp(packet);
    const color = this.#colorOf(packet);
    if (rtpTime === undefined || !color) return;
    this.#colors = [...this.#colors.slice(-MAX_COLORS), { rtpTime, color }];
  }

  /** As of ReceivedTrack. */
  onSenderReport(ntpUs: number, rtpTimestamp: number, arrivalUs: number): void {
    this.#received.onSenderReport(ntpUs, rtpTimestamp, arrivalUs);
  }

  /** Moves what the jitter buffer lets go into the queue. Returns true when the sender should be asked for a key frame. */
  poll(nowUs: number): boolean {
    const { samples, keyFrameWanted } = this.#received.take(nowUs);
    this.#enqueue(samples);
    return keyFrameWanted;
  }

  /** Lets everything go that the jitter buffer still holds: no more packets will come. */
  flush(): void {
    this.#enqueue(this.#received.flush());
  }

  /** The recording time of the first frame that waits, microseconds; undefined when none does. */
  firstWaitingUs(): number | undefined {
    const first = this.#waiting[0];
    return first && this.#received.peekTimeOf(first);
  }

  /**
   * The picture to show at `atUs` of the recording: the last that came due, or undefined before the first. It stays this
   * line's own, and is valid until the next call.
   */
  pictureAt(atUs: number): Picture | undefined {
    let due = 0;
    while (due < this.#waiting.length && this.#received.peekTimeOf(this.#waiting[due] as ReceivedSample) <= atUs) due++;
    for (const sample of this.#waiting.splice(0, due)) {
      for (const { picture } of this.#decoder.decode({
        data: sample.data,
        ptsUs: this.#received.timeOf(sample),
        color: this.#colors.findLast((c) => c.rtpTime <= sample.rtpTime)?.color,
      })) {
        this.#latest?.free();
        this.#latest = picture;
      }
    }
    return this.#latest;
  }

  /** Frames given up because too many waited, since the last call. */
  takeDropped(): number {
    const dropped = this.#dropped;
    this.#dropped = 0;
    return dropped;
  }

  close(): void {
    this.#latest?.free();
    this.#latest = undefined;
    this.#waiting = [];
    this.#decoder.close();
  }

  #colorOf({ extensions }: Packet): VideoColor | undefined {
    const { format } = this.#received.track;
    const id = format.kind === 'video' ? format.colorExtension : undefined;
    const data = id === undefined ? undefined : extensions?.get(id);
    return data && parseColorSpace(data);
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
