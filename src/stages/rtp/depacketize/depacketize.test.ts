/**
 * What was packetized is put together again, under any split, and what lost a part is dropped whole.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Packetizer } from '../../../../test/support/packetize/packetizer.ts';
import { writeLeb128 } from '../../../media/obu.ts';
import type { Packet } from '../../../media/packet.ts';
import type { ReceivedSample } from '../../../media/sample.ts';
import type { TrackFormat } from '../../../media/track.ts';
import { parsePacket } from '../parse-packet.ts';
import { createDepacketizer } from './create-depacketizer.ts';
import { H264Assembly } from './h264.ts';

const H264: TrackFormat = { kind: 'video', codec: 'h264', payloadType: 96, clockRate: 90000, fmtp: '' };
const VP8: TrackFormat = { kind: 'video', codec: 'vp8', payloadType: 97, clockRate: 90000, fmtp: '' };
const VP9: TrackFormat = { kind: 'video', codec: 'vp9', payloadType: 98, clockRate: 90000, fmtp: 'profile-id=0' };
const AV1: TrackFormat = { kind: 'video', codec: 'av1', payloadType: 45, clockRate: 90000, fmtp: '' };
const PCMU: TrackFormat = { kind: 'audio', codec: 'pcmu', payloadType: 0, clockRate: 8000, channels: 1, fmtp: '' };
const PCMA: TrackFormat = { kind: 'audio', codec: 'pcma', payloadType: 8, clockRate: 8000, channels: 1, fmtp: '' };
const OPUS: TrackFormat = { kind: 'audio', codec: 'opus', payloadType: 111, clockRate: 48000, channels: 2, fmtp: '' };

const S = 1_000_000;
const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');
const annexB = (...nals: string[]) => Buffer.concat(nals.map((nal) => Buffer.concat([hex('00000001'), hex(nal)])));

function packets(format: TrackFormat, frames: Buffer[], maxPayloadBytes: number): Packet[] {
  const packetizer = new Packetizer({ format, ssrc: 1, maxPayloadBytes });
  return frames.flatMap((frame, n) => packetizer.packetize(frame, n * 3000).map((d) => parsePacket(d, n * 1000)));
}

/** Runs packets through a depacketizer; `lost` names indexes that never arrive. */
function run(format: TrackFormat, list: Packet[], lost: number[] = []): ReceivedSample[] {
  const depacketizer = createDepacketizer(format);
  const out: ReceivedSample[] = [];
  let lostBefore = 0;
  list.forEach((packet, n) => {
    if (lost.includes(n)) lostBefore++;
    else {
      out.push(...depacketizer.push({ packet, rtpTime: packet.timestamp, lostBefore }));
      lostBefore = 0;
    }
  });
  return [...out, ...depacketizer.flush()];
}

/** The body of a NAL unit: no start code inside, no zero at the end, and a slice that begins its picture. */
const nalBody = fc
  .uint8Array({ minLength: 1, maxLength: 400 })
  .map((bytes) => Buffer.concat([Buffer.of(0x88), Buffer.from(bytes.map((b) => b || 1))]));
const nal = (types: number[]) =>
  fc
    .tuple(fc.constantFrom(...types), fc.nat(3), nalBody)
    .map(([type, nri, body]) => Buffer.concat([Buffer.of((nri << 5) | type), body]));
const withCodes = (nals: Buffer[]) => Buffer.concat(nals.flatMap((n) => [hex('00000001'), n]));
const accessUnit = fc
  .tuple(
    fc.array(nal([6, 7, 8]), { minLength: 1, maxLength: 4 }),
    fc.array(nal([1, 5]), { minLength: 1, maxLength: 4 }),
  )
  .map(([before, slices]) => withCodes([...before, ...slices]));

test('H.264 access units are the same after any split', () => {
  fc.assert(
    fc.property(
      fc.array(accessUnit, { minLength: 1, maxLength: 5 }),
      fc.integer({ min: 3, max: 1200 }),
      (units, mtu) => {
        const samples = run(H264, packets(H264, units, mtu));
        // Sets that a key frame came without are put before it.
        for (const [n, unit] of units.entries()) expect(samples[n]?.data.subarray(-unit.length)).toEqual(unit);
        expect(samples.map((s) => s.rtpTime)).toEqual(units.map((_, n) => n * 3000));
        expect(samples.some((s) => s.afterLoss)).toBe(false);
      },
    ),
  );
});

