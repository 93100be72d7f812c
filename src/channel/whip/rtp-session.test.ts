import { describe, expect, test } from 'vitest';
import { memoryForTests } from '../../../test/support/channel-memory.ts';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { capturedOffer } from '../../../test/support/offers/read-offer.ts';
import { encodeBye, encodeSenderReport } from '../../../test/support/rtcp.ts';
import { encodePacket } from '../../stages/rtp/encode-packet.ts';
import { parseCompound, type RtcpPacket } from '../../stages/rtp/rtcp.ts';
import type { Encoding, EncodingReader } from '../room/encoding.ts';
import { START_BITRATE_BPS } from './bandwidth.ts';
import { readOffer } from './offer.ts';
import { RtpSession } from './rtp-session.ts';

const AUDIO_SSRC = 524960147;
const VIDEO_SSRC = 715482575;

function rtp(
  payloadType: number,
  ssrc: number,
  sequence: number,
  payload: Buffer,
  timestamp = sequence * 3000,
): Buffer {
  const head = Buffer.alloc(12);
  head[0] = 0x80;
  head[1] = payloadType;
  head.writeUInt16BE(sequence & 0xffff, 2);
  head.writeUInt32BE(timestamp >>> 0, 4);
  head.writeUInt32BE(ssrc, 8);
  return Buffer.concat([head, payload]);
}
/** VP8: descriptor with S set, then a frame header whose lowest bit is 0 for a key frame. */
const vp8 = (sequence: number, key: boolean) =>
  rtp(96, VIDEO_SSRC, sequence, Buffer.from([0x10, key ? 0x00 : 0x01, 1, 2]));
const opus = (sequence: number) => rtp(111, AUDIO_SSRC, sequence, Buffer.from([0xfc, 1]), sequence * 960);

/** The packet with its transport-wide number, in the extension that Chromium's offer gives it. */
function numbered(datagram: Buffer, number: number): Buffer {
  const extension = Buffer.from('bede000131000000', 'hex');
  extension.writeUInt16BE(number & 0xffff, 5);
  const out = Buffer.concat([datagram.subarray(0, 12), extension, datagram.subarray(12)]);
  out[0] = out[0]! | 0x10;
  return out;
}

function setUp(change?: (sdp: string) => string, captured: 'chromium' | 'chromium-simulcast' = 'chromium') {
  const clock = new ManualClock();
  clock.advance(1000);
  const sent: { ms: number; packets: RtcpPacket[] }[] = [];
  const heard: { kind: 'rtp' | 'rtcp'; encoding: Encoding; arrivalUs: number }[] = [];
  const seen: Buffer[] = [];
  const session = new RtpSession({
    clock,
    sections: readOffer(capturedOffer(captured, change)).sections,
    memory: memoryForTests(),
    send: (datagram) => sent.push({ ms: clock.nowMs() - startMs, packets: parseCompound(datagram) }),
  });
  const reader: EncodingReader = {
    onPacket: (encoding, index) => {
      seen.push(Buffer.from(encoding.log.datagram(index)));
      heard.push({ kind: 'rtp', encoding, arrivalUs: encoding.log.arrivalUs(index) });
    },
    onRtcp: (encoding) => {
      heard.push({ kind: 'rtcp', encoding, arrivalUs: encoding.log.arrivalUs(encoding.log.end - 1) });
    },
    needs: () => Number.POSITIVE_INFINITY,
  };
  for (const { encodings } of session.publications) for (const encoding of encodings) encoding.readers.add(reader);
  const startMs = clock.nowMs();
  const run = (ms: number, each: () => void = () => {}) => {
    for (let at = 0; at < ms; at += 20) {
      clock.advance(20);
      each();
      session.tick();
    }
  };
  const of = <T extends RtcpPacket['type']>(type: T) =>
    sent.flatMap(({ ms, packets }) =>
      packets.flatMap((p) => (p.type === type ? [{ ms, ...(p as Extract<RtcpPacket, { type: T }>) }] : [])),
    );
  return { clock, session, sent, heard, seen, run, of };
}

