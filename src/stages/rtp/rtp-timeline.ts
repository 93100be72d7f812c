/**
 * RtpTimeline: one track's 32-bit RTP timestamps on one growing line. Where a sender's timestamps jump, or it starts
 * over, the line goes on as its packets come in; a packet alone with a wrong timestamp is placed among its neighbours.
 *
 * The line is made of epochs, stretches that are each shifted by a constant. Timestamps that merely stand still, while
 * time goes on, begin no epoch: only the StreamClock, by sender reports, can tell them from packets that are late.
 */
import type { RtpTimelineState } from '../../contract/line/reception-state.ts';
import { type HostUs, type RtpTicks, US } from '../../kernel/time.ts';
import { SlidingMinimum } from './sliding-minimum.ts';

/** The delay of packets is compared with the least delay within this window. */
const WINDOW_US = 4 * US;
/** A silence, or a receiver that stood still, ages what is known of the delay by at most this. */
const PAUSE_US = US;
/** No packet is this much faster than the fastest before it, so its timestamp has jumped ahead. */
const AHEAD_US = 300_000;
/** The same limit while the sender is hardly known, because its first packets may have been slow. */
const AHEAD_AT_START_US = 2 * US;
const START_US = US;
/** A newer packet may be this much older than one before it, because pictures are not sent in display order. */
const BACK_US = { audio: 50_000, video: US };
/** A sender that returns to timestamps from within this time meant them all along. */
const RETURN_US = 10 * US;
/** The timestamps of neighbours that are sent without a pause differ by at most this. */
const MAX_STEP_US = 200_000;
/** A sender report is at most this old when it comes in. */
const REPORT_US = 2 * US;
const MAX_EPOCHS = 8;
/** After a silence of so many ticks timestamps may have begun anew, and only time tells how often. */
const LONG_SILENCE_TICKS = 2 ** 30;
/** Clocks differ by less than this part of the time; what is further off after such a silence was not counted on. */
const MOST_SKEW = 0.001;

type Epoch = RtpTimelineState['epochs'][number];

export class RtpTimeline {
  readonly #clockRate: number;
  readonly #backUs: number;
  #epochs: Epoch[];
  /** Arrival minus place on the line. */
  readonly #offsets: SlidingMinimum;
  #highest: number | undefined;
  #last: RtpTimelineState['last'];
  #firstUs: HostUs | undefined;
  /** Ticks between neighbours, lately. */
  #step: number | undefined;
  #untilUs: HostUs;
  /** What arrived up to here has been unwrapped before, by whoever saved the state. */
  readonly #savedUntilUs: HostUs;

  /**
   * @param clockRate ticks per second
   * @param state of another one of the same track, which this one continues
   */
  constructor(clockRate: number, kind: 'audio' | 'video', state?: RtpTimelineState) {
    this.#clockRate = clockRate;
    this.#backUs = BACK_US[kind];
    this.#epochs = structuredClone(state?.epochs ?? []);
    this.#offsets = new SlidingMinimum(WINDOW_US, state?.offsets, { pauseUs: PAUSE_US });
    this.#highest = state?.highest;
    this.#last = state?.last && { ...state.last };
    this.#firstUs = state?.firstUs;
    this.#step = state?.step;
    this.#untilUs = state?.untilUs ?? Number.NEGATIVE_INFINITY;
    this.#savedUntilUs = this.#untilUs;
  }

