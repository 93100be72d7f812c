/**
 * Samples for tests of what follows the encoders: a moving picture by x264 (B-frames and all) and a tone by AAC,
 * encoded here directly with node-av so that muxer tests do not hang on our own encoders.
 */

import {
  AV_CHANNEL_LAYOUT_MONO,
  AV_CHANNEL_LAYOUT_STEREO,
  AV_CODEC_ID_AAC,
  AV_CODEC_ID_H264,
  AV_PIX_FMT_YUV420P,
  AV_SAMPLE_FMT_FLTP,
} from 'node-av/constants';
import { Codec, CodecContext, Dictionary, Frame, Packet, Rational } from 'node-av/lib';
import type { EncodedSample } from '../../src/media/sample.ts';

export type MadeSamples = { samples: EncodedSample[]; extradata: Buffer };

/** The NAL units of an Annex B stream, without start codes. */
export function nalUnits(annexB: Buffer): Buffer[] {
  const starts: number[] = [];
  for (let at = annexB.indexOf('000001', 0, 'hex'); at >= 0; at = annexB.indexOf('000001', at + 3, 'hex'))
    starts.push(at);
  return starts.map((at, i) => {
    let end = starts[i + 1] ?? annexB.length;
    while (end > at + 3 && annexB[end - 1] === 0) end--;
    return annexB.subarray(at + 3, end);
  });
}

function must(code: number, what: string): void {
  if (code < 0) throw new Error(`${what} failed with ${code}`);
}

async function drain(context: CodecContext, packet: Packet, take: (packet: Packet) => void): Promise<void> {
  while ((await context.receivePacket(packet)) >= 0) {
    take(packet);
    packet.unref();
  }
}

/**
 * `seconds` of a picture whose left half lights up in the first tenth of each second.
 * Every sample is Annex B with SPS and PPS before each IDR.
 */
export async function makeVideo(options: {
  seconds: number;
  width: number;
  height: number;
  fps: number;
  keyIntervalFrames: number;
  bFrames: number;
}): Promise<MadeSamples> {
  const { seconds, width, height, fps, keyIntervalFrames, bFrames } = options;
  const codec = Codec.findEncoderByName('libx264' as never);
  if (!codec) throw new Error('no libx264');
  using context = new CodecContext();
  context.allocContext3(codec);
  context.codecId = AV_CODEC_ID_H264;
  context.width = width;
  context.height = height;
  context.pixelFormat = AV_PIX_FMT_YUV420P;
  context.timeBase = new Rational(1, fps);
  context.framerate = new Rational(fps, 1);
  context.gopSize = keyIntervalFrames;
  context.maxBFrames = bFrames;
  context.threadCount = 1;
  using settings = Dictionary.fromObject({ preset: 'ultrafast', 'x264-params': `scenecut=0:bframes=${bFrames}` });
  must(await context.open2(codec, settings), 'opening libx264');

  const samples: EncodedSample[] = [];
  const us = (ticks: bigint) => Math.round((Number(ticks) * 1_000_000) / fps);
  using packet = new Packet();
  packet.alloc();
  const take = (p: Packet) =>
    samples.push({
      kind: 'video',
      ptsUs: us(p.pts),
      dtsUs: us(p.dts),
      durationUs: us(1n),
      keyFrame: p.isKeyframe,
      data: Buffer.from(p.data!),
    });
  using frame = new Frame();
  frame.alloc();
  frame.format = AV_PIX_FMT_YUV420P;
  frame.width = width;
  frame.height = height;
  must(frame.getBuffer(), 'allocating a picture');
  for (let i = 0; i < seconds * fps; i++) {
    must(frame.makeWritable(), 'writing a picture');
    const planes = frame.data!;
    const lit = i % fps < fps / 10;
    planes[0]!.fill(40 + (i % 60));
    for (let y = 0; y < height; y++)
      planes[0]!.fill(lit ? 235 : 16, y * frame.linesize[0]!, y * frame.linesize[0]! + width / 2);
    planes[1]!.fill(128);
    planes[2]!.fill(128);
    frame.pts = BigInt(i);
    must(await context.sendFrame(frame), 'encoding a picture');
    await drain(context, packet, take);
  }
  await context.sendFrame(null);
  await drain(context, packet, take);
  const parameterSets = nalUnits(samples[0]!.data).filter((nal) => [7, 8].includes(nal[0]! & 31));
  const extradata = Buffer.concat(parameterSets.flatMap((nal) => [Buffer.from([0, 0, 0, 1]), nal]));
  return { samples, extradata };
}

/**
 * `seconds` of silence with a 1 kHz beep in the first tenth of each second; the encoder's priming comes first, before
 * zero. At 48 kHz when no rate is given.
 */
export async function makeAudio(options: {
  seconds: number;
  channels: 1 | 2;
  sampleRate?: number;
}): Promise<MadeSamples> {
  const { sampleRate = 48_000 } = options;
  const codec = Codec.findEncoder(AV_CODEC_ID_AAC);
  if (!codec) throw new Error('no AAC encoder');
  using context = new CodecContext();
  context.allocContext3(codec);
  context.sampleRate = sampleRate;
  context.sampleFormat = AV_SAMPLE_FMT_FLTP;
  context.channelLayout = options.channels === 2 ? AV_CHANNEL_LAYOUT_STEREO : AV_CHANNEL_LAYOUT_MONO;
  context.timeBase = new Rational(1, sampleRate);
  context.bitRate = BigInt(Math.round((64_000 * sampleRate) / 48_000));
  // Puts the AudioSpecificConfig into extradata instead of leaving it out.
  context.setFlags((1 << 22) as never);
  must(await context.open2(codec, null), 'opening AAC');

  const samples: EncodedSample[] = [];
  const us = (ticks: bigint) => Math.round((Number(ticks) * 1_000_000) / sampleRate);
  using packet = new Packet();
  packet.alloc();
  const take = (p: Packet) =>
    samples.push({
      kind: 'audio',
      ptsUs: us(p.pts),
      dtsUs: us(p.pts),
      durationUs: us(p.pts + 1024n) - us(p.pts),
      keyFrame: true,
      data: Buffer.from(p.data!),
    });
  using frame = new Frame();
  frame.alloc();
  frame.format = AV_SAMPLE_FMT_FLTP;
  frame.sampleRate = sampleRate;
  frame.channelLayout = context.channelLayout;
  frame.nbSamples = 1024;
  must(frame.getBuffer(), 'allocating sound');
  for (let at = 0; at < options.seconds * sampleRate; at += 1024) {
    must(frame.makeWritable(), 'writing sound');
    for (const plane of frame.data!.slice(0, options.channels))
      for (let i = 0; i < 1024; i++) {
        const t = at + i;
        plane.writeFloatLE(
          t < options.seconds * sampleRate && t % sampleRate < sampleRate / 10
            ? 0.5 * Math.sin((2 * Math.PI * 1000 * t) / sampleRate)
            : 0,
          i * 4,
        );
      }
    frame.pts = BigInt(at);
    must(await context.sendFrame(frame), 'encoding sound');
    await drain(context, packet, take);
  }
  await context.sendFrame(null);
  await drain(context, packet, take);
  return { samples, extradata: Buffer.from(context.extraData!) };
}

/** Both kinds in the order in which encoders would hand them on: by decode time. */
export function interleave(...kinds: EncodedSample[][]): EncodedSample[] {
  return kinds.flat().sort((a, b) => a.dtsUs - b.dtsUs);
}
