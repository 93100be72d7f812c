/**
 * Reads the header extensions of one RTP packet where they lie (RFC 8285). A packet carries a few and is asked for
 * fewer, thousands of times a second, so an element is looked for when it is asked for.
 */
import { Fault } from '../../kernel/fault.ts';
import type { HeaderExtensions } from '../../media/packet.ts';

const ONE_BYTE_PROFILE = 0xbede;
const TWO_BYTE_PROFILE = 0x1000;
/** Stands for every id: no element has it. */
const ANY = 0;

/**
 * The elements in `datagram` from `from` up to `end`; undefined when there are none. Those of a profile that RFC 8285
 * does not know are opaque, and none.
 * @param profile the 16 bits before the length (RFC 3550 §5.3.1)
 * @throws Fault `rtp-malformed` when an element is cut short
 */
export function readHeaderExtensions(
  profile: number,
  datagram: Buffer,
  from: number,
  end: number,
): HeaderExtensions | undefined {
  const oneByte = profile === ONE_BYTE_PROFILE;
  if (!oneByte && (profile & 0xfff0) !== TWO_BYTE_PROFILE) return undefined;
  const elements = new Elements(oneByte, datagram, from, end);
  return elements.count > 0 ? elements : undefined;
}

class Elements implements HeaderExtensions {
  /** How many there are. */
  readonly count: number;
  readonly #oneByte: boolean;
  readonly #datagram: Buffer;
  readonly #from: number;
  readonly #end: number;
  /** Where the element begins that was looked for last, and its length. */
  #foundAt = 0;
  #foundBytes = 0;

  constructor(oneByte: boolean, datagram: Buffer, from: number, end: number) {
    this.#oneByte = oneByte;
    this.#datagram = datagram;
    this.#from = from;
    this.#end = end;
    this.count = this.#walk(ANY);
  }

  get(id: number): Buffer | undefined {
    if (id === ANY || this.#walk(id) === 0) return undefined;
    return this.#datagram.subarray(this.#foundAt, this.#foundAt + this.#foundBytes);
  }

  /**
   * Goes through all elements (§4.2 one-byte, §4.3 two-byte), and notes where the last one of this id lies.
   * @returns how many there are of this id
   */
  #walk(id: number): number {
    const bytes = this.#datagram;
    const headBytes = this.#oneByte ? 1 : 2;
    let count = 0;
    for (let at = this.#from; at < this.#end; ) {
      const head = bytes[at]!;
      const found = this.#oneByte ? head >> 4 : head;
      // In the two-byte form a zero byte is padding. In the one-byte form id 0 is padding only with a zero length
      // field, but receivers must skip it in both cases.
      if (found === 0) {
        at++;
        continue;
      }
      // In the one-byte form id 15 is reserved: what follows must not be read.
      if (this.#oneByte && found === 15) break;
      if (at + headBytes > this.#end) throw malformed('a header extension element is cut short');
      const length = this.#oneByte ? (head & 0x0f) + 1 : bytes[at + 1]!;
      at += headBytes;
      if (at + length > this.#end) throw malformed(`header extension ${found} runs past the end`);
      if (id === ANY || id === found) {
        count++;
        this.#foundAt = at;
        this.#foundBytes = length;
      }
      at += length;
    }
    return count;
  }
}

/** What makes a datagram no RTP packet. */
export function malformed(why: string): Fault {
  return new Fault('rtp-malformed', `not a valid RTP packet: ${why}`, { blame: 'channel' });
}