test('VP8 frames are the same after any split', () => {
  const frames = fc.array(
    fc.uint8Array({ minLength: 1, maxLength: 900 }).map((b) => Buffer.from(b)),
    { minLength: 1, maxLength: 5 },
  );
  fc.assert(
    fc.property(frames, fc.integer({ min: 5, max: 1200 }), (list, mtu) => {
      const samples = run(VP8, packets(VP8, list, mtu));
      expect(samples.map((s) => s.data.toString('hex'))).toEqual(list.map((f) => f.toString('hex')));
      expect(samples.map((s) => s.keyFrame)).toEqual(list.map((f) => (f[0]! & 1) === 0));
    }),
  );
});

test('VP9 frames are the same after any split', () => {
  const frame = fc
    .tuple(fc.constantFrom(0x82, 0x86, 0xb1, 0xb3), fc.uint8Array({ maxLength: 900 }))
    .map(([first, rest]) => Buffer.from([first, ...rest]));
  fc.assert(
    fc.property(fc.array(frame, { minLength: 1, maxLength: 5 }), fc.integer({ min: 4, max: 1200 }), (list, mtu) => {
      const samples = run(VP9, packets(VP9, list, mtu));
      expect(samples.map((s) => s.data.toString('hex'))).toEqual(list.map((f) => f.toString('hex')));
      expect(samples.map((s) => s.keyFrame)).toEqual(list.map((f) => f[0] === 0x82 || f[0] === 0xb1));
    }),
  );
});

const obuOf = (type: number, payload: Buffer, layer?: number) =>
  Buffer.concat([
    Buffer.from(layer === undefined ? [(type << 3) | 2] : [(type << 3) | 6, layer << 3]),
    writeLeb128(payload.length),
    payload,
  ]);
const obu = (types: number[]) =>
  fc
    .tuple(fc.constantFrom(...types), fc.uint8Array({ maxLength: 400 }), fc.option(fc.nat(3), { nil: undefined }))
    .map(([type, payload, layer]) => obuOf(type, Buffer.from(payload), layer));
/** Begins with a unit of the lowest layer, as a stream that is joined there must. */
const temporalUnit = fc
  .tuple(fc.constantFrom(1, 5, 6), fc.array(obu([1, 5]), { maxLength: 3 }), obu([3, 6]), fc.array(obu([4, 5, 6, 15])))
  .map(([first, before, picture, after]) => Buffer.concat([obuOf(first, hex('00')), ...before, picture, ...after]));

test('AV1 temporal units are the same after any split', () => {
  fc.assert(
    fc.property(
      fc.array(temporalUnit, { minLength: 1, maxLength: 5 }),
      fc.integer({ min: 8, max: 1200 }),
      (units, mtu) => {
        const list = packets(AV1, units, mtu);
        expect(Math.max(...list.map((p) => p.payload.length))).toBeLessThanOrEqual(mtu);
        const samples = run(AV1, list);
        expect(samples.length).toBe(units.length);
        for (const [n, unit] of units.entries()) expect(samples[n]?.data.subarray(-unit.length)).toEqual(unit);
      },
    ),
  );
});

test.each([PCMU, PCMA])('packets of $codec are the same', (format) => {
  const payload = fc.uint8Array({ minLength: 1, maxLength: 500 }).map((b) => Buffer.from(b));
  fc.assert(
    fc.property(fc.array(payload, { minLength: 1 }), (list) => {
      const samples = run(format, packets(format, list, 1200));
      expect(samples.map((s) => s.data.toString('hex'))).toEqual(list.map((p) => p.toString('hex')));
    }),
  );
});

test('a lost packet of PCMU is told by the next', () => {
  const list = packets(PCMU, [hex('01'), hex('02'), hex('03')], 100);
  expect(run(PCMU, list, [1]).map((s) => s.afterLoss)).toEqual([false, true]);
});

