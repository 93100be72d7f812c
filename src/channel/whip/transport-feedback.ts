/**
 * Collects when a transport's packets came in, by their transport-wide sequence numbers, and writes the feedback from
 * which the publisher estimates its bandwidth (draft-holmer-rmcat-transport-wide-cc-extensions-01).
 */
import type { HostUs } from '../../kernel/time.ts';
import { encodeTransportWideFeedback } from '../../stages/rtp/rtcp.ts';
import { SequenceUnwrapper } from '../../stages/rtp/sequence.ts';
import { canFollow } from '../../stages/rtp/transport-feedback.ts';

/** Feedback goes out this long after the last, or sooner when many packets have come. */
const PERIOD_US = 50_000;
const MANY = 100;
/** At most this many arrivals go into one feedback packet, so that it fits a datagram however they are spread. */
const MAX_ARRIVALS = 120;
/** A packet that comes this late is still reported; what comes later is of no use to the publisher's estimate. */
const BACK_US = 500_000;
const MAX_KEPT = 4096;
/** A larger jump than this is a counter that began anew, not lost packets. */
const MAX_GAP = 8191;

export class TransportFeedbackCollector {
  readonly #senderSsrc: number;
  readonly #unwrapper = new SequenceUnwrapper();
  /** Arrival by unwrapped number, in order of arrival. */
  #arrivals = new Map<number, number>();
  /** The numbers that came in since the last feedback. */
  #unsent: number[] = [];
  /** One of them was before what the last feedback was about. */
  #isLate = false;
  #highest: number | undefined;
  /** The first number that the next feedback is about. */
  #next = 0;
  #count = 0;
  #sentUs = Number.NEGATIVE_INFINITY;

  /** @param senderSsrc ours, in the RTCP we send */
  constructor(senderSsrc: number) {
    this.#senderSsrc = senderSsrc;
  }

  /**
   * Takes the extension of one packet; one that is too short is ignored.
   * @param arrivalUs monotonic microseconds
   */
  onPacket(extension: Buffer, arrivalUs: HostUs): void {
    if (extension.length < 2) return;
    const sequence = this.#unwrapper.unwrap(extension.readUInt16BE(0));
    if (this.#highest === undefined || Math.abs(sequence - this.#highest) > MAX_GAP) {
      this.#arrivals.clear();
      this.#unsent = [];
      this.#isLate = false;
      this.#highest = sequence;
      this.#next = sequence;
    }
    // The first arrival counts: the second is a duplicate made on the way.
    if (this.#arrivals.has(sequence)) return;
    if (sequence < this.#next) {
      this.#forget(arrivalUs);
      const [oldest] = this.#arrivals.keys();
      if (oldest === undefined || sequence < oldest) return;
      // It is reported together with everything that came since, although that has been reported already.
      this.#next = sequence;
      this.#isLate = true;
    }
    this.#highest = Math.max(this.#highest, sequence);
    this.#arrivals.set(sequence, arrivalUs);
    this.#unsent.push(sequence);
    if (this.#arrivals.size > MAX_KEPT) this.#forget(arrivalUs);
  }

  /**
   * The feedback that is due, often none; more than one packet when much has come in.
   * @param mediaSsrc any stream of the transport
   */
  due(nowUs: HostUs, mediaSsrc: number): Buffer[] {
    const count = this.#unsent.length;
    if (count === 0 || (count < MANY && nowUs - this.#sentUs < PERIOD_US)) return [];
    this.#sentUs = nowUs;
    const came = this.#takeUnsent(nowUs);
    const out: Buffer[] = [];
    for (let at = 0; at < came.length; ) {
      const first = came[at]!;
      const firstUs = this.#arrivals.get(first)!;
      // The feedback skips numbers only when more came in at once than is kept.
      const from = first - this.#next > MAX_GAP ? first : this.#next;
      const arrivals: { sequence: number; arrivalUs: HostUs }[] = [];
      let beforeUs = firstUs;
      while (at < came.length && arrivals.length < MAX_ARRIVALS) {
        const sequence = came[at]!;
        const arrivalUs = this.#arrivals.get(sequence)!;
        if (sequence - from > 2 * MAX_GAP || !canFollow(beforeUs, arrivalUs)) break;
        arrivals.push({ sequence: sequence & 0xffff, arrivalUs });
        beforeUs = arrivalUs;
        this.#next = sequence + 1;
        at++;
      }
      out.push(
        encodeTransportWideFeedback(this.#senderSsrc, mediaSsrc, {
          baseSequence: from & 0xffff,
          statusCount: this.#next - from,
          feedbackCount: this.#count++ & 0xff,
          arrivals,
        }),
      );
    }
    return out;
  }

  /**
   * The numbers of all that came in from `#next` on, in order. Half a second is kept for late packets, so what came
   * since the last feedback is not looked for in it; unless more came than is kept, of which some may have come twice.
   */
  #takeUnsent(nowUs: HostUs): number[] {
    this.#forget(nowUs);
    const numbers = this.#isLate || this.#unsent.length > MAX_KEPT ? [...this.#arrivals.keys()] : this.#unsent;
    this.#unsent = [];
    this.#isLate = false;
    return numbers.filter((n) => n >= this.#next && this.#arrivals.has(n)).sort((a, b) => a - b);
  }

  #forget(nowUs: HostUs): void {
    for (const [sequence, arrivalUs] of this.#arrivals) {
      const old = nowUs - arrivalUs > BACK_US && sequence < this.#next;
      if (!old && this.#arrivals.size <= MAX_KEPT) break;
      this.#arrivals.delete(sequence);
    }
  }
}
