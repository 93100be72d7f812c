/**
 * What is shown of a track that goes wrong: good pictures only, the last of them until a key frame, and each as it
 * stands.
 */
import { afterEach, expect, test, vi } from 'vitest';
import { VideoEncoder } from '../../../test/support/media/encode.ts';
import { MadePicture } from '../../../test/support/media/made-media.ts';
import { RED } from '../../../test/support/media/participants.ts';
import { Packetizer } from '../../../test/support/packetize/packetizer.ts';
import type { Picture } from '../../media/frame.ts';
import type { TrackFormat } from '../../media/track.ts';
import { liveFrames } from '../../stages/codec/native-frames.ts';
import { VideoDecoder } from '../../stages/codec/video-decoder.ts';
import { parsePacket } from '../../stages/rtp/parse-packet.ts';
import { ParticipantClock } from '../../stages/rtp/sender-clock.ts';
import { VideoLine } from './video-line.ts';

const FPS = 25;
const FRAME_US = 1_000_000 / FPS;
const SIZE = { width: 160, height: 90 };
const COLOR = 5;
const ORIENTATION = 6;

const lines: VideoLine[] = [];
afterEach(() => {
  for (const line of lines.splice(0)) line.close();
  expect(liveFrames()).toBe(0);
});

type Sent = { data: Buffer; lost?: boolean; says?: [id: number, value: number[]] };

/**
 * A line that is sent frame after frame, 40 ms apart, and shows each as it comes.
 * @param harm changes what is sent of frame n
 * @param isSeen whether anybody looks at what is shown after frame n
 * @returns for each frame the number of the picture shown after it (-1 before the first), and whether a key frame was
 * wanted
 */
function show(
  codec: 'h264' | 'vp8',
  frames: number,
  gopFrames: number,
  harm: (n: number, data: Buffer) => Sent,
  isSeen: (n: number) => boolean = () => true,
) {
  const format: TrackFormat = {
    ...{ kind: 'video', codec, payloadType: 96, clockRate: 90000, fmtp: '' },
    ...{ colorExtension: COLOR, orientationExtension: ORIENTATION },
  };
  const encoder = new VideoEncoder({ codec, ...SIZE, fps: FPS, bitrateKbps: 200, gopFrames });
  const packetizer = new Packetizer({ format, ssrc: 1 });
  const line = new VideoLine({
    track: { track: 1, uid: 'u', format },
    clock: new ParticipantClock().addStream(90000),
    zeroUs: 0,
    maxGapUs: 2 * FRAME_US,
  });
  lines.push(line);
  const picture = new MadePicture(RED, { ...SIZE, flash: false });
  const shown: number[] = [];
  const wanted: number[] = [];
  const held: number[] = [];
  const turns: (number | undefined)[] = [];
  const pictures: (Picture | undefined)[] = [];
  for (let n = 0; n < frames; n++) {
    picture.draw(n * FRAME_US);
    const [unit] = encoder.encode(picture.i420, n);
    const { data, lost, says } = harm(n, unit!.data);
    const nowUs = n * FRAME_US;
    for (const datagram of packetizer.packetize(data, n * 3600)) {
      const packet = parsePacket(datagram, nowUs);
      if (says) packet.extensions = new Map([[says[0], Buffer.from(says[1])]]);
      if (!lost) line.onRtp(packet);
    }
    // A marker is taken at its word soon after.
    if (line.poll(nowUs + 20_000)) wanted.push(n);
    if (!isSeen(n)) {
      line.passOver(nowUs);
      continue;
    }
    const now = line.pictureAt(nowUs);
    shown.push(now === undefined ? -1 : now === pictures.at(-1) ? (shown.at(-1) as number) : n);
    pictures.push(now);
    turns.push(now?.orientation?.turn);
    held.push(...line.takeHeldUs());
  }
  encoder.close();
  return { shown, wanted, held, turns };
}

test.each(['h264', 'vp8'] as const)(
  '%s that nobody sees is decoded from its last key frame on once somebody does',
  (codec) => {
    const decode = vi.spyOn(VideoDecoder.prototype, 'decode');
    const whole = (_: number, data: Buffer) => ({ data });
    const isSeen = (n: number) => n < 5 || n >= 73;
    const { shown, wanted } = show(codec, 80, 10, whole, isSeen);
    // Five before, those of the group of pictures from frame 70 on, and what came after.
    expect(decode).toHaveBeenCalledTimes(5 + 10);
    expect(shown).toEqual([...range(0, 5), ...range(73, 80)]);
    expect(wanted).toEqual([]);
    decode.mockRestore();
  },
);

test('of a track without key frames that nobody sees no more than its share is kept, and one is asked for', () => {
  const decode = vi.spyOn(VideoDecoder.prototype, 'decode');
  const whole = (_: number, data: Buffer) => ({ data });
  const { shown, wanted } = show('vp8', 1000, 2000, whole, (n) => n < 5 || n >= 990);
  expect(decode).toHaveBeenCalledTimes(5);
  expect(shown).toEqual([...range(0, 5), ...hold(4, 10)]);
  expect(wanted[0]).toBe(906);
  decode.mockRestore();
});

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);
const hold = (n: number, count: number) => new Array<number>(count).fill(n);
/** What follows the start of a slice overwritten: packets and frame are whole, and only a decoder can tell. */
function spoiled(data: Buffer): Buffer {
  const out = Buffer.from(data);
  out.fill(0x5a, Math.floor(data.length / 2), Math.floor(data.length / 2) + 8);
  return out;
}