test('Opus packets are the same', () => {
  const packet = fc
    .uint8Array({ minLength: 0, maxLength: 50 })
    .map((b) => Buffer.concat([Buffer.of(0x78), Buffer.from(b)]));
  fc.assert(
    fc.property(fc.array(packet, { minLength: 1 }), (list) => {
      const samples = run(OPUS, packets(OPUS, list, 1200));
      expect(samples.map((s) => s.data.toString('hex'))).toEqual(list.map((p) => p.toString('hex')));
    }),
  );
});

test.each([
  ['h264', H264, annexB('6742c01f0102', '68ce3c80', `6588${'ab'.repeat(60)}`), annexB(`4188${'cd'.repeat(60)}`)],
  ['vp8', VP8, hex(`50${'ab'.repeat(70)}`), hex(`51${'cd'.repeat(70)}`)],
  ['vp9', VP9, hex(`82${'ab'.repeat(70)}`), hex(`86${'cd'.repeat(70)}`)],
  ['av1', AV1, hex(`0a03aabbcc 3246${'10'.repeat(70)}`), hex(`3246${'30'.repeat(70)}`)],
] as const)(
  '%s: losing any one packet drops its frame only, and the next whole one is marked',
  (_, format, key, delta) => {
    const frames = [key, delta, delta, delta];
    const list = packets(format, frames, 20);
    const counts = frames.map((_f, n) => list.filter((p) => p.timestamp === n * 3000).length);
    let index = 0;
    counts.forEach((count, frame) => {
      for (let n = 0; n < count; n++, index++) {
        const samples = run(format, list, [index]);
        const whole = frames.map((_f, k) => k).filter((k) => k !== frame);
        expect(samples.map((s) => s.rtpTime)).toEqual(whole.map((k) => k * 3000));
        expect(samples.map((s) => s.data)).toEqual(whole.map((k) => frames[k]));
        expect(samples.map((s) => s.afterLoss)).toEqual(whole.map((k) => k === frame + 1));
      }
    });
  },
);

test('whole frames lost between two frames are told by the next', () => {
  const list = packets(VP8, [hex('5001'), hex('5102'), hex('5103')], 100);
  expect(run(VP8, list, [1]).map((s) => [s.rtpTime, s.afterLoss])).toEqual([
    [0, false],
    [6000, true],
  ]);
});

test('a frame comes out with the next timestamp, or soon after its marker; never when it may lack its end', () => {
  const depacketizer = createDepacketizer(VP8);
  const [first, second] = packets(VP8, [hex('5001'), hex('5102')], 100);
  const push = (packet: Packet) => depacketizer.push({ packet, rtpTime: packet.timestamp, lostBefore: 0 });
  expect(push({ ...first!, marker: false })).toEqual([]);
  expect(depacketizer.settle(S)).toEqual([]);
  expect(push({ ...second!, marker: false }).map((s) => s.data)).toEqual([hex('5001')]);
  expect(depacketizer.flush()).toEqual([]);
  expect(depacketizer.dropped).toBe(1);
  expect(push({ ...second!, timestamp: 6000 })).toEqual([]);
  expect(depacketizer.settle(second!.arrivalUs + 19_000)).toEqual([]);
  expect(depacketizer.settle(second!.arrivalUs + 20_000).map((s) => s.data)).toEqual([hex('5102')]);
  expect(push({ ...second!, timestamp: 9000 })).toEqual([]);
  expect(depacketizer.flush().map((s) => s.data)).toEqual([hex('5102')]);
});

test.each([
  ['h264', H264, annexB('6742c01f0102', '68ce3c80', `6588${'ab'.repeat(60)}`), annexB(`4188${'cd'.repeat(60)}`)],
  ['vp8', VP8, hex(`50${'ab'.repeat(70)}`), hex(`51${'cd'.repeat(70)}`)],
  ['vp9', VP9, hex(`82${'ab'.repeat(70)}`), hex(`86${'cd'.repeat(70)}`)],
  ['av1', AV1, hex(`0a03aabbcc 3246${'10'.repeat(70)}`), hex(`3246${'30'.repeat(70)}`)],
] as const)(
  '%s: a frame is one timestamp, with a marker on each of its packets or on none',
  (_, format, key, delta) => {
    const frames = [key, delta, delta];
    for (const marker of [true, false]) {
      const samples = run(format, [
        ...packets(format, frames, 20).map((packet) => ({ ...packet, marker })),
        ...packets(format, [delta], 100).map((packet) => ({ ...packet, timestamp: 9000 })),
      ]);
      expect(samples.map((s) => s.data)).toEqual([key, delta, delta, delta]);
      expect(samples.map((s) => s.keyFrame)).toEqual([true, false, false, false]);
    }
  },
);

