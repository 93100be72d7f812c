/**
 * TrackReception: one track from RTP packets to whole samples. It joins the jitter buffer and the codec's depacketizer,
 * and after a loss holds video back until the next key frame, because a damaged picture must never be shown.
 */

import type { ReceptionState } from '../../contract/line/reception-state.ts';
import type { HostUs, RtpTicks } from '../../kernel/time.ts';
import type { Packet } from '../../media/packet.ts';
import type { ReceivedSample } from '../../media/sample.ts';
import type { TrackFormat } from '../../media/track.ts';
import { createDepacketizer } from './depacketize/create-depacketizer.ts';
import type { Depacketizer } from './depacketize/depacketizer.ts';
import { JitterBuffer, type JitterCounters, type Ordered } from './jitter-buffer.ts';
import { startsKeyFrame } from './key-frame.ts';

/** A gap that is still open after this time may never be filled; then a key frame after it ends the damage sooner. */
const KEY_FRAME_AFTER_US = 600_000;
/**
 * The start of the first key frame may be overtaken by the rest of it. Released without its start, the frame would be
 * lost.
 */
const START_WAIT_US = 100_000;

export type TrackReceptionOptions = {
  format: TrackFormat;
  /** How long packets wait for one that is missing, microseconds. */
  maxDelayUs: number;
  /** The state of another reception of the same track, which this one continues. */
  state?: ReceptionState | undefined;
};

export type ReceptionCounters = JitterCounters & {
  /** Packets that were passed in. */
  packets: number;
  /** Packets of payload types that were not agreed on; they are ignored. */
  otherPayloadTypes: number;
  /** Frames that were dropped because a part was lost or malformed. */
  damaged: number;
  /** Whole video frames that were dropped because they follow a loss or come before the first key frame. */
  withheld: number;
  samples: number;
};

export class TrackReception {
  readonly #format: TrackFormat;
  readonly #buffer: JitterBuffer;
  readonly #depacketizer: Depacketizer;
  #awaitingKeyFrame: boolean;
  /** The picture changed its size without a key frame. */
  #resized = false;
  /** When the newest key frame began to come in. */
  #keyFrameUs = Number.NEGATIVE_INFINITY;
  #keyFrameRtpTime = Number.POSITIVE_INFINITY;
  /** A part of the newest key frame, or of what came after it, is lost. */
  #isBroken = false;
  #firstUs: HostUs | undefined;
  #arrivedUs: HostUs | undefined;
  #releasedRtpTime: number | undefined;
  #packets = 0;
  #otherPayloadTypes = 0;
  #withheld = 0;
  #samples = 0;