test('what the decoder finds damaged is not shown, nor what refers to it', () => {
  const { shown, wanted, held } = show('h264', 40, 20, (n, data) => ({ data: n === 9 ? spoiled(data) : data }));
  expect(shown).toEqual([...range(0, 9), ...hold(8, 11), ...range(20, 40)]);
  // Asked for from the damage on until it came, here a frame later as the picture is shown at once.
  expect(wanted).toEqual(range(10, 20));
  expect(held).toEqual([12 * FRAME_US]);
});

test('a frame the decoder refuses ends the picture like a damaged one', () => {
  const cut = (data: Buffer) => data.subarray(0, 6);
  const { shown, wanted, held } = show('vp8', 40, 20, (n, data) => ({ data: n === 9 ? cut(data) : data }));
  expect(shown).toEqual([...range(0, 9), ...hold(8, 11), ...range(20, 40)]);
  expect(wanted).toEqual(range(10, 20));
  expect(held).toEqual([12 * FRAME_US]);
});

test('a key frame that is damaged itself does not end the hold', () => {
  const { shown, held } = show('h264', 50, 20, (n, data) => ({ data: n === 9 || n === 20 ? spoiled(data) : data }));
  expect(shown).toEqual([...range(0, 9), ...hold(8, 31), ...range(40, 50)]);
  expect(held).toEqual([32 * FRAME_US]);
});

test('no key frame is asked for when one is here already and waits for its time', () => {
  const { shown, wanted } = show('h264', 25, 10, (n, data) => ({ data: n === 9 ? spoiled(data) : data }));
  expect(shown).toEqual([...range(0, 9), 8, ...range(10, 25)]);
  expect(wanted).toEqual([]);
});

test.each(['h264', 'vp8'] as const)('a lost frame of %s holds the picture until the next key frame', (codec) => {
  const { shown, wanted, held } = show(codec, 40, 20, (n, data) => ({ data, lost: n === 9 }));
  expect(shown).toEqual([...range(0, 9), ...hold(8, 11), ...range(20, 40)]);
  // From when the gap is given up.
  expect(wanted).toEqual(range(12, 20));
  expect(held).toEqual([12 * FRAME_US]);
});

test('nothing is shown before the first key frame, and that is no hold', () => {
  const { shown, wanted, held } = show('h264', 30, 20, (n, data) => ({ data, lost: n === 0 }));
  expect(shown).toEqual([...hold(-1, 20), ...range(20, 30)]);
  expect(wanted).toEqual(range(1, 20));
  expect(held).toEqual([]);
});

test('pictures carry the orientation that was in force when they were sent', () => {
  const said: Record<number, number[]> = { 0: [1], 4: [0x0b], 8: [0], 9: [1, 2] };
  const { turns } = show('vp8', 12, 20, (n, data) => {
    const value = said[n];
    return value ? { data, says: [ORIENTATION, value] } : { data };
  });
  expect(turns).toEqual([...hold(90, 4), ...hold(270, 4), ...hold(0, 4)]);
});

test('an extension that was not agreed on turns nothing', () => {
  const { turns } = show('vp8', 3, 20, (_, data) => ({ data, says: [7, [1]] }));
  expect(turns).toEqual([undefined, undefined, undefined]);
});

/**
 * Pictures of one grey each, brighter by three from one to the next, as x264 makes them with B-frames, in order of
 * sending.
 */
function withBFrames(frames: number, bFrames: number) {
  const encoder = new VideoEncoder({ codec: 'h264', ...SIZE, fps: FPS, bitrateKbps: 800, gopFrames: 20, bFrames });
  const grey = (n: number) =>
    Buffer.alloc((SIZE.width * SIZE.height * 3) / 2, 128).fill(20 + 3 * n, 0, SIZE.width * SIZE.height);
  const units = Array.from({ length: frames }, (_, n) => encoder.encode(grey(n), n)).flat();
  units.push(...encoder.flush());
  encoder.close();
  return units;
}

/** The number of the picture by its grey, -1 for none. */
function numberOf(picture: Picture | undefined): number {
  return picture ? Math.round((picture.planes[0][10 * picture.strides[0] + 10]! - 20) / 3) : -1;
}

test.each([1, 2, 3])(
  'pictures that are sent before those they are shown after are shown in order, none late (%i)',
  (bFrames) => {
    const frames = 60;
    const units = withBFrames(frames, bFrames);
    expect(units.some(({ pts }, n) => n > 0 && pts < units[n - 1]!.pts)).toBe(true);
    const format: TrackFormat = { kind: 'video', codec: 'h264', payloadType: 96, clockRate: 90000, fmtp: '' };
    const packetizer = new Packetizer({ format, ssrc: 1 });
    const line = new VideoLine({
      track: { track: 1, uid: 'u', format },
      clock: new ParticipantClock().addStream(90000),
      zeroUs: 0,
      maxGapUs: 2 * FRAME_US,
    });
    lines.push(line);
    const shown: number[] = [];
    // A sender that holds back what others refer to sends each a frame after the one before it.
    const delay = bFrames + 1;
    for (let n = 0; n < frames + 25; n++) {
      const unit = units[n];
      const nowUs = (n + delay) * FRAME_US;
      for (const datagram of unit ? packetizer.packetize(unit.data, unit.pts * 3600) : [])
        line.onRtp(parsePacket(datagram, nowUs));
      if (n === units.length) line.flush();
      line.poll(nowUs + 20_000);
      // As the recorder, a second behind the present.
      shown.push(numberOf(line.pictureAt(nowUs - 25 * FRAME_US)));
    }
    // Each for one frame's time, all in order.
    expect(shown.slice(shown.indexOf(0), shown.indexOf(frames - 1) + 1)).toEqual(range(0, frames));
  },
);