test('packets of a frame that come after its marker was believed cost the frame, and from then on it is waited for them', () => {
  const list = packets(VP8, [hex(`50${'ab'.repeat(70)}`), hex(`51${'cd'.repeat(70)}`)], 50);
  const depacketizer = createDepacketizer(VP8);
  const out: ReceivedSample[] = [];
  list.forEach((packet, n) => {
    const arrivalUs = n * 30_000;
    out.push(
      ...depacketizer.push({
        packet: { ...packet, marker: true, arrivalUs },
        rtpTime: packet.timestamp,
        lostBefore: 0,
      }),
    );
    out.push(...depacketizer.settle(arrivalUs + 25_000));
  });
  out.push(...depacketizer.settle(S));
  expect(depacketizer.dropped).toBe(1);
  expect(out.map((s) => [s.rtpTime, s.afterLoss])).toEqual([
    [0, false],
    [3000, true],
  ]);
  expect(out[1]!.data.length).toBe(71);
});

test.each([
  ['IDR', annexB('6742c01f', '68ce3c80', '6588aa'), annexB('6588bb'), annexB('6742c01f', '68ce3c80', '6588bb')],
  [
    'delimiter',
    annexB('0910', '6742c01f', '68ce3c80', '6588aa'),
    annexB('0910', '6588bb'),
    annexB('0910', '6742c01f', '68ce3c80', '6588bb'),
  ],
])(
  'H.264: parameter sets that are sent once go before each key frame, also after a loss (%s)',
  (_, first, key, whole) => {
    const list = packets(H264, [first, annexB('4188aa'), key, annexB('4188bb'), key], 100);
    expect(run(H264, list).map((s) => s.data)).toEqual([first, annexB('4188aa'), whole, annexB('4188bb'), whole]);
    // A later key frame begins with its picture, so one whose packet before is lost is no less whole.
    const lost = list.findIndex((packet) => packet.timestamp === 9000);
    expect(run(H264, list, [lost]).map((s) => [s.rtpTime, s.keyFrame])).toContainEqual([12_000, true]);
  },
);

test('H.264: a set that changes is the one that goes before key frames, and each number has its own', () => {
  const list = packets(
    H264,
    [
      annexB('6742c01f', '68ce3c80', '6588aa'),
      annexB('68ce3c81', '4188aa'),
      annexB('685e3c80', '4188aa'),
      annexB('6588bb'),
    ],
    100,
  );
  expect(run(H264, list).at(-1)!.data).toEqual(annexB('6742c01f', '68ce3c81', '685e3c80', '6588bb'));
});

test('AV1: a sequence header that is sent once goes before each key frame', () => {
  const [key, delta, alone] = [hex('0a03aabbcc 320210dd'), hex('320230dd'), hex('320210ee')];
  const samples = run(AV1, packets(AV1, [key, delta, alone], 100));
  expect(samples.map((s) => [s.data, s.keyFrame])).toEqual([
    [key, true],
    [delta, false],
    [hex('0a03aabbcc 320210ee'), true],
  ]);
});

test.each([
  ['h264', H264, annexB('6742c01f', '68ce3c80', '6588aa'), annexB('6588bb'), annexB('6742c01f', '68ce3c80', '6588bb')],
  ['av1', AV1, hex('0a03aabbcc 320210dd'), hex('320210ee'), hex('0a03aabbcc 320210ee')],
] as const)('%s: who goes on for another knows what it knew', (_, format, first, key, whole) => {
  const before = createDepacketizer(format);
  for (const packet of packets(format, [first], 100)) before.push({ packet, rtpTime: 0, lostBefore: 0 });
  before.flush();
  const after = createDepacketizer(format, before.decoderSets());
  for (const packet of packets(format, [key], 100)) after.push({ packet, rtpTime: 3000, lostBefore: 0 });
  expect(after.flush().map((s) => [s.data, s.keyFrame])).toEqual([[whole, true]]);
});