  constructor(options: TrackReceptionOptions) {
    this.#format = options.format;
    const { maxDelayUs, format, state } = options;
    this.#buffer = new JitterBuffer({
      maxDelayUs,
      clockRate: format.clockRate,
      kind: format.kind,
      timeline: state?.timeline,
    });
    const sets = state?.sets?.map((set) => Buffer.from(set, 'base64'));
    this.#depacketizer = createDepacketizer(format, sets);
    this.#awaitingKeyFrame = options.format.kind === 'video';
  }

  /**
   * Takes a packet as it came in. Returns its unwrapped timestamp, for the track's StreamClock; undefined when the
   * packet is useless (another payload type, a duplicate, too late, only padding).
   */
  onRtp(packet: Packet): RtpTicks | undefined {
    this.#packets++;
    if (packet.payloadType !== this.#format.payloadType) {
      this.#otherPayloadTypes++;
      return undefined;
    }
    const rtpTime = this.#buffer.push(packet);
    if (rtpTime === undefined || packet.payload.length === 0) return undefined;
    const format = this.#format;
    if (format.kind === 'video' && startsKeyFrame(format.codec, packet.payload)) {
      this.#keyFrameUs = packet.arrivalUs;
      this.#keyFrameRtpTime = rtpTime;
      this.#isBroken = false;
    }
    this.#firstUs ??= packet.arrivalUs;
    this.#arrivedUs = packet.arrivalUs;
    return rtpTime;
  }

  /** When the last useful packet came in, monotonic microseconds. */
  get arrivedUs(): HostUs | undefined {
    return this.#arrivedUs;
  }

  /** The unwrapped timestamp up to which packets were released; undefined before the first. */
  get releasedRtpTime(): RtpTicks | undefined {
    return this.#releasedRtpTime;
  }

  /**
   * Places a 32-bit timestamp, such as a sender report's, on the same line as the unwrapped timestamps of `onRtp` and
   * of the samples.
   */
  rtpTimeOf(timestamp: number, arrivalUs: HostUs): RtpTicks {
    return this.#buffer.rtpTimeOf(timestamp, arrivalUs);
  }

  /** The state for a reception that continues with the feed of the same track, from some packets before this moment. */
  save(): ReceptionState {
    const sets = this.#depacketizer.decoderSets().map((set) => set.toString('base64'));
    return { timeline: this.#buffer.saveTimeline(), sets };
  }

  /**
   * The samples that are complete now. `keyFrameWanted` stays true as long as video is held back, so that a key frame
   * can be asked for repeatedly; before the first packet it is false. It is also true while a gap stays open for long,
   * until a key frame waits after it, and after a change of size without a key frame: a file of one size begins with a
   * key frame.
   */
  take(nowUs: HostUs): { samples: ReceivedSample[]; keyFrameWanted: boolean } {
    const samples = this.#awaitsStart(nowUs) ? [] : this.#depacketize(this.#buffer.pop(nowUs));
    const damagedBefore = this.#depacketizer.dropped;
    const settled = this.#depacketizer.settle(nowUs);
    if (this.#depacketizer.dropped > damagedBefore) this.#onDamage(Number.POSITIVE_INFINITY);
    samples.push(...this.#admit(settled));
    // A key frame that is already coming in need not be asked for.
    const isComing = nowUs - this.#keyFrameUs < START_WAIT_US && !this.#isBroken;
    const withheld = this.#awaitingKeyFrame && this.#packets > this.#otherPayloadTypes && !isComing;
    return { samples, keyFrameWanted: withheld || this.#resized || this.#isStuck(nowUs) };
  }

  /** Returns everything that is still held: nothing more will come. */
  flush(): ReceivedSample[] {
    const samples = this.#depacketize(this.#buffer.flush());
    samples.push(...this.#admit(this.#depacketizer.flush()));
    return samples;
  }

  counters(): ReceptionCounters {
    return {
      ...this.#buffer.counters,
      packets: this.#packets,
      otherPayloadTypes: this.#otherPayloadTypes,
      damaged: this.#depacketizer.dropped,
      withheld: this.#withheld,
      samples: this.#samples,
    };
  }

  #awaitsStart(nowUs: HostUs): boolean {
    if (this.#format.kind !== 'video' || this.#keyFrameUs !== Number.NEGATIVE_INFINITY) return false;
    return this.#firstUs !== undefined && nowUs - this.#firstUs < START_WAIT_US;
  }

  #isStuck(nowUs: HostUs): boolean {
    const sinceUs = this.#format.kind === 'video' ? this.#buffer.waitingSinceUs : undefined;
    return sinceUs !== undefined && nowUs - sinceUs >= KEY_FRAME_AFTER_US && this.#keyFrameUs < sinceUs;
  }

  #depacketize(packets: Ordered[]): ReceivedSample[] {
    const samples: ReceivedSample[] = [];
    for (const ordered of packets) {
      this.#releasedRtpTime = ordered.rtpTime;
      const damagedBefore = this.#depacketizer.dropped;
      const whole = this.#depacketizer.push(ordered);
      // Asks now, and not only when the next whole frame shows that it comes after a loss.
      if (ordered.lostBefore > 0 || this.#depacketizer.dropped > damagedBefore) this.#onDamage(ordered.rtpTime);
      // Most packets complete nothing.
      if (whole.length > 0) samples.push(...this.#admit(whole));
    }
    return samples;
  }

  #onDamage(rtpTime: number): void {
    if (this.#format.kind !== 'video') return;
    this.#awaitingKeyFrame = true;
    this.#isBroken = rtpTime >= this.#keyFrameRtpTime;
  }

  #admit(samples: readonly ReceivedSample[]): readonly ReceivedSample[] {
    if (samples.length === 0) return samples;
    const admitted = samples.filter((sample) => {
      if (this.#format.kind === 'audio') {
        this.#samples++;
        return true;
      }
      this.#resized = !sample.keyFrame && (this.#resized || sample.resized === true);
      if (sample.keyFrame) {
        sample.afterLoss ||= this.#awaitingKeyFrame && this.#samples > 0;
        this.#awaitingKeyFrame = false;
      } else if (sample.afterLoss) this.#awaitingKeyFrame = true;
      if (!this.#awaitingKeyFrame) this.#samples++;
      return !this.#awaitingKeyFrame;
    });
    this.#withheld += samples.length - admitted.length;
    return admitted;
  }
}
