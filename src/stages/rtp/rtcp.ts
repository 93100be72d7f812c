/**
 * RTCP: the packets a receiver of media reads and the ones it sends. RFC 3550 §6, feedback of RFC 4585 and RFC 5104,
 * REMB of draft-alvestrand-rmcat-remb-03, feedback of transport-cc. Reduced-size packets (RFC 5506) are read as well.
 */

import { Fault } from '../../kernel/fault.ts';
import type { SenderUs } from '../../kernel/time.ts';
import { encodeTransportFeedback, parseTransportFeedback, type TransportFeedback } from './transport-feedback.ts';

/** One report block, with the fields as on the wire (RFC 3550 §6.4.1). */
export type ReportBlock = {
  ssrc: number;
  /** 1/256ths, 0..255. */
  fractionLost: number;
  /** Signed, 24 bits. */
  cumulativeLost: number;
  /** Wrap count in the upper 16 bits, highest sequence number in the lower. */
  extendedHighest: number;
  /** Ticks of the stream's clock. */
  jitter: number;
  /** Middle 32 bits of the last sender report's NTP time, 0 before the first. */
  lastSr: number;
  /** 1/65536 seconds since that report came in. */
  delaySinceLastSr: number;
};

export type SenderReport = {
  type: 'senderReport';
  ssrc: number;
  ntp: { seconds: number; fraction: number };
  /** The same moment in microseconds since 1900 by the sender's clock. */
  ntpUs: SenderUs;
  /** 32-bit RTP timestamp of that moment. */
  rtpTimestamp: number;
  packetCount: number;
  octetCount: number;
  blocks: ReportBlock[];
};

export type RtcpPacket =
  | SenderReport
  | { type: 'receiverReport'; ssrc: number; blocks: ReportBlock[] }
  | { type: 'sourceDescription'; chunks: { ssrc: number; cname: string | undefined }[] }
  | { type: 'bye'; ssrcs: number[]; reason: string | undefined }
  | { type: 'pictureLossIndication'; senderSsrc: number; mediaSsrc: number }
  | { type: 'fullIntraRequest'; senderSsrc: number; entries: { ssrc: number; sequence: number }[] }
  | { type: 'nack'; senderSsrc: number; mediaSsrc: number; sequences: number[] }
  | { type: 'remb'; senderSsrc: number; bitrateBps: number; ssrcs: number[] }
  | ({ type: 'transportFeedback'; senderSsrc: number; mediaSsrc: number } & TransportFeedback)
  | { type: 'unknown'; payloadType: number; count: number; body: Buffer };

const SR = 200;
const RR = 201;
const SDES = 202;
const BYE = 203;
const RTPFB = 205;
const PSFB = 206;
/** The RTPFB format of transport-wide feedback. */
const TRANSPORT_CC = 15;
const BLOCK_BYTES = 24;
const MAX_COUNT = 31;

/**
 * Reads a compound packet. Packets that this module does not know are kept as `unknown`.
 * @throws Fault `rtcp-malformed`
 */
export function parseCompound(datagram: Buffer): RtcpPacket[] {
  const packets: RtcpPacket[] = [];
  let at = 0;
  if (datagram.length === 0) throw malformed('no bytes');
  while (at < datagram.length) {
    if (at + 4 > datagram.length) throw malformed('a header is cut short');
    const first = datagram[at]!;
    if (first >> 6 !== 2) throw malformed(`version ${first >> 6} instead of 2`);
    const end = at + 4 + datagram.readUInt16BE(at + 2) * 4;
    if (end > datagram.length) throw malformed('a packet runs past the end');
    let bodyEnd = end;
    if (first & 0x20) {
      const padding = datagram[end - 1]!;
      if (padding === 0 || padding > end - at - 4) throw malformed('padding is longer than the packet');
      bodyEnd -= padding;
    }
    packets.push(parseOne(datagram[at + 1]!, first & 0x1f, datagram.subarray(at + 4, bodyEnd)));
    at = end;
  }
  return packets;
}