describe('what a publisher is told', () => {
  test('reports about once a second, REMB twice, each datagram beginning with a report', () => {
    const { session, run, of, sent } = setUp();
    let n = 0;
    run(10_000, () => {
      session.onDatagram(vp8(n, n === 0));
      session.onDatagram(opus(n++));
    });
    const withBlocks = of('receiverReport').filter((report) => report.blocks.length > 0);
    expect(withBlocks.length).toBeGreaterThanOrEqual(9);
    expect(withBlocks.length).toBeLessThanOrEqual(11);
    expect(
      withBlocks
        .at(-1)!
        .blocks.map((b) => b.ssrc)
        .sort(),
    ).toEqual([AUDIO_SSRC, VIDEO_SSRC].sort());
    const remb = of('remb');
    expect(remb.length).toBeGreaterThanOrEqual(19);
    expect(remb.length).toBeLessThanOrEqual(21);
    expect(remb[0]!.bitrateBps).toBeGreaterThan(START_BITRATE_BPS * 0.99);
    expect(remb[0]!.ssrcs).toEqual([AUDIO_SSRC, VIDEO_SSRC]);
    for (const { packets } of sent) {
      expect(packets[0]!.type).toBe('receiverReport');
      expect(packets).toContainEqual({ type: 'sourceDescription', chunks: [{ ssrc: 1, cname: 'aircheck' }] });
    }
  });

  test('heavy loss lowers the bitrate and stands in the report', () => {
    const { session, run, of } = setUp();
    let n = 0;
    run(5000, () => {
      if (n % 2 === 0 || n < 2) session.onDatagram(vp8(n, n === 0));
      n++;
    });
    expect(of('remb').at(-1)!.bitrateBps).toBeLessThan(START_BITRATE_BPS * 0.5);
    const block = of('receiverReport').findLast((r) => r.blocks.length > 0)!.blocks[0]!;
    expect(block.fractionLost).toBeGreaterThan(100);
    expect(session.publications[1]!.report(0).lost).toBeGreaterThan(100);
  });

  test('the report says how unevenly packets came, in ticks of their clock, and answers the last sender report', () => {
    const { clock, session, run, of } = setUp();
    // The report's middle 32 bits of NTP time are the lower half of the seconds and the upper of the fraction.
    const report = { ntpUs: 0xabcd1234 * 1e6 + 500_000, rtpTimestamp: 1, packetCount: 1, octetCount: 1 };
    const sent = (n: number) => rtp(96, VIDEO_SSRC, n, Buffer.from([0x10, n === 0 ? 0 : 1, 2]), n * 3600);
    for (let n = 0; n < 200; n++) {
      // 40 ms apart when sent; 32 and 48 ms apart when they come, which is a spread of 8 ms.
      clock.advance(n % 2 === 0 ? 32 : 48);
      session.onDatagram(sent(n));
      if (n === 150) session.onDatagram(encodeSenderReport({ ssrc: VIDEO_SSRC, ...report }));
    }
    clock.advance(500);
    const heardUs = clock.monoUs() - 500_000 - 49 * 40_000;
    run(20);
    const [block] = of('receiverReport').findLast((r) => r.blocks.length > 0)!.blocks;
    expect(block).toMatchObject({ ssrc: VIDEO_SSRC, fractionLost: 0, cumulativeLost: 0, lastSr: 0x12348000 });
    expect(block!.jitter / 90).toBeGreaterThan(7.9);
    expect(block!.jitter / 90).toBeLessThanOrEqual(8);
    const delayUs = (block!.delaySinceLastSr * 1_000_000) / 65536;
    expect(Math.abs(clock.monoUs() - heardUs - delayUs)).toBeLessThan(20_000);
  });

  test('a way whose queue grows lowers the bitrate', () => {
    const { clock, session, run, of } = setUp();
    const sent = (n: number) => rtp(96, VIDEO_SSRC, n, Buffer.from([0x10, n === 0 ? 0 : 1, 2]), n * 1800);
    let n = 0;
    run(5000, () => session.onDatagram(sent(n++)));
    expect(of('remb').at(-1)!.bitrateBps).toBeGreaterThan(START_BITRATE_BPS);
    // Every packet waits a tenth longer than the one before it.
    for (let at = 0; at < 200; at++) {
      clock.advance(22);
      session.onDatagram(sent(n++));
      session.tick();
    }
    expect(of('remb').at(-1)!.bitrateBps).toBeLessThan(START_BITRATE_BPS / 10);
  });

  test('a lost packet is asked for again until it comes', () => {
    const { session, run, of } = setUp();
    session.onDatagram(vp8(1, true));
    for (const n of [2, 4, 5, 6]) session.onDatagram(vp8(n, false));
    run(40);
    expect(of('nack')[0]).toMatchObject({ mediaSsrc: VIDEO_SSRC, sequences: [3] });
    run(300);
    const asked = of('nack').length;
    expect(asked).toBeGreaterThan(1);
    session.onDatagram(vp8(3, false));
    run(1000);
    expect(of('nack')).toHaveLength(asked);
  });

  test('a key frame is asked for when the first picture is none, and no more once it came', () => {
    const { session, run, of } = setUp();
    session.onDatagram(vp8(1, false));
    expect(of('pictureLossIndication')).toMatchObject([{ ms: 0, mediaSsrc: VIDEO_SSRC }]);
    run(700);
    expect(of('pictureLossIndication').length).toBeGreaterThan(1);
    const asked = of('pictureLossIndication').length;
    session.onDatagram(vp8(2, true));
    run(3000);
    expect(of('pictureLossIndication')).toHaveLength(asked);
    expect(session.publications[1]!.encodings[0]!.hasKeyFrame).toBe(true);
  });

  test('a key frame can be asked for before any packet came, by the SSRC of the offer', () => {
    const { session, of } = setUp();
    for (const { encodings } of session.publications) for (const encoding of encodings) encoding.wantKeyFrame();
    expect(of('pictureLossIndication')).toMatchObject([{ mediaSsrc: VIDEO_SSRC }]);
  });
});

