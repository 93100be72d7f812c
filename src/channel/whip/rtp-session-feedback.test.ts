/**
 * What an RtpSession tells a publisher: reports, bitrates, lost packets and key frames.
 */
import { describe, expect, test } from 'vitest';
import { AUDIO_SSRC, numbered, opus, RTX_SSRC, rtp, VIDEO_SSRC, vp8 } from '../../../test/support/chromium-packets.ts';
import { encodeSenderReport } from '../../../test/support/rtcp.ts';
import { openRtpSession } from '../../../test/support/rtp-session-scene.ts';
import { START_BITRATE_BPS } from './bandwidth.ts';

describe('what a publisher is told', () => {
  test('reports about once a second, REMB twice, each datagram beginning with a report', () => {
    const { session, run, of, sent } = openRtpSession();
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
    const { session, run, of } = openRtpSession();
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
    const { clock, session, run, of } = openRtpSession();
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
    const { clock, session, run, of } = openRtpSession();
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
    const { session, run, of } = openRtpSession();
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
    const { session, run, of } = openRtpSession();
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
    const { session, of } = openRtpSession();
    for (const { encodings } of session.publications) for (const encoding of encodings) encoding.wantKeyFrame();
    expect(of('pictureLossIndication')).toMatchObject([{ mediaSsrc: VIDEO_SSRC }]);
  });
});

describe('a session that offered transport-wide feedback and no REMB', () => {
  const offered = (sdp: string) => sdp.replaceAll(/^a=rtcp-fb:\d+ goog-remb\n/gm, '');

  test('is told of all its packets on one count, about every 60 ms, and gets no REMB', () => {
    const { session, run, of, sent } = openRtpSession(offered);
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
    const { session, run, of, seen } = openRtpSession(offered);
    session.onDatagram(numbered(vp8(1, true), 1));
    const lost = vp8(2, false);
    const number = Buffer.from([0, 2]);
    session.onDatagram(numbered(rtp(97, RTX_SSRC, 500, Buffer.concat([number, lost.subarray(12)]), 2 * 3000), 2));
    session.onDatagram(numbered(rtp(99, 5, 1, Buffer.from([1])), 4));
    run(20);
    expect(of('transportFeedback')).toMatchObject([
      { baseSequence: 1, statusCount: 4, arrivals: [{ sequence: 1 }, { sequence: 2 }, { sequence: 4 }] },
    ]);
    expect(seen).toHaveLength(2);
    expect(session.strays).toBe(1);
  });

  test('with REMB as well gets REMB alone', () => {
    const { session, run, of } = openRtpSession();
    session.onDatagram(numbered(vp8(1, true), 7));
    run(1000);
    expect(of('transportFeedback')).toEqual([]);
    expect(of('remb').length).toBeGreaterThan(0);
  });

  test('but numbers no packets is told nothing of them', () => {
    const { session, run, of } = openRtpSession(offered);
    session.onDatagram(vp8(1, true));
    run(1000);
    expect(of('transportFeedback')).toEqual([]);
  });
});