function parseOne(payloadType: number, count: number, body: Buffer): RtcpPacket {
  switch (payloadType) {
    case SR: {
      need(body, 24 + count * BLOCK_BYTES, 'sender report');
      const seconds = body.readUInt32BE(4);
      const fraction = body.readUInt32BE(8);
      return {
        type: 'senderReport',
        ssrc: body.readUInt32BE(0),
        ntp: { seconds, fraction },
        ntpUs: ntpToUs({ seconds, fraction }),
        rtpTimestamp: body.readUInt32BE(12),
        packetCount: body.readUInt32BE(16),
        octetCount: body.readUInt32BE(20),
        blocks: readBlocks(body, 24, count),
      };
    }
    case RR:
      need(body, 4 + count * BLOCK_BYTES, 'receiver report');
      return { type: 'receiverReport', ssrc: body.readUInt32BE(0), blocks: readBlocks(body, 4, count) };
    case SDES:
      return { type: 'sourceDescription', chunks: readChunks(body, count) };
    case BYE:
      return readBye(body, count);
    case RTPFB:
    case PSFB:
      return readFeedback(payloadType, count, body);
    default:
      return { type: 'unknown', payloadType, count, body };
  }
}

function readBlocks(body: Buffer, from: number, count: number): ReportBlock[] {
  const blocks: ReportBlock[] = [];
  for (let at = from; blocks.length < count; at += BLOCK_BYTES)
    blocks.push({
      ssrc: body.readUInt32BE(at),
      fractionLost: body[at + 4]!,
      cumulativeLost: body.readIntBE(at + 5, 3),
      extendedHighest: body.readUInt32BE(at + 8),
      jitter: body.readUInt32BE(at + 12),
      lastSr: body.readUInt32BE(at + 16),
      delaySinceLastSr: body.readUInt32BE(at + 20),
    });
  return blocks;
}

/** RFC 3550 §6.5: chunks of items, each chunk ended by zero bytes up to a 32-bit edge. */
function readChunks(body: Buffer, count: number): { ssrc: number; cname: string | undefined }[] {
  const chunks: { ssrc: number; cname: string | undefined }[] = [];
  let at = 0;
  for (let n = 0; n < count; n++) {
    if (at + 4 > body.length) throw malformed('a source description is cut short');
    const chunk = { ssrc: body.readUInt32BE(at), cname: undefined as string | undefined };
    at += 4;
    while (at < body.length && body[at] !== 0) {
      const item = body[at]!;
      const length = body[at + 1];
      if (length === undefined || at + 2 + length > body.length) throw malformed('a source description is cut short');
      if (item === 1) chunk.cname = body.toString('utf8', at + 2, at + 2 + length);
      at += 2 + length;
    }
    at = (at & ~3) + 4;
    chunks.push(chunk);
  }
  return chunks;
}

function readBye(body: Buffer, count: number): RtcpPacket {
  need(body, count * 4, 'goodbye');
  const ssrcs = Array.from({ length: count }, (_, n) => body.readUInt32BE(n * 4));
  const length = body[count * 4];
  if (length === undefined) return { type: 'bye', ssrcs, reason: undefined };
  need(body, count * 4 + 1 + length, 'goodbye');
  return { type: 'bye', ssrcs, reason: body.toString('utf8', count * 4 + 1, count * 4 + 1 + length) };
}