test('padding-only packets are no part of a frame', () => {
  const list = packets(VP8, [hex('5001'), hex('5102')], 100);
  const padding = { ...list[0]!, payload: Buffer.alloc(0), marker: false };
  expect(run(VP8, [list[0]!, padding, list[1]!]).map((s) => s.afterLoss)).toEqual([false, false]);
});

test.each([
  ['a stream joined in the middle of a frame', ['7c05aa', '7c45bb']],
  ['an FU-A begun but not ended', ['7c8588aa', '419a']],
  ['an FU-A begun twice', ['7c8588aa', '7c8588aa']],
  ['an FU-A of nothing', ['7c85']],
  ['a STAP-A cut short', ['78000a6588']],
  ['a STAP-A of nothing', ['78']],
  ['an FU-B, which was not agreed on', ['7d850000aa']],
])('H.264: %s is dropped and counted', (_, payloads) => {
  const depacketizer = createDepacketizer(H264);
  const packet = packets(H264, [annexB('6588')], 100)[0]!;
  const out = payloads.flatMap((payload, n) =>
    depacketizer.push({
      packet: { ...packet, payload: hex(payload), marker: n === payloads.length - 1 },
      rtpTime: 0,
      lostBefore: 0,
    }),
  );
  expect([...out, ...depacketizer.settle(S)]).toEqual([]);
  expect(depacketizer.dropped).toBe(1);
});

test('any payloads at all give samples or nothing, never an error', () => {
  const payload = fc.uint8Array({ maxLength: 30 }).map((b) => Buffer.from(b));
  const format = fc.constantFrom(H264, VP8, VP9, AV1, OPUS, PCMU);
  const packet = packets(VP8, [hex('50')], 100)[0]!;
  fc.assert(
    fc.property(format, fc.array(fc.tuple(payload, fc.boolean(), fc.nat(2), fc.nat(3))), (f, list) => {
      const depacketizer = createDepacketizer(f);
      let rtpTime = 0;
      for (const [bytes, marker, lostBefore, step] of list) {
        rtpTime += step;
        for (const sample of depacketizer.push({ packet: { ...packet, payload: bytes, marker }, rtpTime, lostBefore }))
          expect(sample.data.length).toBeGreaterThan(0);
      }
      depacketizer.flush();
    }),
    { numRuns: 1000 },
  );
});

test('parameter sets of the SDP go before key frames when none come in band (RFC 6184 §8.1)', () => {
  const sets = [hex('6742c01f'), hex('68ce3c80')];
  const fmtp = `packetization-mode=1;sprop-parameter-sets=${sets.map((s) => s.toString('base64')).join(',')};profile-level-id=42c01f`;
  const idr = annexB('6588aa');
  const [sample, delta] = run({ ...H264, fmtp }, packets(H264, [idr, annexB('4188bb')], 100));
  expect(sample!.data).toEqual(Buffer.concat([annexB('6742c01f', '68ce3c80'), idr]));
  expect(delta!.data).toEqual(annexB('4188bb'));
  const own = annexB('6742c020', '68ce3c81', '6588aa');
  expect(run({ ...H264, fmtp }, packets(H264, [own, idr], 100)).map((s) => s.data)).toEqual([
    own,
    annexB('6742c020', '68ce3c81', '6588aa'),
  ]);
});

test('parameter sets sent as a frame of their own go with the next picture', () => {
  const samples = run(H264, packets(H264, [annexB('6742c01f', '68ce3c80'), annexB('6588aa')], 100));
  expect(samples.map((s) => [s.rtpTime, s.data, s.keyFrame])).toEqual([
    [3000, annexB('6742c01f', '68ce3c80', '6588aa'), true],
  ]);
});