describe('a session that offered transport-wide feedback and no REMB', () => {
  const offered = (sdp: string) => sdp.replaceAll(/^a=rtcp-fb:\d+ goog-remb\n/gm, '');

  test('is told of all its packets on one count, about every 60 ms, and gets no REMB', () => {
    const { session, run, of, sent } = setUp(offered);
    let n = 0;
    run(2000, () => {
      session.onDatagram(numbered(vp8(n, n === 0), 65_500 + 2 * n));
      session.onDatagram(numbered(opus(n), 65_500 + 2 * n + 1));
      n++;
    });
    const told = of('transportFeedback');
    expect(told.length).toBeGreaterThanOrEqual(30);
    expect(told.length).toBeLessThanOrEqual(35);
    expect(told[0]).toMatchObject({ mediaSsrc: VIDEO_SSRC, baseSequence: 65_500, statusCount: 2 });
    const arrivals = told.flatMap((t) => t.arrivals);
    expect(arrivals.map((a) => a.sequence)).toEqual(
      Array.from({ length: arrivals.length }, (_, i) => (65_500 + i) & 0xffff),
    );
    expect(arrivals.length).toBeGreaterThan(190);
    for (const [i, { arrivalUs }] of arrivals.entries()) expect(arrivalUs).toBe(1_020_000 + (i >> 1) * 20_000);
    expect(of('remb')).toEqual([]);
    expect(of('receiverReport').filter((report) => report.blocks.length > 0)).toHaveLength(2);
    for (const { packets } of sent) {
      expect(packets[0]!.type).toBe('receiverReport');
      expect(packets).toContainEqual({ type: 'sourceDescription', chunks: [{ ssrc: 1, cname: 'aircheck' }] });
    }
  });

  test('is told of padding, of repeated packets and of ones we have no use for, once each', () => {
    const { session, run, of, seen } = setUp(offered);
    session.onDatagram(numbered(vp8(1, true), 1));
    const lost = vp8(2, false);
    const number = Buffer.from([0, 2]);
    session.onDatagram(numbered(rtp(97, 1506952842, 500, Buffer.concat([number, lost.subarray(12)]), 2 * 3000), 2));
    session.onDatagram(numbered(rtp(99, 5, 1, Buffer.from([1])), 4));
    run(20);
    expect(of('transportFeedback')).toMatchObject([
      { baseSequence: 1, statusCount: 4, arrivals: [{ sequence: 1 }, { sequence: 2 }, { sequence: 4 }] },
    ]);
    expect(seen).toHaveLength(2);
    expect(session.strays).toBe(1);
  });

  test('with REMB as well gets REMB alone', () => {
    const { session, run, of } = setUp();
    session.onDatagram(numbered(vp8(1, true), 7));
    run(1000);
    expect(of('transportFeedback')).toEqual([]);
    expect(of('remb').length).toBeGreaterThan(0);
  });

  test('but numbers no packets is told nothing of them', () => {
    const { session, run, of } = setUp(offered);
    session.onDatagram(vp8(1, true));
    run(1000);
    expect(of('transportFeedback')).toEqual([]);
  });
});

