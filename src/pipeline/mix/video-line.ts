/**
 * VideoLine: one received video track, from RTP to the picture that is due. Frames wait encoded and are decoded only when the
 * picture clock reaches them (ADR 0004).
 */
import type { Picture } from '../../media/frame.ts';
import type { Packet } from '../../media/packet.ts';
import type { ReceivedSample } from '../../media/sample.ts';
import type { Track, VideoColor } from '../../media/track.ts';
import { VideoDecoder } from '../../stages/codec/video-decoder.ts';
import { parseColorSpace } from '../../stages/rtp/color-space.ts';
import type { StreamClock } from '../../stages/rtp/sender-clock.ts';
import { TrackReception } from '../../stages/rtp/track-reception.ts';

/** Frames that may wait for their time, some 20 s at 60 fps; beyond that the picture clock has stopped, and old ones go. */
const MAX_WAITING = 1200;

/** Sayings kept, many times what can be waiting. */
const MAX_COLORS = 64;

export class VideoLine {
  readonly track: Track;
  readonly #reception: TrackReception;
  readonly #clock: StreamClock;
  readonly #decoder: VideoDecoder;
  readonly #zeroUs: number;
  #waiting: ReceivedSample[] = [];
  #latest: Picture | undefined;
  #dropped = 0;
  /** What the sender said of its colours, and from when on. Sent with key frames, and again until it arrived. */
  #colors: { rtpTime: number; color: VideoColor }[] = [];

  /** @param zeroUs the recording's zero on the monotonic clock, microseconds */
  constructor(track: Track, clock: StreamClock, zeroUs: number, maxGapUs: number) {
    if (track.format.kind !== 'video') throw new TypeError('a VideoLine takes a video track');
    this.track = track;
    this.#clock = clock;
    this.#zeroUs = zeroUs;
    this.#reception = new TrackReception({ format: track.format, maxDelayUs: maxGapUs });
    this.#decoder = new VideoDecoder(track.format.codec);
  }

  onRtp(packet: Packet): void {
    const rtpTime = this.#reception.onRtp(packet);
    if (rtpTime === undefined) return;
    this.#clock.onPacket(rtpTime, packet.arrivalUs);
    const color = this.#colorOf(packet);
    if (color) this.#colors = [...this.#colors.slice(-MAX_COLORS), { rtpTime, color }];
  }

  /** @param ntpUs the sender's clock, microseconds @param rtpTimestamp the same instant as the track counts it, 32 bits */
  onSenderReport(ntpUs: number, rtpTimestamp: number, arrivalUs: number): void {
    this.#clock.onSenderReport(ntpUs, this.#reception.rtpTimeOf(rtpTimestamp), arrivalUs);
  }

  /** Moves what the jitter buffer lets go into the queue. Returns true when the sender should be asked for a key frame. */
  poll(nowUs: number): boolean {
    const { samples, keyFrameWanted } = this.#reception.take(nowUs);
    this.#enqueue(samples);
    return keyFrameWanted;
  }

  /** Lets everything go that the jitter buffer still holds: no more packets will come. */
  flush(): void {
    this.#enqueue(this.#reception.flush());
  }

  /** The recording time of the first frame that waits, microseconds; undefined when none does. */
  firstWaitingUs(): number | undefined {
    const first = this.#waiting[0];
    return first && this.#peekTimeOf(first);
  }

  /**
   * The picture to show at `atUs` of the recording: the last that came due, or undefined before the first. It stays this
   * line's own, and is valid until the next call.
   */
  pictureAt(atUs: number): Picture | undefined {
    let due = 0;
    while (due < this.#waiting.length && this.#peekTimeOf(this.#waiting[due] as ReceivedSample) <= atUs) due++;
    for (const sample of this.#waiting.splice(0, due)) {
      for (const { picture } of this.#decoder.decode({
        data: sample.data,
        ptsUs: this.#timeOf(sample),
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

  /** Where a sample lies by what is known now. Only `#timeOf` settles it: what was not used yet may still be corrected at once. */
  #peekTimeOf(sample: ReceivedSample): number {
    return this.#clock.peekLocalUs(sample.rtpTime) - this.#zeroUs;
  }

  #timeOf(sample: ReceivedSample): number {
    return this.#clock.toLocalUs(sample.rtpTime) - this.#zeroUs;
  }

  #colorOf({ extensions }: Packet): VideoColor | undefined {
    const { format } = this.track;
    const id = format.kind === 'video' ? format.colorExtension : undefined;
    const data = id === undefined ? undefined : extensions?.get(id);
    return data && parseColorSpace(data);
  }

  #enqueue(samples: ReceivedSample[]): void {
    for (const sample of samples) {
      // A key frame makes all before it needless, but only the picture clock may skip: dropping here is for a stopped clock.
      if (this.#waiting.length >= MAX_WAITING && sample.keyFrame) {
        this.#dropped += this.#waiting.length;
        this.#waiting = [];
      }
      this.#waiting.push(sample);
    }
  }
}
