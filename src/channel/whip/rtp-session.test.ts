/**
 * What an RtpSession makes of what comes in: which track a packet belongs to, and what is told of the track.
 */
import { describe, expect, test } from 'vitest';
import { AUDIO_SSRC, ofMid, opus, RTX_SSRC, rtp, VIDEO_SSRC, vp8 } from '../../../test/support/chromium-packets.ts';
import { encodeBye, encodeSenderReport } from '../../../test/support/rtcp.ts';
import { openRtpSession } from '../../../test/support/rtp-session-scene.ts';
import { encodePacket } from '../../stages/rtp/encode-packet.ts';

describe('what comes in', () => {
  test('is sorted by payload type, with its time, and strays are counted', () => {
    const { clock, session, heard } = openRtpSession();
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
    const { session, heard } = openRtpSession();
    const report = { ntpUs: 4e15, rtpTimestamp: 1, packetCount: 1, octetCount: 1 };
    session.onDatagram(encodeSenderReport({ ssrc: VIDEO_SSRC, ...report }));
    session.onDatagram(encodeSenderReport({ ssrc: 99, ...report }));
    expect(heard.map((h) => [h.kind, h.encoding.format.kind])).toEqual([['rtcp', 'video']]);
    expect(session.publications[1]!.encodings[0]!.log.reportBefore(2_000_000)?.arrivalUs).toBe(1_000_000);
  });

  test('a sender that takes a new SSRC is a new source: what is kept and totals go on', () => {
    const { session } = openRtpSession();
    session.onDatagram(vp8(1, true));
    for (const n of [9000, 9001]) session.onDatagram(rtp(96, 77, n, Buffer.from([0x10, n & 1, 1])));
    const track = session.publications[1]!.encodings[0]!;
    expect(track.ssrc).toBe(77);
    expect([track.log.startOf(1_000_000), track.log.end]).toEqual([1, 3]);
    expect(track.report(1_000_000)).toMatchObject({ packets: 3, lost: 0 });
  });

  test('one packet of a source that nobody named changes nothing, two of it are a sender that started over', () => {
    const { session, run, heard, of } = openRtpSession();
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
    const { session } = openRtpSession();
    session.onDatagram(vp8(1, true));
    session.onDatagram(ofMid('1', 77, 5, true));
    expect(session.publications[1]!.encodings[0]!.ssrc).toBe(77);
    session.onDatagram(ofMid('7', 78, 5, true));
    expect([session.publications[1]!.encodings[0]!.ssrc, session.strays]).toEqual([77, 1]);
  });
});

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
        .replace(String(VIDEO_SSRC), String(SCREEN))
        .replace(String(RTX_SSRC), '2002'),
    );
    const first = withSsrcs ? video.map((line) => line.replace(String(VIDEO_SSRC), String(CAMERA))) : bare;
    return [...lines.slice(0, from), ...first, ...second, '']
      .join('\n')
      .replace('a=group:BUNDLE 0 1', 'a=group:BUNDLE 0 1 2');
  };

  test('are two publications, told apart by MID, and then by the SSRC that came with it', () => {
    const { session, heard } = openRtpSession(twoVideos(false));
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
    const { session, of } = openRtpSession(twoVideos(true));
    session.onDatagram(rtp(96, SCREEN, 2, Buffer.from([0x10, 0, 1])));
    session.onDatagram(rtp(96, CAMERA, 2, Buffer.from([0x10, 0, 1])));
    expect(session.strays).toBe(0);
    expect(session.publications.map((one) => one.report(1_000_000).packets)).toEqual([0, 1, 1]);
    for (const { encodings } of session.publications.slice(1)) encodings[0]!.wantKeyFrame();
    expect(of('pictureLossIndication').map(({ mediaSsrc }) => mediaSsrc)).toEqual([CAMERA, SCREEN]);
  });
});

test('a packet repeated by RTX fills the hole, byte for byte; padding of that stream is passed over', () => {
  const { session, of, run, seen } = openRtpSession();
  session.onDatagram(vp8(1, true));
  session.onDatagram(vp8(3, false));
  const lost = vp8(2, false);
  const number = Buffer.alloc(2);
  number.writeUInt16BE(2);
  const repeated = rtp(97, RTX_SSRC, 500, Buffer.concat([number, lost.subarray(12)]), 2 * 3000);
  session.onDatagram(repeated);
  // Padding only: the P bit, and a last byte that counts it.
  const padding = rtp(97, RTX_SSRC, 501, Buffer.from([0, 0, 0, 4]));
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
    const { clock, session, run } = openRtpSession();
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
    const { session, clock } = openRtpSession();
    session.onDatagram(opus(1));
    session.onDatagram(encodeBye([AUDIO_SSRC]));
    clock.advance(60_000);
    expect(session.isSilent(clock.monoUs())).toBe(false);
    session.onDatagram(opus(2));
    clock.advance(10_001);
    expect(session.isSilent(clock.monoUs())).toBe(true);
  });

  test('a track that sends nothing is not receiving', () => {
    const { session, clock, run } = openRtpSession();
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
  const { session, heard, run, of } = openRtpSession();
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
    const { session, clock, run } = openRtpSession();
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