describe('what comes in', () => {
  test('is sorted by payload type, with its time, and strays are counted', () => {
    const { clock, session, heard } = setUp();
    session.onDatagram(opus(1));
    clock.advance(5);
    session.onDatagram(vp8(1, true));
    session.onDatagram(rtp(99, 5, 1, Buffer.from([1])));
    session.onDatagram(Buffer.from('nonsense'));
    session.onDatagram(Buffer.alloc(0));
    session.onDatagram(Buffer.from([0x80, 200, 0, 99]));
    expect(heard.map((h) => [h.encoding.format.kind, h.arrivalUs])).toEqual([
      ['audio', 1_000_000],
      ['video', 1_005_000],
    ]);
    expect(session.strays).toBe(4);
  });

  test('sender reports go to their track, also before its first packet', () => {
    const { session, heard } = setUp();
    const report = { ntpUs: 4e15, rtpTimestamp: 1, packetCount: 1, octetCount: 1 };
    session.onDatagram(encodeSenderReport({ ssrc: VIDEO_SSRC, ...report }));
    session.onDatagram(encodeSenderReport({ ssrc: 99, ...report }));
    expect(heard.map((h) => [h.kind, h.encoding.format.kind])).toEqual([['rtcp', 'video']]);
    expect(session.publications[1]!.encodings[0]!.log.reportBefore(2_000_000)?.arrivalUs).toBe(1_000_000);
  });

  test('a sender that takes a new SSRC is a new source: what is kept and totals go on', () => {
    const { session } = setUp();
    session.onDatagram(vp8(1, true));
    for (const n of [9000, 9001]) session.onDatagram(rtp(96, 77, n, Buffer.from([0x10, n & 1, 1])));
    const track = session.publications[1]!.encodings[0]!;
    expect(track.ssrc).toBe(77);
    expect([track.log.startOf(1_000_000), track.log.end]).toEqual([1, 3]);
    expect(track.report(1_000_000)).toMatchObject({ packets: 3, lost: 0 });
  });

  test('one packet of a source that nobody named changes nothing, two of it are a sender that started over', () => {
    const { session, run, heard, of } = setUp();
    session.onDatagram(vp8(1, true));
    const [encoding] = session.publications[1]!.encodings;
    for (const stray of [77, 78, 77]) {
      session.onDatagram(rtp(96, stray, stray * 50, Buffer.from([0x10, 0x01, 1])));
      session.onDatagram(vp8(heard.length + 1, false));
    }
    run(1000);
    expect([encoding!.ssrc, encoding!.hasKeyFrame]).toEqual([VIDEO_SSRC, true]);
    expect(heard).toHaveLength(4);
    session.onDatagram(rtp(96, 77, 77 * 50 + 1, Buffer.from([0x10, 0x01, 1])));
    expect(encoding!.ssrc).toBe(77);
    // Its pictures are of use from a key frame of its own on.
    expect(of('pictureLossIndication').at(-1)?.mediaSsrc).toBe(77);
    expect(heard.map(({ encoding: { ssrc } }) => ssrc)).toHaveLength(6);
  });

  test('a source that names its section is believed at once', () => {
    const { session } = setUp();
    session.onDatagram(vp8(1, true));
    session.onDatagram(ofMid('1', 77, 5, true));
    expect(session.publications[1]!.encodings[0]!.ssrc).toBe(77);
    session.onDatagram(ofMid('7', 78, 5, true));
    expect([session.publications[1]!.encodings[0]!.ssrc, session.strays]).toEqual([77, 1]);
  });
});

/** A picture that says which section it belongs to, in the extension that Chromium's offer gives it. */
function ofMid(mid: string, ssrc: number, sequence: number, key: boolean): Buffer {
  return encodePacket({
    ...{ payloadType: 96, ssrc, sequence, timestamp: sequence * 3000, marker: true },
    ...{ payload: Buffer.from([0x10, key ? 0 : 1, 1]), extensions: new Map([[4, Buffer.from(mid)]]) },
  });
}

