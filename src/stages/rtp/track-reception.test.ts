/**
 * A track's samples come out whole and in order, and no damaged picture comes out at all.
 */
import { expect, test } from 'vitest';
import { Packetizer } from '../../../test/support/packetize/packetizer.ts';
import type { TrackFormat } from '../../media/track.ts';
import { parsePacket } from './parse-packet.ts';
import { TrackReception } from './track-reception.ts';

const VP8: TrackFormat = { kind: 'video', codec: 'vp8', payloadType: 97, clockRate: 90000, fmtp: '' };
const OPUS: TrackFormat = { kind: 'audio', codec: 'opus', payloadType: 111, clockRate: 48000, channels: 2, fmtp: '' };
const KEY = Buffer.from('50aabbcc', 'hex');
const DELTA = Buffer.from('51aabbcc', 'hex');
const FRAME_US = 33_000;
/** How long after its marker a frame is taken for whole. */
const MARKED_US = 20_000;

/**
 * A reception fed one frame every 33 ms; `lost` frames never arrive. Returns per frame: times of samples and the wish.
 */
function play(
  format: TrackFormat,
  frames: Buffer[],
  lost: number[],
  reception = new TrackReception({ format, maxDelayUs: 50_000 }),
) {
  const packetizer = new Packetizer({ format, ssrc: 1, firstSequence: 65533 });
  return frames.map((frame, n) => {
    const datagrams = packetizer.packetize(frame, n * 3000);
    if (!lost.includes(n)) for (const d of datagrams) reception.onRtp(parsePacket(d, n * FRAME_US));
    const { samples, keyFrameWanted } = reception.take(n * FRAME_US + MARKED_US);
    return { out: samples.map((s) => s.rtpTime / 3000), keyFrameWanted };
  });
}

test('video before the first key frame is withheld and a key frame is wanted', () => {
  const steps = play(VP8, [DELTA, DELTA, KEY, DELTA], []);
  expect(steps.map((s) => s.out)).toEqual([[], [], [2], [3]]);
  expect(steps.map((s) => s.keyFrameWanted)).toEqual([true, true, false, false]);
});

test('a first key frame whose start is overtaken by the rest of it is shown', () => {
  const packetizer = new Packetizer({ format: VP8, ssrc: 1, maxPayloadBytes: 8 });
  const [start, ...rest] = packetizer
    .packetize(Buffer.concat([KEY, Buffer.alloc(20)]), 0)
    .map((d) => parsePacket(d, 0));
  const reception = new TrackReception({ format: VP8, maxDelayUs: 1_000_000 });
  expect(rest.length).toBeGreaterThan(1);
  for (const packet of rest) reception.onRtp(packet);
  expect(reception.take(20_000).samples).toEqual([]);
  reception.onRtp({ ...start!, arrivalUs: 40_000 });
  expect(reception.take(40_000 + MARKED_US).samples.map((s) => s.keyFrame)).toEqual([true]);
});

test('no key frame is wanted before the first packet', () => {
  expect(new TrackReception({ format: VP8, maxDelayUs: 0 }).take(0).keyFrameWanted).toBe(false);
});

test('after a loss video is withheld from the moment the gap is given up until the next key frame', () => {
  const reception = new TrackReception({ format: VP8, maxDelayUs: 50_000 });
  const steps = play(VP8, [KEY, DELTA, DELTA, DELTA, DELTA, DELTA, KEY, DELTA], [2], reception);
  // Frame 3 waits behind the gap until 50 ms after it came, which is soon after frame 4.
  expect(steps.map((s) => s.out)).toEqual([[0], [1], [], [], [], [], [6], [7]]);
  expect(steps.map((s) => s.keyFrameWanted)).toEqual([false, false, false, false, true, true, false, false]);
  expect(reception.counters()).toMatchObject({ packets: 7, lost: 1, withheld: 3, samples: 4, damaged: 0 });
});

test('the key frame that ends what was held back is marked, however much came between; the first one is not', () => {
  const reception = new TrackReception({ format: VP8, maxDelayUs: 0 });
  const packetizer = new Packetizer({ format: VP8, ssrc: 1 });
  const marks = [DELTA, KEY, DELTA, DELTA, DELTA, KEY, DELTA, KEY].flatMap((frame, n) => {
    const packet = parsePacket(packetizer.packetize(frame, n * 3000)[0]!, n * FRAME_US);
    if (n !== 3) reception.onRtp(packet);
    return reception.take(n * FRAME_US + MARKED_US).samples.map((s) => [n, s.afterLoss]);
  });
  expect(marks).toEqual([
    [1, false],
    [2, false],
    [5, true],
    [6, false],
    [7, false],
  ]);
});

test('sound goes on after a loss, marked', () => {
  const reception = new TrackReception({ format: OPUS, maxDelayUs: 50_000 });
  const steps = play(OPUS, Array(7).fill(Buffer.from('fc0102', 'hex')), [2], reception);
  expect(steps.map((s) => s.out)).toEqual([[0], [1], [], [], [3, 4], [5], [6]]);
  expect(steps.some((s) => s.keyFrameWanted)).toBe(false);
});