test.each([
  ['IDR', annexB('6742c01f', '68ce3c80', '6588aa'), true],
  ['IDR without any parameter sets', annexB('0910', '6588aa'), false],
  ['P', annexB('419aaa'), false],
  ['SPS and I slice (slice_type 7)', annexB('6742c01f', '4188aa'), true],
  ['SPS and P slice (slice_type 5)', annexB('6742c01f', '419aaa'), false],
  ['I slice without SPS', annexB('4188aa'), false],
])('H.264 key frame or not: %s', (_, unit, keyFrame) => {
  expect(run(H264, packets(H264, [unit], 100)).map((s) => s.keyFrame)).toEqual([keyFrame]);
});

test('a malformed Opus packet is dropped, counted, and told by the next', () => {
  const list = packets(OPUS, [hex('fc01'), hex('fb00'), hex('fc02')], 100);
  expect(run(OPUS, list).map((s) => [s.data, s.afterLoss])).toEqual([
    [hex('fc01'), false],
    [hex('fc02'), true],
  ]);
});

test('an empty payload behind others of its frame takes nothing from it', () => {
  const frames = { h264: hex('0000000141 88 0102'), vp8: hex('01020304'), vp9: hex('86020304') };
  const empty = { h264: '0b', vp8: '00', vp9: '04' } as const;
  for (const format of [H264, VP8, VP9]) {
    const codec = format.codec as keyof typeof frames;
    const [first, next] = packets(format, [frames[codec], frames[codec]], 100) as [Packet, Packet];
    const behind = { ...first, payload: hex(empty[codec]) };
    const got = run(format, [first, behind, next]);
    expect([codec, got.length, got.some(({ afterLoss }) => afterLoss)]).toEqual([codec, 2, false]);
    expect(got[0]!.data.subarray(0, frames[codec].length)).toEqual(frames[codec]);
  }
});

test('H.264: a slice without a body is a damaged picture, a set without one is none', () => {
  const idr = hex('6588 0304');
  const list = packets(H264, [annexB('6742 c01e 01', '68ce 3c80', idr.toString('hex')), annexB('4188 01')], 100);
  const [sets, idrPacket, last] = [list.slice(0, -2), list.at(-2)!, list.at(-1)!];
  const cut = { ...idrPacket, timestamp: 1500, payload: hex('41') };
  const got = run(H264, [...sets, idrPacket, cut, last]);
  expect(got.map(({ keyFrame, afterLoss }) => [keyFrame, afterLoss])).toEqual([
    [true, false],
    [false, true],
  ]);
  const emptySet = { ...idrPacket, timestamp: idrPacket.timestamp, payload: hex('67') };
  const [whole] = run(H264, [...sets, emptySet, idrPacket, last]);
  expect(whole!.data).toEqual(annexB('6742c01e01', '68ce3c80', '65880304'));
});

test('what a decoder needs for long keeps nothing in memory of what came with it', () => {
  const read = Buffer.alloc(256 * 1024);
  let at = 0;
  const asRead = (payload: Buffer) => {
    at += payload.copy(read, at);
    return read.subarray(at - payload.length, at);
  };
  const nals = [hex('6742c01f0102'), hex('68ce3c80'), hex(`6588${'ab'.repeat(60)}`)];
  const assembly = new H264Assembly('');
  for (const nal of nals) expect(assembly.add(asRead(nal))).toBe(true);
  expect(assembly.finish()).toMatchObject({ keyFrame: true });
  const sets = assembly.decoderSets();
  read.fill(0);
  expect(sets).toEqual(nals.slice(0, 2));
  for (const set of sets) expect(set.buffer.byteLength).toBe(set.length);
});

test('H.264: a picture may be in as many fragments as it has bytes', () => {
  const body = Buffer.alloc(200_000, 0xab);
  const assembly = new H264Assembly('');
  for (const set of ['6742c01e01', '68ce3c80']) assembly.add(hex(set));
  const taken = body.reduce((count, byte, n) => {
    const at = n === 0 ? 0x80 : n === body.length - 1 ? 0x40 : 0;
    return count + Number(assembly.add(Buffer.of(0x7c, at | 5, byte)));
  }, 0);
  expect(taken).toBe(body.length);
  const { data } = assembly.finish() as { data: Buffer };
  expect(data.equals(Buffer.concat([annexB('6742c01e01', '68ce3c80', '65'), body]))).toBe(true);
});
