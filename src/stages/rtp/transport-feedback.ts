/**
 * The body of a transport-wide feedback packet: which packets of a transport came, and when
 * (draft-holmer-rmcat-transport-wide-cc-extensions-01 §3.1). `rtcp.ts` adds the RTCP header.
 */

import { Fault } from '../../kernel/fault.ts';
import type { HostUs } from '../../kernel/time.ts';

/** Unit of the reference time; a packet's delta counts ticks. */
export const REFERENCE_US = 64_000;
export const TICK_US = 250;

export type TransportFeedback = {
  /** 16-bit number of the first packet it is about. */
  baseSequence: number;
  /** How many packets it is about, 1..65535: `baseSequence` and the following. */
  statusCount: number;
  /** Counts the feedback packets, 8 bits. */
  feedbackCount: number;
  /**
   * The packets that came, in order of sequence. Times are microseconds of the receiver's clock; on the wire they are
   * rounded to 250 µs and modulo 2^24 of `REFERENCE_US`, about twelve days.
   */
  arrivals: { sequence: number; arrivalUs: HostUs }[];
};

const HEAD_BYTES = 8;
/** Packet status symbols (§3.1.1). The fourth, 3, is reserved. */
const NOT_RECEIVED = 0;
const SMALL_DELTA = 1;
const LARGE_DELTA = 2;
const MAX_RUN = 0x1fff;
const MAX_TICKS = 0x7fff;

/** Whether `next` can follow `previous` in one feedback packet: deltas have 16 bits, about 8 seconds. */
export function canFollow(previousUs: HostUs, nextUs: HostUs): boolean {
  return Math.abs(nextUs - previousUs) <= (MAX_TICKS - 1) * TICK_US;
}

/**
 * Writes the body, not padded to whole words.
 * @throws RangeError when no packet came, when a packet is outside the count or out of order, or when two neighbours
 * are further apart than `canFollow` allows
 */
export function encodeTransportFeedback(feedback: TransportFeedback): Buffer {
  const { baseSequence, statusCount, feedbackCount, arrivals } = feedback;
  const first = arrivals[0];
  if (!first) throw new RangeError('transport feedback tells of at least one packet that came');
  if (statusCount < 1 || statusCount > 0xffff)
    throw new RangeError(`transport feedback is about 1 to 65535 packets, got ${statusCount}`);
  const reference = Math.floor(first.arrivalUs / REFERENCE_US);
  const symbols = new Uint8Array(statusCount);
  const deltas: number[] = [];
  // Each delta is counted from the rounded time on the wire, so that rounding errors do not add up.
  let atTicks = (reference * REFERENCE_US) / TICK_US;
  let before = -1;
  for (const { sequence, arrivalUs } of arrivals) {
    const place = (sequence - baseSequence) & 0xffff;
    if (place >= statusCount || place <= before)
      throw new RangeError(`packet ${sequence} is out of place in feedback about ${statusCount} from ${baseSequence}`);
    before = place;
    const ticks = Math.round(arrivalUs / TICK_US) - atTicks;
    if (Math.abs(ticks) > MAX_TICKS) throw new RangeError(`${ticks} ticks between two packets do not fit a delta`);
    atTicks += ticks;
    deltas.push(ticks);
    symbols[place] = ticks >= 0 && ticks <= 0xff ? SMALL_DELTA : LARGE_DELTA;
  }
  const chunks = chunksOf(symbols);
  const deltaBytes = deltas.reduce((sum, ticks) => sum + (ticks >= 0 && ticks <= 0xff ? 1 : 2), 0);
  const out = Buffer.alloc(HEAD_BYTES + chunks.length * 2 + deltaBytes);
  out.writeUInt16BE(baseSequence & 0xffff, 0);
  out.writeUInt16BE(statusCount, 2);
  out.writeUIntBE(modulo(reference, 2 ** 24), 4, 3);
  out[7] = feedbackCount & 0xff;
  let at = HEAD_BYTES;
  for (const chunk of chunks) at = out.writeUInt16BE(chunk, at);
  for (const ticks of deltas)
    at = ticks >= 0 && ticks <= 0xff ? out.writeUInt8(ticks, at) : out.writeInt16BE(ticks, at);
  return out;
}