test('a malformed frame holds video back like a lost one', () => {
  const reception = new TrackReception({ format: VP8, maxDelayUs: 50_000 });
  play(VP8, [KEY], [], reception);
  const packetizer = new Packetizer({ format: VP8, ssrc: 1, firstSequence: 65534 });
  const push = (frame: Buffer, timestamp: number, cut: boolean) => {
    const packet = parsePacket(packetizer.packetize(frame, timestamp)[0]!, 0);
    reception.onRtp(cut ? { ...packet, payload: packet.payload.subarray(0, 2) } : packet);
    return reception.take(MARKED_US);
  };
  expect(push(DELTA, 3000, true)).toEqual({ samples: [], keyFrameWanted: true });
  expect(push(DELTA, 6000, false)).toEqual({ samples: [], keyFrameWanted: true });
  expect(push(KEY, 9000, false)).toMatchObject({ samples: [{ rtpTime: 9000 }], keyFrameWanted: false });
});

test('packets of other payload types are ignored and counted', () => {
  const reception = new TrackReception({ format: VP8, maxDelayUs: 50_000 });
  const other = new Packetizer({ format: { ...VP8, payloadType: 98 }, ssrc: 1 });
  expect(reception.onRtp(parsePacket(other.packetize(KEY, 0)[0]!, 0))).toBeUndefined();
  expect(reception.take(0)).toEqual({ samples: [], keyFrameWanted: false });
  expect(reception.counters()).toMatchObject({ packets: 1, otherPayloadTypes: 1 });
});

test('flush gives what waited behind a gap', () => {
  const reception = new TrackReception({ format: VP8, maxDelayUs: 1_000_000 });
  play(VP8, [KEY, DELTA, KEY, DELTA], [1], reception);
  expect(reception.flush().map((s) => s.rtpTime)).toEqual([6000, 9000]);
});

test('onRtp and rtpTimeOf speak of the same line as the samples', () => {
  const reception = new TrackReception({ format: VP8, maxDelayUs: 0 });
  const packetizer = new Packetizer({ format: VP8, ssrc: 1 });
  const times = [2 ** 32 - 3000, 2 ** 32, 2 ** 32 + 3000].map((t) =>
    reception.onRtp(parsePacket(packetizer.packetize(KEY, t)[0]!, 0)),
  );
  expect(times).toEqual([2 ** 32 - 3000, 2 ** 32, 2 ** 32 + 3000]);
  expect(reception.take(MARKED_US).samples.map((s) => s.rtpTime)).toEqual(times);
  expect(reception.rtpTimeOf(6000, 0)).toBe(2 ** 32 + 6000);
});

test('behind a gap that stays open a key frame is wanted until one is there, and the gap is waited for all the same', () => {
  const reception = new TrackReception({ format: VP8, maxDelayUs: 1_700_000 });
  const packetizer = new Packetizer({ format: VP8, ssrc: 1 });
  const wants: number[] = [];
  let lost: Buffer | undefined;
  const out: number[] = [];
  for (let n = 0; n < 50; n++) {
    const [datagram] = packetizer.packetize(n === 0 || n === 30 ? KEY : DELTA, n * 3000);
    if (n === 2) lost = datagram;
    else reception.onRtp(parsePacket(datagram!, n * FRAME_US));
    // It comes again 1.4 s later.
    if (n === 45) reception.onRtp(parsePacket(lost!, n * FRAME_US));
    const { samples, keyFrameWanted } = reception.take(n * FRAME_US);
    if (keyFrameWanted) wants.push(n);
    out.push(...samples.map((sample) => sample.rtpTime / 3000));
  }
  out.push(...reception.flush().map((sample) => sample.rtpTime / 3000));
  // Frame 3 was the first to wait, 600 ms before frame 22.
  expect(wants).toEqual([22, 23, 24, 25, 26, 27, 28, 29]);
  expect(out).toEqual(Array.from({ length: 50 }, (_, n) => n));
  expect(reception.counters()).toMatchObject({ lost: 0, withheld: 0 });
});

test('padding is no life: it is nothing that came in, and no frame', () => {
  const reception = new TrackReception({ format: VP8, maxDelayUs: 50_000 });
  play(VP8, [KEY, DELTA], [], reception);
  const { arrivedUs } = reception;
  const [datagram] = new Packetizer({ format: VP8, ssrc: 1, firstSequence: 65535 }).packetize(DELTA, 9000);
  const packet = { ...parsePacket(datagram!, 200_000), payload: Buffer.alloc(0) };
  expect(reception.onRtp(packet)).toBeUndefined();
  expect(reception.arrivedUs).toBe(arrivedUs);
  expect(reception.take(300_000).samples).toEqual([]);
});
