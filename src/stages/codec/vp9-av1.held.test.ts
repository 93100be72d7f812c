/**
 * VP9 and AV1 as WebRTC senders encode them, over RTP and back to pictures: one for each unit, at once, whatever came
 * before.
 */
import { afterEach, describe, expect, it } from 'vitest';
import { type Encoded, VideoEncoder } from '../../../test/support/media/encode.ts';
import { Packetizer } from '../../../test/support/packetize/packetizer.ts';
import { OBU_SEQUENCE_HEADER, OBU_TEMPORAL_DELIMITER, readObu } from '../../media/obu.ts';
import { createDepacketizer } from '../rtp/depacketize/create-depacketizer.ts';
import { parsePacket } from '../rtp/parse-packet.ts';
import { liveFrames } from './native-frames.ts';
import { VideoDecoder } from './video-decoder.ts';

afterEach(() => {
  expect(liveFrames()).toBe(0);
});

type Codec = 'vp9' | 'av1';
type Seen = { ptsUs: number; luma: number; size: string; damaged: boolean };

const formatOf = (codec: Codec) => ({ kind: 'video', codec, payloadType: 96, clockRate: 90000, fmtp: '' }) as const;

/** Flat pictures whose luma is 40 + 4n. */
function encode(codec: Codec, count: number, { width = 320, height = 180, from = 0 } = {}): Encoded[] {
  const encoder = new VideoEncoder({ codec, width, height, fps: 30, bitrateKbps: 400, gopFrames: 10 });
  const units = Array.from({ length: count }, (_, n) => {
    const picture = Buffer.alloc((width * height * 3) / 2, 128);
    picture.fill(40 + 4 * (from + n), 0, width * height);
    return encoder.encode(picture, n);
  });
  encoder.close();
  expect(units.map((unit) => unit.length)).toEqual(units.map(() => 1));
  return units.flat();
}

function throughRtp(codec: Codec, units: Buffer[], maxPayloadBytes: number): { data: Buffer; keyFrame: boolean }[] {
  const packetizer = new Packetizer({ format: formatOf(codec), ssrc: 1, maxPayloadBytes });
  const depacketizer = createDepacketizer(formatOf(codec));
  const samples = units.flatMap((unit, n) =>
    packetizer.packetize(unit, n * 3000).flatMap((datagram) => {
      const packet = parsePacket(datagram, 0);
      return depacketizer.push({ packet, rtpTime: packet.timestamp, lostBefore: 0 });
    }),
  );
  // The last frame has no timestamp behind it that ends it.
  return [...samples, ...depacketizer.flush()];
}

function decode(decoder: VideoDecoder, data: Buffer, ptsUs = 0): Seen[] {
  return decoder.decode({ data, ptsUs }).map(({ picture, ptsUs: at, damaged }) => {
    const luma = picture.planes[0][10 * picture.strides[0] + 10]!;
    const size = `${picture.width}x${picture.height}`;
    picture.free();
    return { ptsUs: at, luma, size, damaged };
  });
}

describe.each(['vp9', 'av1'] as const)('%s', (codec) => {
  it.each([60, 1200])('gives each picture when its unit is in, from payloads of %i bytes', (maxPayloadBytes) => {
    const units = encode(codec, 25);
    const samples = throughRtp(
      codec,
      units.map((unit) => unit.data),
      maxPayloadBytes,
    );
    expect(samples.map((sample) => sample.keyFrame)).toEqual(units.map((unit) => unit.keyFrame));
    const decoder = new VideoDecoder(codec);
    samples.forEach(({ data }, n) => {
      const [seen, ...more] = decode(decoder, data, n * 33_333);
      expect(more).toEqual([]);
      expect(seen).toMatchObject({ ptsUs: n * 33_333, size: '320x180', damaged: false });
      expect(Math.abs(seen!.luma - (40 + 4 * n))).toBeLessThanOrEqual(3);
    });
    expect(decoder.undecodable).toBe(0);
    decoder.close();
    decoder.close();
  });

  it('follows a change of size', () => {
    const decoder = new VideoDecoder(codec);
    const sizes = [
      [320, 180],
      [640, 360],
      [180, 320],
    ].flatMap(([width, height]) =>
      encode(codec, 4, { width: width!, height: height! }).flatMap(({ data }) => decode(decoder, data)),
    );
    expect(sizes.map((seen) => seen.size)).toEqual(
      ['320x180', '640x360', '180x320'].flatMap((size) => Array(4).fill(size)),
    );
    decoder.close();
  });

  it('gives nothing before a key frame, counts what it cannot take, and goes on with the next key frame', () => {
    const decoder = new VideoDecoder(codec);
    const units = encode(codec, 12);
    expect(units.slice(1, 5).flatMap(({ data }) => decode(decoder, data))).toEqual([]);
    for (const data of [Buffer.alloc(0), Buffer.of(1), Buffer.alloc(5000, 0xff)]) decode(decoder, data);
    expect(decoder.undecodable).toBeGreaterThan(0);
    expect(units[10]!.keyFrame).toBe(true);
    expect(decode(decoder, units[10]!.data)).toMatchObject([{ size: '320x180', damaged: false }]);
    decoder.close();
  });
});

it('takes the superframe that spatial layers are joined to', () => {
  const [key, delta, next] = encode('vp9', 3).map((unit) => unit.data);
  const layer = (spatialId: number, data: Buffer) => Buffer.concat([Buffer.of(0x2c, spatialId << 1, 0), data]);
  const depacketizer = createDepacketizer(formatOf('vp9'));
  // Two pictures of one size stand for the layers.
  const ended = [layer(0, key!), layer(1, delta!)].flatMap((payload, n) =>
    depacketizer.push({
      packet: { payloadType: 96, sequence: n, timestamp: 0, ssrc: 1, marker: n === 1, payload, arrivalUs: 0 },
      rtpTime: 0,
      lostBefore: 0,
    }),
  );
  const [sample] = [...ended, ...depacketizer.flush()];
  const decoder = new VideoDecoder('vp9');
  expect(Math.abs(decode(decoder, sample!.data).at(-1)!.luma - 44)).toBeLessThanOrEqual(3);
  expect(Math.abs(decode(decoder, next!).at(-1)!.luma - 48)).toBeLessThanOrEqual(3);
  expect(decoder.undecodable).toBe(0);
  decoder.close();
});

it('shows the lower spatial layer of AV1 at once while the upper one is switched off', () => {
  const decoder = new VideoDecoder('av1');
  const units = encode('av1', 6).map((unit) => {
    const first = readObu(unit.data)!;
    // Without the temporal delimiter, as units come from RTP.
    const data = Buffer.from(first.type === OBU_TEMPORAL_DELIMITER ? unit.data.subarray(first.end) : unit.data);
    const header = readObu(data)!;
    if (header.type !== OBU_SEQUENCE_HEADER) return data;
    // operating_point_idc[0], the 12 bits from the 13th on (AV1 §5.5.1): spatial layers 0 and 1, temporal layer 0.
    const at = header.end - header.payload.length;
    data[at + 1] = (data[at + 1]! & 0xf0) | 0x03;
    data[at + 2] = 0x01;
    return data;
  });
  expect(units.map((data) => decode(decoder, data).length)).toEqual([1, 1, 1, 1, 1, 1]);
  decoder.close();
});
