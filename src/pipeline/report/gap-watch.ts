/** GapWatch: stretches in which nothing of a track came, and why, as far as the first packet after them shows. Pure. */
import type { GapReason } from '../../contract/line/quality-report.ts';
import { type RecordingUs, type RtpTicks, US } from '../../kernel/time.ts';
import type { HeldIn } from './hold-watch.ts';
import { Kept, MOST_SPANS } from './kept.ts';

/**
 * Longer than pauses of discontinuous transmission (0.4 s) and than a second between two pictures of a still screen.
 */
export const GAP_US = 1_500_000;
/** As in the jitter buffer: a packet no further behind is late, and does not show that the sender began anew. */
const MAX_MISORDER = 2000;
/**
 * When less than this share of what would have been sent is missing, the sender paused and a few packets were lost
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
  /** Packets of padding or headers alone since the last media: they use numbers but are no sign of life. */
  #empty = 0;

  /**
   * @param clockRate ticks per second of `rtpTime`
   * @param heldIn how much of a span was on hold; nothing by default
   */
  constructor(clockRate: number, heldIn: HeldIn = () => 0) {
    this.#clockRate = clockRate;
    this.#heldIn = heldIn;
  }

  /** A useful packet came at `atUs` of the recording. */
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

  /** The gaps up to `untilUs`; one that still goes on is listed with the reason `open`. */
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
    // An empty packet that came twice, or late, is counted once too often.
    if (missing + this.#empty < 0) return 'restarted';
    const silentS = (packet.atUs - last.atUs) / US;
    const perS = this.#flowingUs > 0 ? (this.#packets * US) / this.#flowingUs : 0;
    if (missing > 0 && missing >= perS * silentS * LOST_SHARE) return 'networkLoss';
    // A sender whose numbers and media time go on without a jump sent all along; the packets were late.
    return (packet.rtpTime - last.rtpTime) / this.#clockRate < silentS / 2 ? 'delayed' : 'notSent';
  }

  #add(gap: Gap): void {
    this.#totalUs += gap.durationUs;
    this.#gaps.add(gap);
  }
}

/** The difference of two 16-bit numbers, taken the shorter way round. */
function toSigned(difference: number): number {
  return (difference << 16) >> 16;
}