/**
 * Runs where they cover at least as much as a vector would (§3.1.3), else 14 symbols of one bit or 7 of two (§3.1.4).
 */
function chunksOf(symbols: Uint8Array): number[] {
  const chunks: number[] = [];
  for (let at = 0; at < symbols.length; ) {
    const symbol = symbols[at]!;
    let run = 1;
    while (run < MAX_RUN && symbols[at + run] === symbol) run++;
    let short = 0;
    while (short < 14 && at + short < symbols.length && symbols[at + short]! !== LARGE_DELTA) short++;
    const oneBit = short === 14 || at + short === symbols.length;
    if (run >= (oneBit ? 14 : 7) || at + run === symbols.length) {
      chunks.push((symbol << 13) | run);
      at += run;
    } else if (oneBit) {
      chunks.push(vector(0x8000, symbols, at, 14, 1));
      at += 14;
    } else {
      chunks.push(vector(0xc000, symbols, at, 7, 2));
      at += 7;
    }
  }
  return chunks;
}

/** Symbols beyond the end count as not received, and the status count makes them meaningless. */
function vector(kind: number, symbols: Uint8Array, from: number, count: number, bits: number): number {
  let chunk = kind;
  for (let n = 0; n < count; n++) chunk |= (symbols[from + n] ?? NOT_RECEIVED) << ((count - 1 - n) * bits);
  return chunk;
}

/**
 * Reads a body as `encodeTransportFeedback` writes it; zero bytes after it are ignored. Times count from the reference
 * time, 0 up to 2^24 of `REFERENCE_US`; those of packets that came before it are lower.
 * @throws Fault `rtcp-malformed`
 */
export function parseTransportFeedback(body: Buffer): TransportFeedback {
  if (body.length < HEAD_BYTES) throw malformed(`${body.length} bytes`);
  const baseSequence = body.readUInt16BE(0);
  const statusCount = body.readUInt16BE(2);
  // Only packets that came are kept: a few bytes can tell of thousands that did not.
  const came: { place: number; large: boolean }[] = [];
  let at = HEAD_BYTES;
  let place = 0;
  const note = (symbol: number) => {
    if (symbol === 3) throw malformed('a reserved packet status');
    if (symbol !== NOT_RECEIVED) came.push({ place, large: symbol === LARGE_DELTA });
    place++;
  };
  while (place < statusCount) {
    if (at + 2 > body.length) throw malformed('its packet statuses are cut short');
    const chunk = body.readUInt16BE(at);
    at += 2;
    if (chunk & 0x8000) {
      const bits = chunk & 0x4000 ? 2 : 1;
      const count = 14 / bits;
      for (let n = 0; n < count && place < statusCount; n++)
        note((chunk >> ((count - 1 - n) * bits)) & (bits === 1 ? 1 : 3));
      continue;
    }
    const symbol = chunk >> 13;
    const run = Math.min(chunk & MAX_RUN, statusCount - place);
    if (run === 0) throw malformed('a run of no packets');
    if (symbol === NOT_RECEIVED) place += run;
    else {
      // Each of them has a delta of at least one byte.
      if (came.length + run > body.length) throw malformed('its arrival times are cut short');
      for (let n = 0; n < run; n++) note(symbol);
    }
  }
  let arrivalUs = body.readUIntBE(4, 3) * REFERENCE_US;
  const arrivals = came.map(({ place: index, large }) => {
    const bytes = large ? 2 : 1;
    if (at + bytes > body.length) throw malformed('its arrival times are cut short');
    arrivalUs += (large ? body.readInt16BE(at) : body[at]!) * TICK_US;
    at += bytes;
    return { sequence: (baseSequence + index) & 0xffff, arrivalUs };
  });
  return { baseSequence, statusCount, feedbackCount: body[7]!, arrivals };
}

function modulo(value: number, span: number): number {
  return ((value % span) + span) % span;
}

function malformed(why: string): Fault {
  return new Fault('rtcp-malformed', `not a valid RTCP packet: transport feedback with ${why}`, { blame: 'channel' });
}
