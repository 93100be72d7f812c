/**
 * RTCP is read back as it was written, byte layouts match the RFCs, and no bytes crash the reader.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { encodeBye, encodeSenderReport } from '../../../test/support/rtcp.ts';
import { Fault } from '../../kernel/fault.ts';
import {
  encodeNack,
  encodePictureLossIndication,
  encodeReceiverReport,
  encodeRemb,
  encodeSourceDescription,
  parseCompound,
} from './rtcp.ts';

const u32 = fc.nat(0xffffffff);
const block = fc.record({
  ssrc: u32,
  fractionLost: fc.nat(255),
  cumulativeLost: fc.integer({ min: -0x800000, max: 0x7fffff }),
  extendedHighest: u32,
  jitter: u32,
  lastSr: u32,
  delaySinceLastSr: u32,
});
const blocks = fc.array(block, { maxLength: 31 });

test('receiver and sender reports, descriptions and goodbyes are read back from one compound', () => {
  const ntpUs = fc.integer({ min: 1, max: 4_294_967_295_000_000 });
  fc.assert(
    fc.property(
      u32,
      blocks,
      ntpUs,
      u32,
      fc.string({ maxLength: 60 }),
      fc.array(u32, { maxLength: 31 }),
      (ssrc, list, ntp, rtp, cname, left) => {
        const compound = Buffer.concat([
          encodeSenderReport({ ssrc, ntpUs: ntp, rtpTimestamp: rtp, packetCount: 7, octetCount: 8, blocks: list }),
          encodeReceiverReport({ senderSsrc: ssrc, blocks: list }),
          encodeSourceDescription(ssrc, cname),
          encodeBye(left),
        ]);
        const [sr, rr, sdes, bye, ...rest] = parseCompound(compound);
        expect(sr).toMatchObject({
          type: 'senderReport',
          ssrc,
          rtpTimestamp: rtp,
          packetCount: 7,
          octetCount: 8,
          blocks: list,
        });
        expect(Math.abs((sr as { ntpUs: number }).ntpUs - ntp)).toBeLessThanOrEqual(1);
        expect(rr).toEqual({ type: 'receiverReport', ssrc, blocks: list });
        expect(sdes).toEqual({ type: 'sourceDescription', chunks: [{ ssrc, cname }] });
        expect(bye).toEqual({ type: 'bye', ssrcs: left, reason: undefined });
        expect(rest).toEqual([]);
      },
    ),
  );
});

test('a NACK asks for exactly the packets it was given, over the wrap too (RFC 4585 §6.2.1)', () => {
  const near = fc.tuple(fc.nat(0xffff), fc.array(fc.nat(400), { minLength: 1, maxLength: 60 }));
  fc.assert(
    fc.property(near, ([base, steps]) => {
      const wanted = steps.map((s) => (base + s) & 0xffff);
      const [nack, ...rest] = parseCompound(encodeNack(1, 2, wanted));
      expect(rest).toEqual([]);
      expect(nack).toMatchObject({ type: 'nack', senderSsrc: 1, mediaSsrc: 2 });
      const { sequences } = nack as { sequences: number[] };
      expect(new Set(sequences)).toEqual(new Set(wanted));
      expect(sequences.length).toBe(new Set(wanted).size);
    }),
  );
});

test('a NACK packs 17 packets into one entry', () => {
  const wanted = Array.from({ length: 17 }, (_, n) => (65530 + n) & 0xffff);
  expect(encodeNack(1, 2, wanted).toString('hex')).toBe('81cd00030000000100000002fffaffff');
});

test('a PLI is twelve bytes (RFC 4585 §6.3.1)', () => {
  const pli = encodePictureLossIndication(0x01020304, 0x0a0b0c0d);
  expect(pli.toString('hex')).toBe('81ce0002010203040a0b0c0d');
  expect(parseCompound(pli)).toEqual([
    { type: 'pictureLossIndication', senderSsrc: 0x01020304, mediaSsrc: 0x0a0b0c0d },
  ]);
});

test('REMB keeps 18 bits of the bitrate, never more than was said', () => {
  fc.assert(
    fc.property(fc.integer({ min: 0, max: 10 ** 12 }), fc.array(u32, { maxLength: 255 }), (bitrateBps, ssrcs) => {
      const [remb] = parseCompound(encodeRemb(9, bitrateBps, ssrcs));
      expect(remb).toMatchObject({ type: 'remb', senderSsrc: 9, ssrcs });
      const said = (remb as { bitrateBps: number }).bitrateBps;
      expect(said).toBeLessThanOrEqual(bitrateBps);
      expect(said).toBeGreaterThanOrEqual(bitrateBps * (1 - 2 ** -17));
    }),
  );
});

test('a FIR is read (RFC 5104 §4.3.1), what is unknown is kept', () => {
  const fir = Buffer.from('84ce0004000000010000000000000002 05000000'.replace(' ', ''), 'hex');
  expect(parseCompound(fir)).toEqual([
    { type: 'fullIntraRequest', senderSsrc: 1, entries: [{ ssrc: 2, sequence: 5 }] },
  ]);
  expect(parseCompound(Buffer.from('83cf000111223344', 'hex'))).toEqual([
    { type: 'unknown', payloadType: 207, count: 3, body: Buffer.from('11223344', 'hex') },
  ]);
});

test('padding at the end is taken off', () => {
  const padded = Buffer.from('a1cb0002000000010000 0004'.replace(' ', ''), 'hex');
  expect(parseCompound(padded)).toEqual([{ type: 'bye', ssrcs: [1], reason: undefined }]);
});

test('random and damaged bytes give packets or a Fault, never another error', () => {
  const damaged = fc.tuple(blocks, fc.nat(60), fc.nat(255)).map(([list, at, value]) => {
    const out = Buffer.concat([
      encodeReceiverReport({ senderSsrc: 1, blocks: list }),
      encodeSourceDescription(1, 'name'),
    ]);
    out[at % out.length] = value;
    return out;
  });
  const anything = fc.tuple(
    fc.integer({ min: 200, max: 207 }),
    fc.nat(31),
    fc.nat(12),
    fc.uint8Array({ maxLength: 48 }),
  );
  const shaped = anything.map(([type, count, words, body]) =>
    Buffer.concat([Buffer.of(0x80 | count, type, 0, words), Buffer.from(body)]),
  );
  fc.assert(
    fc.property(
      fc.oneof(
        damaged,
        shaped,
        fc.uint8Array().map((b) => Buffer.from(b)),
      ),
      (datagram) => {
        try {
          parseCompound(datagram);
        } catch (error) {
          expect(error).toBeInstanceOf(Fault);
          expect((error as Fault).code).toBe('rtcp-malformed');
        }
      },
    ),
    { numRuns: 3000 },
  );
});
