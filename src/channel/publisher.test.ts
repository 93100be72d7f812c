import { describe, expect, test } from 'vitest';
import { capturedOffer } from '../../test/support/offers/read-offer.ts';
import { ManualClock } from '../kernel/manual-clock.ts';
import { encodeBye, encodeSenderReport, parseCompound, type RtcpPacket } from '../stages/rtp/rtcp.ts';
import { START_BITRATE_BPS } from './bandwidth.ts';
import type { IncomingTrack } from './incoming-track.ts';
import { readOffer } from './offer.ts';
import { Publisher } from './publisher.ts';

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

function setUp() {
  const clock = new ManualClock();
  clock.advance(1000);
  const sent: { ms: number; packets: RtcpPacket[] }[] = [];
  const heard: { kind: 'rtp' | 'rtcp'; track: IncomingTrack; arrivalUs: number }[] = [];
  const seen: Buffer[] = [];
  const publisher = new Publisher({
    clock,
    sections: readOffer(capturedOffer('chromium')).sections,
    send: (datagram) => sent.push({ ms: clock.nowMs() - startMs, packets: parseCompound(datagram) }),
    listener: {
      onRtp: (track, datagram, arrivalUs) => {
        seen.push(datagram);
        heard.push({ kind: 'rtp', track, arrivalUs });
      },
      onRtcp: (track, _datagram, arrivalUs) => heard.push({ kind: 'rtcp', track, arrivalUs }),
    },
  });
  const startMs = clock.nowMs();
  const run = (ms: number, each: () => void = () => {}) => {
    for (let at = 0; at < ms; at += 20) {
      clock.advance(20);
      each();
      publisher.tick();
    }
  };
  const of = <T extends RtcpPacket['type']>(type: T) =>
    sent.flatMap(({ ms, packets }) =>
      packets.flatMap((p) => (p.type === type ? [{ ms, ...(p as Extract<RtcpPacket, { type: T }>) }] : [])),
    );
  return { clock, publisher, sent, heard, seen, run, of };
}