  /** The state for a line that continues this one. */
  save(): RtpTimelineState {
    return {
      epochs: structuredClone(this.#epochs),
      offsets: this.#offsets.save(),
      highest: this.#highest,
      last: this.#last && { ...this.#last },
      firstUs: this.#firstUs,
      step: this.#step,
      untilUs: Number.isFinite(this.#untilUs) ? this.#untilUs : undefined,
    };
  }

  /**
   * The place of a packet on the line, in ticks.
   * @param isNewest false for one that came after later ones
   * @param missing how many packets have not come that were sent between it and the newest before it
   */
  unwrap(timestamp: number, arrivalUs: HostUs, isNewest: boolean, missing = 0): RtpTicks {
    const known = this.#asSaved(timestamp, arrivalUs);
    if (known !== undefined) return known;
    this.#firstUs ??= arrivalUs;
    const current = this.#epochs.at(-1);
    if (!current) return this.#enter({ fromUs: arrivalUs, raw: timestamp, shift: 0 }, timestamp, arrivalUs);
    if (!isNewest) return this.#nearest(timestamp);
    const epoch = this.#epochOf(timestamp, arrivalUs, current, missing);
    if (!epoch) return this.#begin(timestamp, arrivalUs);
    const raw = this.#rawOf(timestamp, epoch, arrivalUs);
    if (epoch === current) return this.#enter(epoch, raw, arrivalUs);
    const again = { ...epoch, fromUs: arrivalUs };
    this.#add(again);
    return this.#enter(again, raw, arrivalUs);
  }

  /** The place of the first packet of another source, whose timestamps have no relation to those before. */
  unwrapNewSource(timestamp: number, arrivalUs: HostUs): RtpTicks {
    const known = this.#asSaved(timestamp, arrivalUs);
    if (known !== undefined) return known;
    return this.#last ? this.#begin(timestamp, arrivalUs) : this.unwrap(timestamp, arrivalUs, true);
  }

  /** How much later a packet came than the quickest of those before it. */
  delayUs(rtpTime: RtpTicks, arrivalUs: HostUs): number {
    const base = this.#offsets.value;
    return base === undefined ? 0 : Math.max(0, arrivalUs - this.#us(rtpTime) - base);
  }

  /** Places a timestamp that belongs to no packet, such as a sender report's. */
  rtpTimeOf(timestamp: number, arrivalUs: HostUs): RtpTicks {
    const known = this.#asSaved(timestamp, arrivalUs);
    if (known !== undefined) return known;
    const base = this.#offsets.value;
    const current = this.#epochs.at(-1);
    if (!current) {
      this.#add({ fromUs: arrivalUs, raw: timestamp, shift: 0 });
      return timestamp;
    }
    const timeIn = (epoch: Epoch) => this.#rawOf(timestamp, epoch, arrivalUs) + epoch.shift;
    if (base === undefined) return timeIn(current);
    const farUs = (epoch: Epoch) => Math.abs(arrivalUs - this.#us(timeIn(epoch)) - base);
    // A report that was on its way while the timestamps jumped refers to those before the jump.
    const fits = [current, ...this.#recent(arrivalUs)].find((epoch) => farUs(epoch) < REPORT_US);
    return timeIn(fits ?? current);
  }

  /** The epoch of the newest packet, if it needs none of its own. */
  #epochOf(timestamp: number, arrivalUs: HostUs, current: Epoch, missing: number): Epoch | undefined {
    const base = this.#offsets.value;
    const highest = this.#highest;
    if (base === undefined || highest === undefined) return current;
    const time = this.#rawOf(timestamp, current, arrivalUs) + current.shift;
    const lateUs = arrivalUs - this.#us(time) - base;
    const backUs = this.#us(highest - time);
    const isEarly = arrivalUs - (this.#firstUs ?? arrivalUs) < START_US;
    const aheadUs = isEarly ? AHEAD_AT_START_US : AHEAD_US;
    const sinceUs = arrivalUs - (this.#last?.arrivalUs ?? arrivalUs);
    // A receiver that was slow for long, and reads all at once, has lost what found no room: that is no jump.
    const missingUs = missing * (this.#step === undefined ? MAX_STEP_US : this.#us(this.#step));
    const isAhead = -lateUs > aheadUs && -backUs - sinceUs - missingUs > aheadUs / 2;
    const isOff = this.#isLong(sinceUs) && Math.abs(lateUs) > sinceUs * MOST_SKEW;
    const fits = !isAhead && !isOff && backUs <= this.#backUs;
    if (fits && backUs <= BACK_US.audio) return current;
    const earlier = this.#recent(arrivalUs).find((epoch) => {
      const there = this.#rawOf(timestamp, epoch, arrivalUs) + epoch.shift;
      const off = Math.abs(arrivalUs - this.#us(there) - base);
      return (
        off < Math.min(AHEAD_US, fits ? Math.abs(lateUs) / 2 : AHEAD_US) && this.#us(highest - there) <= this.#backUs
      );
    });
    return earlier ?? (fits ? current : undefined);
  }

  /** Epochs before the present one to which a sender may return, the latest first. */
  #recent(arrivalUs: HostUs): Epoch[] {
    return this.#epochs.filter((_, n) => (this.#epochs[n + 1]?.fromUs ?? 0) >= arrivalUs - RETURN_US).reverse();
  }

  /** The place of a packet that came after later ones: the possible one that is closest to the present. */
  #nearest(timestamp: number): number {
    const highest = this.#highest ?? 0;
    let best: number | undefined;
    for (const { raw, shift } of this.#epochs) {
      const time = near(timestamp, raw) + shift;
      if (best === undefined || Math.abs(time - highest) <= Math.abs(best - highest)) best = time;
    }
    return best ?? timestamp;
  }

  /** The place of what arrived before the state was saved, as it was unwrapped then; undefined for what is new. */
  #asSaved(timestamp: number, arrivalUs: HostUs): number | undefined {
    if (arrivalUs > this.#savedUntilUs) return undefined;
    const epoch = this.#epochs.findLast(({ fromUs }) => fromUs <= arrivalUs) ?? this.#epochs[0];
    return epoch && this.#rawOf(timestamp, epoch, arrivalUs) + epoch.shift;
  }

  /** Of all moments that a timestamp can mean in an epoch, the one that fits to when it came in. */
  #rawOf(timestamp: number, { raw }: Epoch, arrivalUs: HostUs): RtpTicks {
    const passedUs = arrivalUs - (this.#last?.arrivalUs ?? arrivalUs);
    return near(timestamp, this.#isLong(passedUs) ? raw + Math.round((passedUs * this.#clockRate) / US) : raw);
  }

  #isLong(us: number): boolean {
    return (Math.abs(us) * this.#clockRate) / US >= LONG_SILENCE_TICKS;
  }

  /** The timestamps jumped: the line goes on by the usual distance of packets, or by arrival if there was a pause. */
  #begin(timestamp: number, arrivalUs: HostUs): number {
    const last: RtpTimelineState['last'] = this.#last ?? { rtpTime: timestamp, arrivalUs };
    // Padding and the rest of a picture come later than their timestamp says.
    const passed = Math.round(((arrivalUs - (last.sinceUs ?? last.arrivalUs)) * this.#clockRate) / US);
    const step = this.#step;
    const isUsual = step !== undefined && Math.abs(this.#us(passed - step)) < MAX_STEP_US / 2;
    const time = Math.max((this.#highest ?? 0) + 1, last.rtpTime + (isUsual ? step : passed));
    const epoch = { fromUs: arrivalUs, raw: timestamp, shift: time - timestamp };
    this.#add(epoch);
    return this.#enter(epoch, timestamp, arrivalUs);
  }

  #add(epoch: Epoch): void {
    this.#epochs.push(epoch);
    if (this.#epochs.length > MAX_EPOCHS) this.#epochs.shift();
  }

  #enter(epoch: Epoch, raw: number, arrivalUs: HostUs): number {
    if (this.#epochs.length === 0) this.#add(epoch);
    const rtpTime = raw + epoch.shift;
    const step = raw - epoch.raw;
    if (step > 0 && this.#us(step) <= MAX_STEP_US) this.#step = step;
    epoch.raw = raw;
    if (this.#highest === undefined || rtpTime > this.#highest) this.#highest = rtpTime;
    const sinceUs = rtpTime === this.#last?.rtpTime ? this.#last.sinceUs : arrivalUs;
    this.#last = { rtpTime, arrivalUs, sinceUs };
    this.#offsets.push(arrivalUs - this.#us(rtpTime), arrivalUs);
    this.#untilUs = Math.max(this.#untilUs, arrivalUs);
    return rtpTime;
  }

  #us(ticks: number): number {
    return (ticks * US) / this.#clockRate;
  }
}

/** Of all moments that a 32-bit timestamp can mean, the one closest to `raw`. */
function near(timestamp: number, raw: number): number {
  const delta = (timestamp - raw) % 2 ** 32;
  if (delta >= 2 ** 31) return raw + delta - 2 ** 32;
  return raw + (delta < -(2 ** 31) ? delta + 2 ** 32 : delta);
}
