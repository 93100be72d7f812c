/**
 * Packets of every shape RFC 3550 §5.1 and RFC 8285 allow are read back as written; anything else is a Fault.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Fault } from '../../kernel/fault.ts';
import { encodePacket } from './encode-packet.ts';
import { isRtcp, parsePacket } from './parse-packet.ts';

const bytes = (max: number) => fc.uint8Array({ maxLength: max }).map((b) => Buffer.from(b));

const fields = fc.record({
  payloadType: fc.nat(127),
  sequence: fc.nat(0xffff),
  timestamp: fc.nat(0xffffffff),
  ssrc: fc.nat(0xffffffff),
  marker: fc.boolean(),
  payload: bytes(100),
  csrcs: fc.array(fc.nat(0xffffffff), { maxLength: 15 }),
  paddingBytes: fc.nat(255),
});

test('any packet is read back as it was written', () => {
  const extensions = fc.oneof(
    fc.array(fc.tuple(fc.integer({ min: 1, max: 14 }), fc.uint8Array({ minLength: 1, maxLength: 16 })), {
      minLength: 1,
    }),
    fc.array(fc.tuple(fc.integer({ min: 1, max: 255 }), fc.uint8Array({ maxLength: 40 })), { minLength: 1 }),
    fc.constant(undefined),
  );
  fc.assert(
    fc.property(fields, extensions, (written, list) => {
      const map = list && new Map(list.map(([id, value]) => [id, Buffer.from(value)]));
      const read = parsePacket(encodePacket(map ? { ...written, extensions: map } : written), 77);
      const { csrcs: _, paddingBytes: __, ...plain } = written;
      const { extensions: found, ...rest } = read;
      expect(rest).toEqual({ ...plain, arrivalUs: 77 });
      for (let id = 0; id < 256; id++) expect(found?.get(id)).toEqual(map?.get(id));
      expect(found === undefined).toBe(map === undefined);
    }),
  );
});

test('random bytes give a packet or a Fault, never another error', () => {
  const almost = fc.tuple(fields, fc.nat(40), fc.nat(255)).map(([f, at, value]) => {
    const datagram = encodePacket({ ...f, extensions: new Map([[3, Buffer.from('abc')]]) });
    datagram[Math.min(at, datagram.length - 1)] = value;
    return datagram;
  });
  fc.assert(
    fc.property(fc.oneof(bytes(80), almost), (datagram) => {
      try {
        parsePacket(datagram, 0);
      } catch (error) {
        expect(error).toBeInstanceOf(Fault);
        expect((error as Fault).code).toBe('rtp-malformed');
        expect((error as Fault).blame).toBe('channel');
      }
    }),
    { numRuns: 2000 },
  );
});

test.each([
  ['too short', '80600001000000000000', /10 bytes/],
  ['version 1', '406000010000000000000001', /version 1/],
  ['CSRCs past the end', '826000010000000000000001', /contributing/],
  ['an extension past the end', '906000010000000000000001bede0002', /header extension/],
  ['an element past its extension', '906000010000000000000001bede00011f000000', /header extension 1 runs/],
  ['padding of 0', 'a0600001000000000000000100', /padding/],
  ['padding longer than the payload', 'a0600001000000000000000102', /padding/],
])('%s is refused with the reason', (_, hex, why) => {
  expect(() => parsePacket(Buffer.from(hex, 'hex'), 0)).toThrow(why);
});

test('one-byte extensions: padding is skipped, id 15 ends the list (RFC 8285 §4.2)', () => {
  const packet = parsePacket(Buffer.from('906000010000000000000001bede000200105501f0990000aa', 'hex'), 0);
  const found = [0, 1, 9, 15].map((id) => packet.extensions!.get(id)?.toString('hex'));
  expect(found).toEqual([undefined, '55', undefined, undefined]);
  expect(packet.payload).toEqual(Buffer.from('aa', 'hex'));
});

test('extensions of an unknown profile are skipped, the payload behind them is read', () => {
  const packet = parsePacket(Buffer.from('906000010000000000000001123400017fffffffaa', 'hex'), 0);
  expect(packet.extensions).toBeUndefined();
  expect(packet.payload).toEqual(Buffer.from('aa', 'hex'));
});

test.each([
  [0x80, 191, false],
  [0x80, 192, true],
  [0x81, 200, true],
  [0x80, 223, true],
  [0x80, 224, false],
  [0x80, 96, false],
  [0x00, 200, false],
])('isRtcp of %i %i is %s (RFC 5761 §4)', (first, second, expected) => {
  expect(isRtcp(Buffer.of(first, second, 0, 0))).toBe(expected);
});
