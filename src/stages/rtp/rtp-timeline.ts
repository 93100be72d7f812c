/**
 * RtpTimeline: one track's 32-bit RTP timestamps on one growing line. A sender that starts over goes on above all before.
 */
import type { RtpTimelineState } from '../../contract/line/reception-state.ts';
import { TimestampUnwrapper } from './sequence.ts';

/** A newer packet with a timestamp this much older means that the sender's clock started over. */
const STEP_BACK_S = 10;
/** Beginnings that are remembered; a feed that is read again begins some seconds back. */
const MAX_EPOCHS = 4;

/** What arrived from `fromUs` on, until the next epoch, lies around `rtpTime`. */
type Epoch = { fromUs: number; rtpTime: number };

export class RtpTimeline {
  readonly #clockRate: number;
  #timestamps = new TimestampUnwrapper();
  #epochs: Epoch[];
  #highest: number | undefined;
  #untilUs: number;
  /** What arrived before this was unwrapped once, by whoever saved the state. */
  readonly #savedUntilUs: number;

  /**
   * @param clockRate ticks per second
   * @param state where another one, of the same track, stood
   */
  constructor(clockRate: number, state?: RtpTimelineState) {
    this.#clockRate = clockRate;
    this.#epochs = state?.epochs.map((epoch) => ({ ...epoch })) ?? [];
    this.#highest = state?.highestRtpTime;
    this.#untilUs = state?.untilUs ?? Number.NEGATIVE_INFINITY;
    this.#savedUntilUs = this.#untilUs;
    const newest = this.#epochs.at(-1);
    if (newest) this.#timestamps = new TimestampUnwrapper(newest.rtpTime);
  }

  /** For a line that goes on where this one stands now. */
  save(): RtpTimelineState {
    return {
      epochs: this.#epochs.map((epoch) => ({ ...epoch })),
      ...(this.#highest === undefined ? {} : { highestRtpTime: this.#highest }),
      ...(this.#untilUs === Number.NEGATIVE_INFINITY ? {} : { untilUs: this.#untilUs }),
    };
  }

  /**
   * The unwrapped timestamp of a packet.
   * @param isNewest false of one that came behind others
   */
  unwrap(timestamp: number, arrivalUs: number, isNewest: boolean): number {
    const known = this.#before(timestamp, arrivalUs);
    if (known !== undefined) return known;
    const near = this.#timestamps.peek(timestamp);
    const highest = this.#highest;
    if (isNewest && highest !== undefined && near < highest - STEP_BACK_S * this.#clockRate)
      return this.#begin(this.#timestamps.unwrapAbove(timestamp, highest), arrivalUs);
    return this.#note(this.#timestamps.unwrap(timestamp), arrivalUs);
  }

  /** The unwrapped timestamp of the first packet of another source: above all before. */
  unwrapNewSource(timestamp: number, arrivalUs: number): number {
    const known = this.#before(timestamp, arrivalUs);
    if (known !== undefined) return known;
    if (this.#highest === undefined) return this.#note(this.#timestamps.unwrap(timestamp), arrivalUs);
    return this.#begin(this.#timestamps.unwrapAbove(timestamp, this.#highest), arrivalUs);
  }

  /** Places a timestamp that no packet had, such as a sender report's. */
  rtpTimeOf(timestamp: number, arrivalUs: number): number {
    const known = this.#before(timestamp, arrivalUs);
    if (known !== undefined) return known;
    if (this.#highest !== undefined) return this.#timestamps.peek(timestamp);
    const rtpTime = this.#timestamps.unwrap(timestamp);
    this.#epochs = [{ fromUs: arrivalUs, rtpTime }];
    return rtpTime;
  }

  /** The timestamp of what arrived before the state was saved, as it was unwrapped then; undefined of what is new. */
  #before(timestamp: number, arrivalUs: number): number | undefined {
    if (arrivalUs > this.#savedUntilUs) return undefined;
    const epoch = this.#epochs.findLast(({ fromUs }) => fromUs <= arrivalUs) ?? this.#epochs[0];
    return epoch && new TimestampUnwrapper(epoch.rtpTime).peek(timestamp);
  }

  #begin(rtpTime: number, arrivalUs: number): number {
    this.#epochs.push({ fromUs: arrivalUs, rtpTime });
    if (this.#epochs.length > MAX_EPOCHS) this.#epochs.shift();
    return this.#note(rtpTime, arrivalUs);
  }

  #note(rtpTime: number, arrivalUs: number): number {
    const epoch = this.#epochs.at(-1);
    if (epoch) epoch.rtpTime = rtpTime;
    else this.#epochs.push({ fromUs: arrivalUs, rtpTime });
    if (this.#highest === undefined || rtpTime > this.#highest) this.#highest = rtpTime;
    this.#untilUs = Math.max(this.#untilUs, arrivalUs);
    return rtpTime;
  }
}
