/**
 * GapWatch: stretches in which nothing of a track came, and why, by the first packet after them. Pure.
 */
import type { GapReason } from '../../contract/line/quality-report.ts';
import { type RecordingUs, type RtpTicks, US } from '../../kernel/time.ts';
import type { HeldIn } from './hold-watch.ts';
import { Kept, MOST_SPANS } from './kept.ts';

/**
 * Longer than the pauses of discontinuous transmission (0.4 s) and than a second between two pictures of a still
 * screen.
 */
export const GAP_US = 1_500_000;
/** As the jitter buffer: a packet no further behind is late, not of a sender that began anew. */
const MAX_MISORDER = 2000;
/**
 * When less than this share of what would have been sent is missing, the sender paused, and a few packets were lost
 * besides.
 */
const LOST_SHARE = 0.1;

export type Gap = { fromUs: RecordingUs; durationUs: number; why: GapReason };
export type GapPacket = { ssrc: number; sequence: number; rtpTime: RtpTicks; atUs: RecordingUs };

export class GapWatch {
  readonly #clockRate: number;
  readonly #heldIn: HeldIn;
  readonly #gaps = new Kept<Gap>(MOST_SPANS);
  #last: GapPacket | undefined;
  #totalUs = 0;
  #packets = 0;
  #flowingUs = 0;
  /** Packets of padding and of headers alone since the last of media: they take numbers, and are no life. */
  #empty = 0;

  /**
   * @param clockRate ticks per second of `rtpTime`
   * @param heldIn what of a span is not asked for; nothing by default
   */
  constructor(clockRate: number, heldIn: HeldIn = () => 0) {
    this.#clockRate = clockRate;
    this.#heldIn = heldIn;
  }

  /** A packet that is of use came at `atUs` of the recording. */
  onPacket(packet: GapPacket): void {
    const last = this.#last;
    if (last) {
      const step = toSigned(packet.sequence - last.sequence);
      const sameSource = packet.ssrc === last.ssrc;
      if (sameSource && step <= 0 && step >= -MAX_MISORDER) return;
      const silentUs = this.#silentUs(last.atUs, packet.atUs);
      if (silentUs >= GAP_US) this.#add({ fromUs: last.atUs, durationUs: silentUs, why: this.#why(last, packet) });
      else this.#flowingUs += Math.max(0, silentUs);
    }
    this.#packets++;
    this.#empty = 0;
    this.#last = packet;
  }

  /** A packet without media came. */
  onEmpty(): void {
    this.#empty++;
  }

  /** The gaps up to `untilUs`; one that goes on then is listed with `open`. */
  until(untilUs: RecordingUs, open: GapReason): { gaps: Gap[]; more: number; totalUs: number } {
    const gaps = [...this.#gaps.items];
    let { more } = this.#gaps;
    let totalUs = this.#totalUs;
    const silentUs = this.#last ? this.#silentUs(this.#last.atUs, untilUs) : 0;
    if (this.#last && silentUs >= GAP_US) {
      totalUs += silentUs;
      if (gaps.length < MOST_SPANS) gaps.push({ fromUs: this.#last.atUs, durationUs: silentUs, why: open });
      else more++;
    }
    return { gaps, more, totalUs };
  }

  #silentUs(fromUs: RecordingUs, toUs: RecordingUs): number {
    return toUs - fromUs - this.#heldIn(fromUs, toUs);
  }

  #why(last: GapPacket, packet: GapPacket): GapReason {
    if (packet.ssrc !== last.ssrc) return 'restarted';
    const missing = toSigned(packet.sequence - last.sequence) - 1 - this.#empty;
    // What is empty and came twice, or late, is counted once too often.
    if (missing + this.#empty < 0) return 'restarted';
    const silentS = (packet.atUs - last.atUs) / US;
    const perS = this.#flowingUs > 0 ? (this.#packets * US) / this.#flowingUs : 0;
    if (missing > 0 && missing >= perS * silentS * LOST_SHARE) return 'networkLoss';
    // What follows on in numbers and in media time was sent all along, and came late.
    return (packet.rtpTime - last.rtpTime) / this.#clockRate < silentS / 2 ? 'delayed' : 'notSent';
  }

  #add(gap: Gap): void {
    this.#totalUs += gap.durationUs;
    this.#gaps.add(gap);
  }
}

/** The difference of two 16-bit numbers, the shorter way round. */
function toSigned(difference: number): number {
  return (difference << 16) >> 16;
}
