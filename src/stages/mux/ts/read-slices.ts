/**
 * Reads MPEG-TS slices of this server back into samples on the recording's clock, for what must be made anew after a crash.
 */

import { AV_CODEC_ID_AAC, AV_CODEC_ID_H264, AV_NOPTS_VALUE, AV_PKT_FLAG_CORRUPT, AVERROR_EOF } from 'node-av/constants';
import { FormatContext, InputFormat, Packet, type Stream } from 'node-av/lib';
import { Fault } from '../../../kernel/fault.ts';
import { rescale, US } from '../../../kernel/time.ts';
import type { EncodedSample } from '../../../media/sample.ts';
import { audioConfigOf, parameterSetsOf, withoutAdts } from '../bitstream.ts';
import { type AudioStream, check, type Streams, type VideoStream } from '../stream.ts';
import { TS_ZERO_US } from './ts-slices.ts';

const TS_RATE = 90_000;
/** Transport stream times have 33 bits and start over after 26.5 hours. */
const TS_WRAP = 2 ** 33;

/** The value that is `ticks` modulo 2^33 and nearest to `near`. */
export function unwrapTs(ticks: number, near: number): number {
  return ticks + Math.round((near - ticks) / TS_WRAP) * TS_WRAP;
}

/**
 * What the slice at `path` holds, from its first key frame and first sound.
 * Throws a Fault when it is no transport stream of ours.
 */
export async function probeSlice(path: string): Promise<Streams> {
  using input = await Input.open(path);
  const { video, audio } = input;
  let videoStream: VideoStream | undefined;
  let audioStream: AudioStream | undefined;
  for await (const { stream, data } of input.packets()) {
    if (stream === video && !videoStream) {
      const extradata = parameterSetsOf(data);
      const { num, den } = video.rFrameRate;
      if (extradata.length > 0)
        videoStream = { width: video.codecpar.width, height: video.codecpar.height, fps: num / den, extradata };
    }
    if (stream === audio && !audioStream) {
      const extradata = audioConfigOf(data);
      if (extradata)
        audioStream = {
          sampleRate: audio.codecpar.sampleRate,
          channels: audio.codecpar.channels === 1 ? 1 : 2,
          extradata,
        };
    }
    if ((videoStream || !video) && (audioStream || !audio)) break;
  }
  return { video: videoStream, audio: audioStream };
}

/**
 * The samples of the slices, in file order, with times from recording zero. A torn last packet is left out.
 * Throws a Fault for a file that is no transport stream of ours.
 */
export async function* readSlices(paths: readonly string[]): AsyncGenerator<EncodedSample> {
  let near = rescale(TS_ZERO_US, US, TS_RATE);
  for (const path of paths) {
    using input = await Input.open(path);
    const { video } = input;
    for await (const packet of input.packets()) {
      const { stream, data } = packet;
      const kind = stream === video ? 'video' : 'audio';
      near = unwrapTs(packet.dts, near);
      const us = (ticks: number) => rescale(ticks, TS_RATE, US) - TS_ZERO_US;
      const dtsUs = us(near);
      const ptsUs = us(unwrapTs(packet.pts, near));
      if (kind === 'video') {
        const { num, den } = stream.rFrameRate;
        const durationUs = packet.duration > 0 ? rescale(packet.duration, TS_RATE, US) : rescale(den, num, US);
        yield { kind, ptsUs, dtsUs, durationUs, keyFrame: packet.keyFrame, data };
      } else {
        const raw = withoutAdts(data);
        if (!raw) continue;
        const durationUs = rescale(1024, stream.codecpar.sampleRate, US);
        yield { kind, ptsUs, dtsUs, durationUs, keyFrame: true, data: raw };
      }
    }
  }
}

type InputPacket = { stream: Stream; pts: number; dts: number; duration: number; keyFrame: boolean; data: Buffer };

/** One opened slice. */
class Input implements Disposable {
  readonly video: Stream | undefined;
  readonly audio: Stream | undefined;
  #context: FormatContext;

  private constructor(context: FormatContext) {
    this.#context = context;
    const streams = context.streams;
    this.video = streams.find((s) => s.codecpar.codecId === AV_CODEC_ID_H264);
    this.audio = streams.find((s) => s.codecpar.codecId === AV_CODEC_ID_AAC);
  }

  static async open(path: string): Promise<Input> {
    const context = new FormatContext();
    try {
      // Named, so that FFmpeg does not guess another format from a damaged file.
      const format = InputFormat.findInputFormat('mpegts');
      check(await context.openInput(`file:${path}`, format, null), `opening ${path}`);
      check(await context.findStreamInfo(null), `reading ${path}`);
    } catch (cause) {
      context.closeInputSync();
      throw new Fault('slice-unreadable', `${path} is not a readable slice`, { blame: 'self', cause });
    }
    return new Input(context);
  }

  async *packets(): AsyncGenerator<InputPacket> {
    const { video, audio } = this;
    using packet = new Packet();
    packet.alloc();
    for (;;) {
      const code = await this.#context.readFrame(packet);
      if (code === AVERROR_EOF) return;
      check(code, 'reading a slice');
      const stream = [video, audio].find((s) => s?.index === packet.streamIndex);
      const { pts, dts, data } = packet;
      if (stream && data && pts !== AV_NOPTS_VALUE && !packet.hasFlags(AV_PKT_FLAG_CORRUPT))
        yield {
          stream,
          pts: Number(pts),
          dts: Number(dts === AV_NOPTS_VALUE ? pts : dts),
          duration: Number(packet.duration),
          keyFrame: packet.isKeyframe,
          data: Buffer.from(data),
        };
      packet.unref();
    }
  }

  [Symbol.dispose](): void {
    this.#context.closeInputSync();
  }
}