describe('what a publisher is told', () => {
  test('reports about once a second, REMB twice, each datagram beginning with a report', () => {
    const { publisher, run, of, sent } = setUp();
    let n = 0;
    run(10_000, () => {
      publisher.onDatagram(vp8(n, n === 0));
      publisher.onDatagram(opus(n++));
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
    for (const { packets } of sent) expect(packets[0]!.type).toBe('receiverReport');
  });

  test('heavy loss lowers the bitrate and stands in the report', () => {
    const { publisher, run, of } = setUp();
    let n = 0;
    run(5000, () => {
      if (n % 2 === 0 || n < 2) publisher.onDatagram(vp8(n, n === 0));
      n++;
    });
    expect(of('remb').at(-1)!.bitrateBps).toBeLessThan(START_BITRATE_BPS * 0.5);
    const block = of('receiverReport').findLast((r) => r.blocks.length > 0)!.blocks[0]!;
    expect(block.fractionLost).toBeGreaterThan(100);
    expect(publisher.tracks[1]!.report(0).lost).toBeGreaterThan(100);
  });

  test('a lost packet is asked for again until it comes', () => {
    const { publisher, run, of } = setUp();
    publisher.onDatagram(vp8(1, true));
    for (const n of [2, 4, 5, 6]) publisher.onDatagram(vp8(n, false));
    run(40);
    expect(of('nack')[0]).toMatchObject({ mediaSsrc: VIDEO_SSRC, sequences: [3] });
    run(300);
    const asked = of('nack').length;
    expect(asked).toBeGreaterThan(1);
    publisher.onDatagram(vp8(3, false));
    run(1000);
    expect(of('nack')).toHaveLength(asked);
  });

  test('a key frame is asked for when the first picture is none, and no more once it came', () => {
    const { publisher, run, of } = setUp();
    publisher.onDatagram(vp8(1, false));
    expect(of('pictureLossIndication')).toMatchObject([{ ms: 0, mediaSsrc: VIDEO_SSRC }]);
    run(700);
    expect(of('pictureLossIndication').length).toBeGreaterThan(1);
    const asked = of('pictureLossIndication').length;
    publisher.onDatagram(vp8(2, true));
    run(3000);
    expect(of('pictureLossIndication')).toHaveLength(asked);
    expect(publisher.tracks[1]!.cache.packets()).toHaveLength(1);
  });

  test('a key frame can be asked for before any packet came, by the SSRC of the offer', () => {
    const { publisher, of } = setUp();
    publisher.wantKeyFrame();
    expect(of('pictureLossIndication')).toMatchObject([{ mediaSsrc: VIDEO_SSRC }]);
  });
});

describe('what comes in', () => {
  test('is sorted by payload type, with its time, and strays are counted', () => {
    const { clock, publisher, heard } = setUp();
    publisher.onDatagram(opus(1));
    clock.advance(5);
    publisher.onDatagram(vp8(1, true));
    publisher.onDatagram(rtp(99, 5, 1, Buffer.from([1])));
    publisher.onDatagram(Buffer.from('nonsense'));
    publisher.onDatagram(Buffer.alloc(0));
    publisher.onDatagram(Buffer.from([0x80, 200, 0, 99]));
    expect(heard.map((h) => [h.track.format.kind, h.arrivalUs])).toEqual([
      ['audio', 1_000_000],
      ['video', 1_005_000],
    ]);
    expect(publisher.strays).toBe(4);
  });

  test('sender reports go to their track, also before its first packet', () => {
    const { publisher, heard } = setUp();
    const report = { ntpUs: 4e15, rtpTimestamp: 1, packetCount: 1, octetCount: 1 };
    publisher.onDatagram(encodeSenderReport({ ssrc: VIDEO_SSRC, ...report }));
    publisher.onDatagram(encodeSenderReport({ ssrc: 99, ...report }));
    expect(heard.map((h) => [h.kind, h.track.format.kind])).toEqual([['rtcp', 'video']]);
    expect(publisher.tracks[1]!.lastReport?.arrivalUs).toBe(1_000_000);
  });

  test('a sender that takes a new SSRC is a new source: its cache begins anew and totals go on', () => {
    const { publisher } = setUp();
    publisher.onDatagram(vp8(1, true));
    publisher.onDatagram(rtp(96, 77, 9000, Buffer.from([0x10, 0x00, 1])));
    const track = publisher.tracks[1]!;
    expect(track.ssrc).toBe(77);
    expect(track.cache.packets()).toHaveLength(1);
    expect(track.report(1_000_000)).toMatchObject({ packets: 2, lost: 0 });
  });
});

test('a packet repeated by RTX fills the hole, byte for byte; padding of that stream is passed over', () => {
  const { publisher, of, run, seen } = setUp();
  publisher.onDatagram(vp8(1, true));
  publisher.onDatagram(vp8(3, false));
  const lost = vp8(2, false);
  const number = Buffer.alloc(2);
  number.writeUInt16BE(2);
  const repeated = rtp(97, 1506952842, 500, Buffer.concat([number, lost.subarray(12)]), 2 * 3000);
  publisher.onDatagram(repeated);
  // Padding only: the P bit, and a last byte that counts it.
  const padding = rtp(97, 1506952842, 501, Buffer.from([0, 0, 0, 4]));
  padding[0] = 0xa0;
  publisher.onDatagram(padding);
  run(100);
  expect(of('nack')).toEqual([]);
  expect(seen.at(-1)!.equals(lost)).toBe(true);
  expect(seen).toHaveLength(3);
  expect(publisher.strays).toBe(0);
});

describe('silence', () => {
  test('of 10 s means gone; reports alone keep it there', () => {
    const { clock, publisher, run } = setUp();
    publisher.onDatagram(opus(1));
    const report = { ssrc: AUDIO_SSRC, ntpUs: 4e15, rtpTimestamp: 1, packetCount: 1, octetCount: 1 };
    run(60_000, () => {
      if (clock.nowMs() % 1000 < 20) publisher.onDatagram(encodeSenderReport(report));
    });
    expect(publisher.isSilent(clock.monoUs())).toBe(false);
    run(10_000);
    expect(publisher.isSilent(clock.monoUs() - 1_000_000)).toBe(false);
    run(1000);
    expect(publisher.isSilent(clock.monoUs())).toBe(true);
  });

  test('after a goodbye is on purpose, until it sends again', () => {
    const { publisher, clock } = setUp();
    publisher.onDatagram(opus(1));
    publisher.onDatagram(encodeBye([AUDIO_SSRC]));
    clock.advance(60_000);
    expect(publisher.isSilent(clock.monoUs())).toBe(false);
    publisher.onDatagram(opus(2));
    clock.advance(10_001);
    expect(publisher.isSilent(clock.monoUs())).toBe(true);
  });

  test('a track that sends nothing is not receiving', () => {
    const { publisher, clock, run } = setUp();
    let n = 0;
    run(3000, () => publisher.onDatagram(vp8(n, n++ === 0)));
    expect(publisher.tracks[1]!.report(clock.monoUs())).toMatchObject({ receiving: true, packets: 150, bytes: 600 });
    // 4 bytes every 20 ms.
    expect(publisher.tracks[1]!.report(clock.monoUs()).bitrateKbps).toBe(2);
    clock.advance(1600);
    expect(publisher.tracks[1]!.report(clock.monoUs())).toMatchObject({ receiving: false, bitrateKbps: 0 });
  });
});