describe('a camera and a screen in one session', () => {
  const CAMERA = 1001;
  const SCREEN = 1002;
  /** As Chromium offers two tracks, with SSRCs or without. */
  const twoVideos = (withSsrcs: boolean) => (sdp: string) => {
    const lines = sdp.split('\n');
    const from = lines.findIndex((line) => line.startsWith('m=video'));
    const video = lines.slice(from).filter((line) => line !== '');
    const bare = video.filter((line) => !line.startsWith('a=ssrc'));
    const second = (withSsrcs ? video : bare).map((line) =>
      line
        .replace(/^a=mid:1$/, 'a=mid:2')
        .replace('715482575', String(SCREEN))
        .replace('1506952842', '2002'),
    );
    const first = withSsrcs ? video.map((line) => line.replace('715482575', String(CAMERA))) : bare;
    return [...lines.slice(0, from), ...first, ...second, '']
      .join('\n')
      .replace('a=group:BUNDLE 0 1', 'a=group:BUNDLE 0 1 2');
  };

  test('are two publications, told apart by MID, and then by the SSRC that came with it', () => {
    const { session, heard } = setUp(twoVideos(false));
    expect(session.publications.map(({ format }) => format.kind)).toEqual(['audio', 'video', 'video']);
    // Without anything that says whose it is, a packet is nobody's.
    session.onDatagram(rtp(96, SCREEN, 1, Buffer.from([0x10, 0, 1])));
    expect(session.strays).toBe(1);
    session.onDatagram(ofMid('2', SCREEN, 2, true));
    session.onDatagram(ofMid('1', CAMERA, 9, true));
    session.onDatagram(rtp(96, SCREEN, 3, Buffer.from([0x10, 1, 1])));
    session.onDatagram(rtp(96, CAMERA, 10, Buffer.from([0x10, 1, 1])));
    session.onDatagram(opus(1));
    const [sound, camera, screen] = session.publications.map(({ encodings }) => encodings[0]);
    expect(heard.map(({ encoding }) => encoding)).toEqual([screen, camera, screen, camera, sound]);
    expect([camera!.ssrc, screen!.ssrc]).toEqual([CAMERA, SCREEN]);
  });

  test('are told apart by the SSRCs of the offer', () => {
    const { session, of } = setUp(twoVideos(true));
    session.onDatagram(rtp(96, SCREEN, 2, Buffer.from([0x10, 0, 1])));
    session.onDatagram(rtp(96, CAMERA, 2, Buffer.from([0x10, 0, 1])));
    expect(session.strays).toBe(0);
    expect(session.publications.map((one) => one.report(1_000_000).packets)).toEqual([0, 1, 1]);
    for (const { encodings } of session.publications.slice(1)) encodings[0]!.wantKeyFrame();
    expect(of('pictureLossIndication').map(({ mediaSsrc }) => mediaSsrc)).toEqual([CAMERA, SCREEN]);
  });
});

test('a packet repeated by RTX fills the hole, byte for byte; padding of that stream is passed over', () => {
  const { session, of, run, seen } = setUp();
  session.onDatagram(vp8(1, true));
  session.onDatagram(vp8(3, false));
  const lost = vp8(2, false);
  const number = Buffer.alloc(2);
  number.writeUInt16BE(2);
  const repeated = rtp(97, 1506952842, 500, Buffer.concat([number, lost.subarray(12)]), 2 * 3000);
  session.onDatagram(repeated);
  // Padding only: the P bit, and a last byte that counts it.
  const padding = rtp(97, 1506952842, 501, Buffer.from([0, 0, 0, 4]));
  padding[0] = 0xa0;
  session.onDatagram(padding);
  run(100);
  expect(of('nack')).toEqual([]);
  expect(seen.at(-1)!.equals(lost)).toBe(true);
  expect(seen).toHaveLength(3);
  expect(session.strays).toBe(0);
});

