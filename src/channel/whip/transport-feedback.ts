/**
 * Collects when a transport's packets came in, by their transport-wide sequence numbers, and writes the feedback from
 * which the publisher estimates its bandwidth (draft-holmer-rmcat-transport-wide-cc-extensions-01).
 */
import type { HostUs } from '../../kernel/time.ts';
import { encodeTransportWideFeedback } from '../../stages/rtp/rtcp.ts';
import { SequenceUnwrapper } from '../../stages/rtp/sequence.ts';
import { canFollow } from '../../stages/rtp/transport-feedback.ts';
import { ArrivalWindow } from './arrival-window.ts';

/** Feedback goes out this long after the last, or sooner when many packets have come. */
const PERIOD_US = 50_000;
const MANY = 100;
/** At most this many arrivals go into one feedback packet, so that it fits a datagram however they are spread. */
const MAX_ARRIVALS = 120;
/** A packet that comes this late is still reported; what comes later is of no use to the publisher's estimate. */
const BACK_US = 500_000;
/** More than a feedback is about, and few enough that they can be told apart by 16 bits. */
const MAX_NUMBERS = 32_768;
/** A larger jump than this is a counter that began anew, not lost packets. */
const MAX_GAP = 8191;
/** Asked for every 20 ms, which mostly brings nothing. */
const NOTHING: readonly Buffer[] = [];

export class TransportFeedbackCollector {
  readonly #senderSsrc: number;
  readonly #unwrapper = new SequenceUnwrapper();
  /** By unwrapped number. Half a second is kept, for packets that come late. */
  readonly #window = new ArrivalWindow(MAX_NUMBERS);
  #isFirst = true;
  /** How many came in since the last feedback. */
  #unsent = 0;
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
    const window = this.#window;
    const sequence = this.#unwrapper.unwrap((extension[0]! << 8) | extension[1]!);
    if (this.#isFirst || Math.abs(sequence - window.end + 1) > MAX_GAP) {
      this.#isFirst = false;
      window.restart(sequence);
      this.#unsent = 0;
      this.#next = sequence;
    }
    // The first arrival counts: the second is a duplicate made on the way.
    if (window.has(sequence)) return;
    if (sequence < this.#next) {
      this.#forget(arrivalUs);
      if (sequence < window.first) return;
      // It is reported together with everything that came since, although that has been reported already.
      this.#next = sequence;
    }
    window.note(sequence, arrivalUs);
    this.#unsent++;
  }

  /**
   * The feedback that is due, often none; more than one packet when much has come in.
   * @param mediaSsrc any stream of the transport
   */
  due(nowUs: HostUs, mediaSsrc: number): readonly Buffer[] {
    if (this.#unsent === 0 || (this.#unsent < MANY && nowUs - this.#sentUs < PERIOD_US)) return NOTHING;
    this.#sentUs = nowUs;
    this.#unsent = 0;
    this.#forget(nowUs);
    const window = this.#window;
    const out: Buffer[] = [];
    for (let at = this.#firstFrom(this.#next); at < window.end; at = this.#firstFrom(this.#next)) {
      // The feedback skips numbers only when more came in at once than is kept.
      const from = at - this.#next > MAX_GAP ? at : this.#next;
      const arrivals: { sequence: number; arrivalUs: HostUs }[] = [];
      for (
        let beforeUs = window.at(at);
        at < window.end && arrivals.length < MAX_ARRIVALS;
        at = this.#firstFrom(at + 1)
      ) {
        const arrivalUs = window.at(at);
        if (at - from > 2 * MAX_GAP || !canFollow(beforeUs, arrivalUs)) break;
        arrivals.push({ sequence: at & 0xffff, arrivalUs });
        beforeUs = arrivalUs;
        this.#next = at + 1;
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

  /** The first number from this one on that came in; the window's end when none did. */
  #firstFrom(number: number): number {
    const window = this.#window;
    let at = Math.max(number, window.first);
    while (at < window.end && !window.has(at)) at++;
    return at;
  }

  #forget(nowUs: HostUs): void {
    const window = this.#window;
    const end = Math.min(this.#next, window.end);
    let to = window.first;
    // Of a number that has not come nothing is known that could be kept.
    while (to < end && !(nowUs - window.at(to) <= BACK_US)) to++;
    window.forgetTo(to);
  }
}