function readFeedback(payloadType: number, format: number, body: Buffer): RtcpPacket {
  need(body, 8, 'feedback');
  const senderSsrc = body.readUInt32BE(0);
  const mediaSsrc = body.readUInt32BE(4);
  const fci = body.subarray(8);
  if (payloadType === RTPFB && format === 1) {
    if (fci.length === 0 || fci.length % 4 !== 0) throw malformed('a NACK without whole entries');
    const sequences: number[] = [];
    for (let at = 0; at < fci.length; at += 4) {
      const pid = fci.readUInt16BE(at);
      const blp = fci.readUInt16BE(at + 2);
      sequences.push(pid);
      for (let bit = 0; bit < 16; bit++) if (blp & (1 << bit)) sequences.push((pid + bit + 1) & 0xffff);
    }
    return { type: 'nack', senderSsrc, mediaSsrc, sequences };
  }
  if (payloadType === RTPFB && format === TRANSPORT_CC)
    return { type: 'transportFeedback', senderSsrc, mediaSsrc, ...parseTransportFeedback(fci) };
  if (payloadType === PSFB && format === 1) return { type: 'pictureLossIndication', senderSsrc, mediaSsrc };
  if (payloadType === PSFB && format === 4) {
    if (fci.length % 8 !== 0) throw malformed('a FIR without whole entries');
    const entries: { ssrc: number; sequence: number }[] = [];
    for (let at = 0; at < fci.length; at += 8) entries.push({ ssrc: fci.readUInt32BE(at), sequence: fci[at + 4]! });
    return { type: 'fullIntraRequest', senderSsrc, entries };
  }
  if (payloadType === PSFB && format === 15 && fci.length >= 8 && fci.toString('latin1', 0, 4) === 'REMB') {
    const count = fci[4]!;
    need(fci, 8 + count * 4, 'REMB');
    const mantissa = ((fci[5]! & 0x03) << 16) | fci.readUInt16BE(6);
    return {
      type: 'remb',
      senderSsrc,
      bitrateBps: mantissa * 2 ** (fci[5]! >> 2),
      ssrcs: Array.from({ length: count }, (_, n) => fci.readUInt32BE(8 + n * 4)),
    };
  }
  return { type: 'unknown', payloadType, count: format, body };
}

/** @param blocks at most 31 (RFC 3550 §6.4.2); send more than one report for more sources */
export function encodeReceiverReport(report: { senderSsrc: number; blocks: ReportBlock[] }): Buffer {
  const out = header(RR, report.blocks.length, 4 + report.blocks.length * BLOCK_BYTES);
  out.writeUInt32BE(report.senderSsrc, 4);
  writeBlocks(out, 8, report.blocks);
  return out;
}

/** @param cname at most 255 bytes of UTF-8 */
export function encodeSourceDescription(ssrc: number, cname: string): Buffer {
  const text = Buffer.from(cname, 'utf8');
  if (text.length > 255) throw new RangeError(`a CNAME holds at most 255 bytes, got ${text.length}`);
  const out = header(SDES, 1, Math.floor((4 + 2 + text.length) / 4) * 4 + 4);
  out.writeUInt32BE(ssrc, 4);
  out[8] = 1;
  out[9] = text.length;
  text.copy(out, 10);
  return out;
}

/** Asks a video sender for a key frame (RFC 4585 §6.3.1). */
export function encodePictureLossIndication(senderSsrc: number, mediaSsrc: number): Buffer {
  return feedback(PSFB, 1, senderSsrc, mediaSsrc, 0);
}

/** Asks for packets again (RFC 4585 §6.2.1). `sequences` are 16-bit numbers in any order, at least one. */
export function encodeNack(senderSsrc: number, mediaSsrc: number, sequences: number[]): Buffer {
  const first = sequences[0];
  if (first === undefined) throw new RangeError('a NACK names at least one packet');
  const distances = [...new Set(sequences.map((s) => signed16(s - first)))].sort((a, b) => a - b);
  const entries: { pid: number; blp: number }[] = [];
  let base = Number.NEGATIVE_INFINITY;
  for (const distance of distances) {
    const bit = distance - base - 1;
    if (bit < 16) entries[entries.length - 1]!.blp |= 1 << bit;
    else {
      entries.push({ pid: (first + distance) & 0xffff, blp: 0 });
      base = distance;
    }
  }
  const out = feedback(RTPFB, 1, senderSsrc, mediaSsrc, entries.length * 4);
  entries.forEach(({ pid, blp }, n) => {
    out.writeUInt16BE(pid, 12 + n * 4);
    out.writeUInt16BE(blp, 14 + n * 4);
  });
  return out;
}