describe('silence', () => {
  test('of 10 s means gone; reports alone keep it there', () => {
    const { clock, session, run } = setUp();
    session.onDatagram(opus(1));
    const report = { ssrc: AUDIO_SSRC, ntpUs: 4e15, rtpTimestamp: 1, packetCount: 1, octetCount: 1 };
    run(60_000, () => {
      if (clock.nowMs() % 1000 < 20) session.onDatagram(encodeSenderReport(report));
    });
    expect(session.isSilent(clock.monoUs())).toBe(false);
    run(10_000);
    expect(session.isSilent(clock.monoUs() - 1_000_000)).toBe(false);
    run(1000);
    expect(session.isSilent(clock.monoUs())).toBe(true);
  });

  test('after a goodbye is on purpose, until it sends again', () => {
    const { session, clock } = setUp();
    session.onDatagram(opus(1));
    session.onDatagram(encodeBye([AUDIO_SSRC]));
    clock.advance(60_000);
    expect(session.isSilent(clock.monoUs())).toBe(false);
    session.onDatagram(opus(2));
    clock.advance(10_001);
    expect(session.isSilent(clock.monoUs())).toBe(true);
  });

  test('a track that sends nothing is not receiving', () => {
    const { session, clock, run } = setUp();
    let n = 0;
    run(3000, () => session.onDatagram(vp8(n, n++ === 0)));
    expect(session.publications[1]!.report(clock.monoUs())).toMatchObject({
      receiving: true,
      packets: 150,
      bytes: 600,
    });
    // 4 bytes every 20 ms.
    expect(session.publications[1]!.report(clock.monoUs()).bitrateKbps).toBe(2);
    clock.advance(1600);
    expect(session.publications[1]!.report(clock.monoUs())).toMatchObject({ receiving: false, bitrateKbps: 0 });
  });
});

test('payload types that the answer did not name are counted, and no track hears of them', () => {
  const { session, heard, run, of } = setUp();
  session.onDatagram(opus(1));
  session.onDatagram(vp8(1, true));
  // Comfort noise, a telephone event, and VP9 and H.264 that were offered beside VP8.
  session.onDatagram(rtp(13, AUDIO_SSRC, 2, Buffer.from([0x40])));
  session.onDatagram(rtp(126, AUDIO_SSRC, 3, Buffer.from([1, 0x8a, 0, 160])));
  session.onDatagram(rtp(98, VIDEO_SSRC, 2, Buffer.from([0x8c, 1, 2])));
  session.onDatagram(rtp(102, VIDEO_SSRC + 1, 3, Buffer.from([0x65, 0x88])));
  session.onDatagram(vp8(2, false));
  run(1000);
  expect(session.strays).toBe(4);
  expect(heard).toHaveLength(3);
  expect(of('nack')).toEqual([]);
  expect(session.publications.map((track) => track.report(1_000_000).packets)).toEqual([1, 2]);
  expect(session.publications[1]!.encodings[0]!.ssrc).toBe(VIDEO_SSRC);
});

describe('the audio level', () => {
  const loud = (sequence: number, level: number) =>
    encodePacket({
      ...{ payloadType: 111, ssrc: AUDIO_SSRC, sequence, timestamp: sequence * 960, marker: false },
      ...{ payload: Buffer.from([0xfc, 1]), extensions: new Map([[1, Buffer.of(0x80 | level)]]) },
    });

  test('is the loudest of the last second', () => {
    const { session, clock, run } = setUp();
    const level = () => session.publications[0]!.report(clock.monoUs()).audioLevelDbov;
    expect(level()).toBeUndefined();
    let n = 0;
    run(2000, () => session.onDatagram(loud(n, n++ % 10 === 0 ? 25 : 90)));
    expect(level()).toBe(-25);
    run(1200, () => session.onDatagram(loud(n++, 100)));
    expect(level()).toBe(-100);
    run(1500);
    expect(level()).toBeUndefined();
    expect(session.publications[1]!.report(clock.monoUs())).not.toHaveProperty('audioLevelDbov');
  });
});

