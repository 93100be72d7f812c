/**
 * Decides which lost packets to ask for again, and when (RFC 4585 §6.2.1): at once, then less and less often, then no
 * more.
 */
import type { HostUs } from '../../kernel/time.ts';
import { SequenceTracker } from './sequence.ts';
import { SlidingMinimum } from './sliding-minimum.ts';

export type NackOptions = {
  /** A packet is given up this long after it was first missed. */
  maxAgeMs: number;
  /** How often a packet is asked for at most. */
  maxTries: number;
  /** Where it is counted what became of missing packets. */
  tally?: LossTally;
};

/**
 * Packets that were missing: given up, or asked for and come. Mere reordering is neither. Unlike the losses of RFC 3550
 * §6.4.1 these never decrease.
 */
export type LossTally = { lost: number; recovered: number };

/** A gap that at most this many packets have overtaken may be mere reordering... */
const REORDER_PACKETS = 2;
/** ...but no longer than this after it was noticed: at the end of a burst nothing follows that could overtake it. */
const REORDER_US = 10_000;
/** When more packets than this are missing at once it is no use to ask for them; only a key frame helps. */
const MAX_MISSING = 1000;
const BACKOFF = 1.5;
const MIN_REPEAT_US = 20_000;
const MAX_ROUND_TRIP_US = 1_000_000;

type Missing = { sinceUs: HostUs; tries: number; nextUs: HostUs; askedUs: HostUs | undefined };

/** The fastest answer within this time tells the round trip. */
const ANSWERS_US = 30_000_000;

export class NackGenerator {
  readonly #maxAgeUs: number;
  readonly #maxTries: number;
  readonly #tally: LossTally;
  #tracker = new SequenceTracker();
  /** It makes sense to ask again only when an answer could have come. 100 ms until the round trip is known. */
  #roundTripUs = 100_000;
  readonly #answers = new SlidingMinimum(ANSWERS_US);
  /** By extended sequence number, in rising order, which is also the order of `sinceUs`. */
  #missing = new Map<number, Missing>();

  constructor(options: NackOptions) {
    this.#maxAgeUs = options.maxAgeMs * 1000;
    this.#maxTries = options.maxTries;
    this.#tally = options.tally ?? { lost: 0, recovered: 0 };
  }

  /** How many packets are missing now, at most 1000. */
  get missing(): number {
    return this.#missing.size;
  }

  /** @param sequence the 16-bit number of a packet that came in, whether new, late or asked for */
  onPacket(sequence: number, nowUs: HostUs): void {
    const before = this.#tracker.highest;
    const placement = this.#tracker.place(sequence);
    if (placement.kind === 'stray') return;
    const { extended } = placement;
    if (placement.restarted || (before !== undefined && extended - before > MAX_MISSING)) {
      this.#tally.lost += this.#missing.size;
      // A sender that began anew may have left out any number.
      if (!placement.restarted && before !== undefined) this.#tally.lost += extended - before - 1;
      this.#missing.clear();
      this.#offsetTo(sequence, extended);
      return;
    }
    this.#offsetTo(sequence, extended);
    if (before === undefined) return;
    if (extended <= before) {
      const askedUs = this.#missing.get(extended)?.askedUs;
      this.#measure(askedUs, nowUs);
      if (askedUs !== undefined) this.#tally.recovered++;
      this.#missing.delete(extended);
      return;
    }
    for (let lost = before + 1; lost < extended; lost++)
      this.#missing.set(lost, { sinceUs: nowUs, tries: 0, nextUs: nowUs + REORDER_US, askedUs: undefined });
    for (const oldest of this.#missing.keys()) {
      if (this.#missing.size <= MAX_MISSING) break;
      this.#giveUp(oldest);
    }
  }

  /** The 16-bit numbers to ask for now, in order; each counts as a try. */
  due(nowUs: HostUs): number[] {
    const asked: number[] = [];
    const highest = this.#tracker.highest ?? 0;
    for (const [extended, entry] of this.#missing) {
      if (nowUs - entry.sinceUs > this.#maxAgeUs || entry.tries >= this.#maxTries) {
        this.#giveUp(extended);
        continue;
      }
      const overtaken = entry.tries === 0 && highest - extended > REORDER_PACKETS;
      if (!overtaken && nowUs < entry.nextUs) continue;
      entry.nextUs = nowUs + Math.round(this.#roundTripUs * BACKOFF ** entry.tries);
      entry.tries++;
      entry.askedUs ??= nowUs;
      asked.push((extended - this.#offset) & 0xffff);
    }
    return asked;
  }

  #giveUp(extended: number): void {
    this.#missing.delete(extended);
    this.#tally.lost++;
  }

  /**
   * The time from the first question for a packet until it came. It is too long when a question or an answer was lost,
   * so the least of these times counts.
   */
  #measure(askedUs: HostUs | undefined, nowUs: HostUs): void {
    if (askedUs === undefined) return;
    this.#answers.push(nowUs - askedUs, nowUs);
    this.#roundTripUs = Math.min(MAX_ROUND_TRIP_US, Math.max(MIN_REPEAT_US, this.#answers.value ?? 0));
  }

  /** Extended numbers are the sent ones plus this, modulo 2^16; it changes when the sender starts over. */
  #offset = 0;

  #offsetTo(sequence: number, extended: number): void {
    this.#offset = (extended - sequence) & 0xffff;
  }
}