/**
 * Tells a sender how much it may send in all. The wire carries 18 bits of precision, so the value is rounded down.
 * @param ssrcs the streams that it is about, at most 255
 */
export function encodeRemb(senderSsrc: number, bitrateBps: number, ssrcs: number[]): Buffer {
  if (ssrcs.length > 255) throw new RangeError(`a REMB names at most 255 streams, got ${ssrcs.length}`);
  let mantissa = Math.max(0, Math.floor(bitrateBps));
  let exponent = 0;
  while (mantissa > 0x3ffff) {
    mantissa = Math.floor(mantissa / 2);
    exponent++;
  }
  if (exponent > 63) throw new RangeError(`${bitrateBps} bit/s is more than a REMB can say`);
  const out = feedback(PSFB, 15, senderSsrc, 0, 8 + ssrcs.length * 4);
  out.write('REMB', 12, 'latin1');
  out[16] = ssrcs.length;
  out[17] = (exponent << 2) | (mantissa >> 16);
  out.writeUInt16BE(mantissa & 0xffff, 18);
  ssrcs.forEach((ssrc, n) => {
    out.writeUInt32BE(ssrc, 20 + n * 4);
  });
  return out;
}

/**
 * Tells a sender which packets of its transport came and when; `encodeTransportFeedback` says what fits.
 * @param mediaSsrc any stream of the transport
 */
export function encodeTransportWideFeedback(senderSsrc: number, mediaSsrc: number, about: TransportFeedback): Buffer {
  const body = encodeTransportFeedback(about);
  const padding = -body.length & 3;
  const out = feedback(RTPFB, TRANSPORT_CC, senderSsrc, mediaSsrc, body.length + padding);
  body.copy(out, 12);
  if (padding > 0) {
    out[0] = out[0]! | 0x20;
    out[out.length - 1] = padding;
  }
  return out;
}

/** Microseconds since 1900, rounded to whole ones. */
function ntpToUs(ntp: { seconds: number; fraction: number }): SenderUs {
  return ntp.seconds * 1_000_000 + Math.round((ntp.fraction * 1_000_000) / 2 ** 32);
}

function header(payloadType: number, count: number, bodyBytes: number): Buffer {
  if (count > MAX_COUNT) throw new RangeError(`an RTCP packet counts at most ${MAX_COUNT} entries, got ${count}`);
  const out = Buffer.alloc(4 + bodyBytes);
  out[0] = 0x80 | count;
  out[1] = payloadType;
  out.writeUInt16BE(bodyBytes / 4, 2);
  return out;
}

function feedback(
  payloadType: number,
  format: number,
  senderSsrc: number,
  mediaSsrc: number,
  fciBytes: number,
): Buffer {
  const out = header(payloadType, format, 8 + fciBytes);
  out.writeUInt32BE(senderSsrc, 4);
  out.writeUInt32BE(mediaSsrc, 8);
  return out;
}

function writeBlocks(out: Buffer, from: number, blocks: ReportBlock[]): void {
  blocks.forEach((block, n) => {
    const at = from + n * BLOCK_BYTES;
    out.writeUInt32BE(block.ssrc, at);
    out[at + 4] = block.fractionLost;
    out.writeIntBE(block.cumulativeLost, at + 5, 3);
    out.writeUInt32BE(block.extendedHighest >>> 0, at + 8);
    out.writeUInt32BE(block.jitter >>> 0, at + 12);
    out.writeUInt32BE(block.lastSr >>> 0, at + 16);
    out.writeUInt32BE(block.delaySinceLastSr >>> 0, at + 20);
  });
}

function signed16(value: number): number {
  return (value << 16) >> 16;
}

function need(body: Buffer, bytes: number, what: string): void {
  if (body.length < bytes) throw malformed(`a ${what} of ${body.length} bytes where ${bytes} are needed`);
}

function malformed(why: string): Fault {
  return new Fault('rtcp-malformed', `not a valid RTCP packet: ${why}`, { blame: 'channel' });
}