describe('a simulcast', () => {
  const SSRCS = { h: 1001, m: 1002, l: 1003 };
  /** As the offer announces it. */
  const SOUND = 4176925188;
  type Rid = keyof typeof SSRCS;
  /** @param named whether the packet says its rid, as Chromium's do until it knows that one was heard */
  const layer = (rid: Rid, sequence: number, key: boolean, named = true, repairs = false) =>
    encodePacket({
      ...{
        payloadType: repairs ? 97 : 96,
        ssrc: SSRCS[rid] + (repairs ? 100 : 0),
        sequence,
        timestamp: sequence * 3000,
      },
      ...{ marker: true, payload: Buffer.from(repairs ? [0, sequence - 500, 0x10, 1, 2] : [0x10, key ? 0 : 1, 2]) },
      ...(named && { extensions: new Map([[repairs ? 11 : 10, Buffer.from(rid)]]) }),
    });
  const setUpSimulcast = () => {
    const scene = setUp(undefined, 'chromium-simulcast');
    const encodings = scene.session.publications[1]!.encodings;
    return { ...scene, encodings };
  };

  test('is sorted by rid, then by the SSRC that came with it; what names no layer is counted', () => {
    const { session, encodings, heard } = setUpSimulcast();
    session.onDatagram(layer('l', 1, true, false));
    expect(session.strays).toBe(1);
    for (const rid of ['l', 'm', 'h'] as const) session.onDatagram(layer(rid, 1, true));
    for (const rid of ['h', 'm', 'l'] as const) session.onDatagram(layer(rid, 2, false, false));
    expect(encodings.map(({ rid, ssrc }) => [rid, ssrc])).toEqual(Object.entries(SSRCS));
    expect(heard.map(({ encoding }) => encoding.rid)).toEqual(['l', 'm', 'h', 'h', 'm', 'l']);
    expect(session.strays).toBe(1);
    // A sender that starts over says the rids of its new SSRCs.
    const anew = layer('m', 50, true);
    anew.writeUInt32BE(77, 8);
    session.onDatagram(anew);
    expect(encodings[1]!.ssrc).toBe(77);
  });

  test('is reported on, repaired and asked for key frames layer by layer', () => {
    const { session, encodings, run, of } = setUpSimulcast();
    let n = 1;
    run(2000, () => {
      for (const rid of ['h', 'm', 'l'] as const)
        if (rid !== 'm' || n !== 20) session.onDatagram(layer(rid, n, n === 1));
      n++;
    });
    expect(
      of('receiverReport')
        .findLast(({ blocks }) => blocks.length > 0)!
        .blocks.map(({ ssrc }) => ssrc),
    ).toEqual(Object.values(SSRCS));
    expect(of('remb').at(-1)!.ssrcs).toEqual([SOUND, ...Object.values(SSRCS)]);
    expect(of('nack')[0]).toMatchObject({ mediaSsrc: SSRCS.m, sequences: [20] });
    expect(of('pictureLossIndication')).toEqual([]);
    encodings[2]!.wantKeyFrame();
    expect(of('pictureLossIndication').map(({ mediaSsrc }) => mediaSsrc)).toEqual([SSRCS.l]);
    for (const { encodings } of session.publications) for (const encoding of encodings) encoding.wantKeyFrame();
    expect(new Set(of('pictureLossIndication').map(({ mediaSsrc }) => mediaSsrc))).toEqual(
      new Set(Object.values(SSRCS)),
    );
  });

  test('has the figures of all layers, and each layer its own', () => {
    const { session, clock, run } = setUpSimulcast();
    let n = 1;
    run(2000, () => {
      session.onDatagram(layer('h', n, n === 1));
      session.onDatagram(layer('l', n, n === 1));
      n++;
    });
    const report = session.publications[1]!.report(clock.monoUs());
    expect(report).toMatchObject({ receiving: true, packets: 200, bytes: 600 });
    expect(report.layers!.map(({ rid, receiving, packets }) => [rid, receiving, packets])).toEqual([
      ['h', true, 100],
      ['m', false, 0],
      ['l', true, 100],
    ]);
    expect(session.publications[0]!.report(clock.monoUs())).not.toHaveProperty('layers');
  });

  test('with a layer that loses little beside one that loses much is not told to send less for the little one', () => {
    const { session, run, of } = setUpSimulcast();
    let n = 1;
    run(10_000, () => {
      for (let i = 0; i < 10; i++) session.onDatagram(layer('h', n * 10 + i, n === 1));
      // Every fourth of a small layer's packets is lost: a fortieth of all.
      if (n % 4 > 0) session.onDatagram(layer('l', n, n === 1));
      n++;
    });
    expect(of('remb').at(-1)!.bitrateBps).toBeGreaterThanOrEqual(START_BITRATE_BPS * 0.99);
  });

  test('is repaired by RTX that names the layer it repeats', () => {
    const { session, seen, heard } = setUpSimulcast();
    for (const rid of ['h', 'm'] as const) for (const n of [1, 3]) session.onDatagram(layer(rid, n, n === 1));
    session.onDatagram(layer('m', 502, false, true, true));
    expect(heard.at(-1)!.encoding.rid).toBe('m');
    expect([seen.at(-1)!.readUInt16BE(2), seen.at(-1)!.readUInt32BE(8), seen.at(-1)![1]! & 0x7f]).toEqual([
      2,
      SSRCS.m,
      96,
    ]);
    session.onDatagram(layer('h', 502, false, false, true));
    expect(session.strays).toBe(1);
  });
});
