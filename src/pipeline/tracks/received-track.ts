/**
 * ReceivedTrack: what lines of picture and of sound have in common: it takes RTP, and gives whole samples with their
 * place in the recording.
 */

import type { TrackState } from '../../contract/line/channel-state.ts';
import type { ReceptionState } from '../../contract/line/reception-state.ts';
import { type HostUs, type RecordingUs, type RtpTicks, type SenderUs, toRecording } from '../../kernel/time.ts';
import type { Packet } from '../../media/packet.ts';
import type { ReceivedSample } from '../../media/sample.ts';
import type { Track } from '../../media/track.ts';
import { holdsPicture } from '../../stages/rtp/picture-data.ts';
import type { StreamClock } from '../../stages/rtp/sender-clock.ts';
import { TrackReception } from '../../stages/rtp/track-reception.ts';
import type { TrackReport } from '../report/track-report.ts';

export type ReceivedTrackOptions = {
  track: Track;
  clock: StreamClock;
  /** The recording's zero on the monotonic clock, microseconds. */
  zeroUs: HostUs;
  /** How long a gap is waited for, microseconds. */
  maxGapUs: number;
  /** Notes what becomes of the track. */
  report?: TrackReport | undefined;
  /** What another run knew of the track, when this one continues that run's recording. */
  state?: Omit<TrackState, 'track'> | undefined;
  /** Up to when that run had taken what arrived, monotonic microseconds. */
  knownUs?: HostUs | undefined;
  /**
   * Called for each whole picture or sound that came.
   * @param arrivalUs of its last packet
   */
  onWhole?: ((arrivalUs: HostUs) => void) | undefined;
};

/** A packet that comes this long after the one before was not on its way for so long; the sender paused. */
const QUIET_US = 2_000_000;

export class ReceivedTrack {
  readonly track: Track;
  readonly report: TrackReport | undefined;
  readonly #reception: TrackReception;
  readonly #clock: StreamClock;
  readonly #zeroUs: HostUs;
  readonly #knownUs: HostUs;
  readonly #onWhole: (arrivalUs: HostUs) => void;

  constructor({ track, clock, zeroUs, maxGapUs, report, state, knownUs, onWhole }: ReceivedTrackOptions) {
    this.track = track;
    this.report = report;
    this.#clock = clock;
    this.#zeroUs = zeroUs;
    this.#reception = new TrackReception({ format: track.format, maxDelayUs: maxGapUs, state: state?.reception });
    this.#knownUs = knownUs ?? Number.NEGATIVE_INFINITY;
    this.#onWhole = onWhole ?? (() => {});
    report?.readFrom({ counters: () => this.#reception.counters(), clock: () => clock.reading() });
  }

  /** Returns the packet's unwrapped timestamp; undefined when the packet is useless. */
  onRtp(packet: Packet): RtpTicks | undefined {
    const rtpTime = this.#reception.onRtp(packet);
    const isNew = packet.arrivalUs > this.#knownUs;
    const holdsMedia = this.#holdsMedia(packet);
    if (isNew && !holdsMedia) this.report?.onEmpty();
    if (rtpTime === undefined) return undefined;
    this.#clock.onPacket(rtpTime, packet.arrivalUs);
    if (isNew && holdsMedia) this.report?.onPacket(packet, rtpTime, toRecording(packet.arrivalUs, this.#zeroUs));
    return rtpTime;
  }

  /** Padding, headers and parameter sets are no picture: a sender that sends nothing else sends no media. */
  #holdsMedia({ payload, payloadType }: Packet): boolean {
    const { format } = this.track;
    if (format.kind === 'audio' || payloadType !== format.payloadType) return payload.length > 0;
    return holdsPicture(format.codec, payload);
  }

  /**
   * @param ntpUs the sender's clock, microseconds
   * @param rtpTimestamp the same instant in the track's 32-bit timestamps
   */
  onSenderReport(ntpUs: SenderUs, rtpTimestamp: number, arrivalUs: HostUs): void {
    this.#clock.onSenderReport(ntpUs, this.#reception.rtpTimeOf(rtpTimestamp, arrivalUs), arrivalUs);
  }

  /** As in TrackReception; the clock is saved with its participant's. */
  save(): ReceptionState {
    return this.#reception.save();
  }

  /** As of TrackReception. */
  take(nowUs: HostUs): { samples: ReceivedSample[]; keyFrameWanted: boolean } {
    const taken = this.#reception.take(nowUs);
    for (const { arrivalUs } of taken.samples) this.#onWhole(arrivalUs);
    return taken;
  }

  flush(): ReceivedSample[] {
    return this.#reception.flush();
  }

  /**
   * Up to where in the recording everything has come in that will, microseconds; it falls behind while a gap is waited
   * for or packets are late, and while it is not known whether they are. Undefined for a track that has sent nothing
   * lately.
   * @param waiting the first sample that has not been used
   */
  completeUs(nowUs: HostUs, waiting?: ReceivedSample): RecordingUs | undefined {
    const { arrivedUs, releasedRtpTime } = this.#reception;
    if (arrivedUs === undefined || releasedRtpTime === undefined || nowUs - arrivedUs >= QUIET_US) return undefined;
    const isUnsure = waiting !== undefined && this.#clock.isUnsure(waiting.rtpTime);
    const rtpTime = isUnsure ? Math.min(waiting.rtpTime, releasedRtpTime) : releasedRtpTime;
    return toRecording(this.#clock.earliestLocalUs(rtpTime), this.#zeroUs);
  }

  /**
   * The place of a sample by what is known now. Only `timeOf` makes it final: the place of an unused sample may still
   * be corrected at once.
   */
  peekTimeOf(sample: ReceivedSample): RecordingUs {
    return toRecording(this.#clock.peekLocalUs(sample.rtpTime), this.#zeroUs);
  }

  /** The place of a sample that is used now, microseconds of the recording. */
  timeOf(sample: ReceivedSample): RecordingUs {
    return toRecording(this.#clock.toLocalUs(sample.rtpTime), this.#zeroUs);
  }
}
