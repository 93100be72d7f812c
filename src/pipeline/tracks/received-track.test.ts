/**
 * What a track's report takes for life: pictures and sound, never padding or headers alone, in whatever mode the track
 * is recorded.
 */
import { expect, test } from 'vitest';
import { Packetizer } from '../../../test/support/packetize/packetizer.ts';
import type { VideoCodec } from '../../media/track.ts';
import { parsePacket } from '../../stages/rtp/parse-packet.ts';
import { ParticipantClock } from '../../stages/rtp/sender-clock.ts';
import { TrackReport } from '../report/track-report.ts';
import { ReceivedTrack } from './received-track.ts';

const US = 1_000_000;
const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');

/** Payloads of each codec that hold no picture. */
const EMPTY: [VideoCodec, string, string][] = [
  ['h264', 'padding', ''],
  ['h264', 'parameter sets', '18 0004 67420000 0002 68ce'],
  ['h264', 'a delimiter', '09f0'],
  ['h264', 'SEI', '06 0501ff80'],
  ['vp8', 'padding', ''],
  ['vp8', 'a descriptor', '10'],
  ['vp8', 'a header without a picture', '10 110000'],
  ['vp9', 'padding', ''],
  ['vp9', 'a descriptor', '8c 05'],
  ['av1', 'padding', ''],
  ['av1', 'a sequence header', '18 08aabb'],
  ['av1', 'a delimiter', '10 10'],
];
const PICTURES: Record<VideoCodec, Buffer> = {
  h264: hex('00000001 65b8aabbccdd'),
  vp8: Buffer.concat([hex('10 0000 9d012a 4001b400'), Buffer.alloc(20, 7)]),
  vp9: hex('82 498342 aabbccddee'),
  av1: hex('1200 0a03aabbcc 3203ddeeff'),
};

test.each(EMPTY)('of %s, %s is no life', (codec, _, payload) => {
  const format = { kind: 'video', codec, payloadType: 96, clockRate: 90_000, fmtp: '' } as const;
  const track = { track: 1, uid: '1', format };
  const report = new TrackReport(track, 0);
  const clock = new ParticipantClock().addStream(90_000);
  const received = new ReceivedTrack({ track, clock, zeroUs: 0, maxGapUs: US, report });
  const packetizer = new Packetizer({ format, ssrc: 1 });
  const empty = hex(payload);
  let skipped = 0;
  for (let n = 0; n < 300; n++) {
    const arrivalUs = (n * US) / 30;
    // Six seconds of nothing but what is empty.
    const isEmpty = n >= 60 && n < 240;
    for (const datagram of packetizer.packetize(PICTURES[codec], n * 3000)) {
      const packet = parsePacket(datagram, arrivalUs);
      if (isEmpty) skipped++;
      received.onRtp(isEmpty ? { ...packet, payload: empty } : packet);
    }
  }
  expect(skipped).toBeGreaterThan(100);
  const { gaps, gapMs } = report.report(10 * US);
  expect(gaps).toMatchObject([{ fromMs: 1967, why: 'notSent' }]);
  expect(gapMs).toBeGreaterThan(5900);
});
