/**
 * Reads slices of this server (MPEG-TS, WebM, fragmented MP4) back into samples in the recording's time, to make
 * something of them later: MP4s, mixes, or files that a crash left unfinished.
 */

import {
  AV_CODEC_ID_AAC,
  AV_CODEC_ID_AV1,
  AV_CODEC_ID_H264,
  AV_CODEC_ID_OPUS,
  AV_CODEC_ID_VP8,
  AV_CODEC_ID_VP9,
  AV_NOPTS_VALUE,
  AV_PKT_FLAG_CORRUPT,
  AVERROR_EOF,
} from 'node-av/constants';
import { Dictionary, FormatContext, InputFormat, Packet, type Stream } from 'node-av/lib';
import { Fault } from '../../kernel/fault.ts';
import { type RecordingUs, rescale, type StreamUs, US } from '../../kernel/time.ts';
import { av1ConfigOf } from '../../media/av1-sequence.ts';
import { sampleAspectOf } from '../../media/frame.ts';
import type { EncodedSample } from '../../media/sample.ts';
import type { MediaKind, VideoCodec } from '../../media/track.ts';
import { audioConfigOf, parameterSetsOf, withoutAdts } from './bitstream.ts';
import { type AudioStream, check, type Streams, type VideoStream } from './stream.ts';
import { TS_ZERO_US } from './ts/ts-slices.ts';
import { unwrapTs } from './ts/ts-time.ts';

export type SliceCodec = VideoCodec | 'aac' | 'opus';

export type SliceSample = EncodedSample & {
  codec: SliceCodec;
  /** For AAC: the AudioSpecificConfig (ISO 14496-3 §1.6.2), which a decoder needs. */
  config?: Buffer | undefined;
};

const TS_RATE = 90_000;
/** Packets are read, in some milliseconds, until whatever else waits for this thread has its turn. */
const PACKETS_AT_ONCE = 64;
/** Duration of a picture that is the only one of its slice. */
const ONE_PICTURE_US = 33_333;

const CODECS = new Map<number, { kind: MediaKind; codec: SliceCodec }>([
  [AV_CODEC_ID_H264, { kind: 'video', codec: 'h264' }],
  [AV_CODEC_ID_VP8, { kind: 'video', codec: 'vp8' }],
  [AV_CODEC_ID_VP9, { kind: 'video', codec: 'vp9' }],
  [AV_CODEC_ID_AV1, { kind: 'video', codec: 'av1' }],
  [AV_CODEC_ID_AAC, { kind: 'audio', codec: 'aac' }],
  [AV_CODEC_ID_OPUS, { kind: 'audio', codec: 'opus' }],
]);

/**
 * The streams of the slice at `path`, told by its first key frame and first sound. Throws a Fault when it is no slice
 * of ours.
 */
export async function probeSlice(path: string): Promise<Streams> {
  using input = await Input.open(path, 'told');
  const missing = new Set(input.lanes.map(({ kind }) => kind));
  const found: Streams = {};
  for await (const { lane, data } of input.packets()) {
    if (!missing.has(lane.kind)) continue;
    if (lane.kind === 'video') found.video = videoStreamOf(lane, data);
    else found.audio = audioStreamOf(lane, data);
    if (found[lane.kind]) missing.delete(lane.kind);
    if (missing.size === 0) break;
  }
  return { video: found.video, audio: found.audio };
}

function videoStreamOf({ stream, codec }: Lane, data: Buffer): VideoStream | undefined {
  const { width, height, colorRange, colorSpace, colorPrimaries, colorTrc } = stream.codecpar;
  const color = { colorRange, colorSpace, colorPrimaries, colorTrc };
  if (codec === 'vp8' || codec === 'vp9') return { codec, width, height, color };
  if (codec === 'av1') {
    const extradata = av1ConfigOf(data);
    return extradata && { codec, width, height, extradata, color };
  }
  const extradata = parameterSetsOf(data);
  const { num, den } = stream.rFrameRate;
  const sampleAspect = sampleAspectOf(stream.codecpar.sampleAspectRatio);
  return extradata.length > 0 ? { width, height, fps: num / den, extradata, color, sampleAspect } : undefined;
}

function audioStreamOf({ stream, codec }: Lane, data: Buffer): AudioStream | undefined {
  const { sampleRate } = stream.codecpar;
  const channels = stream.codecpar.channels === 1 ? 1 : 2;
  if (codec === 'opus') return { codec, sampleRate: 48_000, channels };
  const extradata = stream.codecpar.extradata ?? audioConfigOf(data);
  return extradata && { sampleRate, channels, extradata: Buffer.from(extradata) };
}

/**
 * The samples of the slices at `paths`, in file order, as `readSamples` gives them.
 * @param nearUs as in `readSamples`, for the first slice
 */
export async function* readSlices(paths: readonly string[], nearUs: RecordingUs = 0): AsyncGenerator<SliceSample> {
  let near = nearUs;
  for (const path of paths)
    for await (const sample of readSamples(path, near)) {
      near = sample.dtsUs;
      yield sample;
    }
}

/**
 * The samples of the slice at `path`, in file order, with times from the recording's zero. A picture lasts until the
 * next. A torn last packet is left out. Throws a Fault for a file that is no slice of ours.
 * @param nearUs the slice's approximate place in the recording, to half a day; the times of a transport stream repeat
 * after a day
 */
export async function* readSamples(path: string, nearUs = 0): AsyncGenerator<SliceSample> {
  using input = await Input.open(path);
  /** Samples after a picture whose end is not known yet. */
  let held: SliceSample[] = [];
  let pictureUs = ONE_PICTURE_US;
  let near = nearUs;
  for await (const packet of input.packets()) {
    const sample = input.sampleOf(packet, near);
    if (!sample) continue;
    near = sample.dtsUs;
    const picture = held[0];
    if (picture && sample.kind === 'video') {
      pictureUs = Math.max(0, sample.dtsUs - picture.dtsUs);
      yield { ...picture, durationUs: pictureUs };
      yield* held.slice(1);
      held = [sample];
    } else if (picture || sample.kind === 'video') held.push(sample);
    else yield sample;
  }
  const [last, ...rest] = held;
  if (last) yield { ...last, durationUs: last.durationUs || pictureUs };
  yield* rest;
}

type Lane = { stream: Stream; kind: MediaKind; codec: SliceCodec };
type InputPacket = { lane: Lane; pts: number; dts: number; duration: number; keyFrame: boolean; data: Buffer };

/** FFmpeg's name of each container; without it FFmpeg may guess another one from a damaged file. */
const FORMATS = { ts: 'mpegts', webm: 'matroska', m4s: 'mov' } as const;

/** Options of a context whose samples are read, without looking for the picture's rate and the length of the whole. */
const SAMPLES_ONLY = { fpsprobesize: '0', skip_estimate_duration_from_pts: '1' };

/** One opened slice. */
class Input implements Disposable {
  readonly lanes: Lane[] = [];
  #context: FormatContext;
  #isTs: boolean;

  private constructor(context: FormatContext, isTs: boolean) {
    this.#context = context;
    this.#isTs = isTs;
    for (const stream of context.streams) {
      const codec = CODECS.get(stream.codecpar.codecId);
      if (codec && !this.lanes.some(({ kind }) => kind === codec.kind)) this.lanes.push({ stream, ...codec });
    }
  }

  /** @param what `told` when the picture's rate matters, for which FFmpeg reads and decodes far more */
  static async open(path: string, what: 'told' | 'read' = 'read'): Promise<Input> {
    const extension = /\.(ts|webm|m4s)(\.part)?$/.exec(path)?.[1] as keyof typeof FORMATS | undefined;
    const context = new FormatContext();
    try {
      if (!extension) throw new Error('no extension of a slice');
      using options = Dictionary.fromObject(what === 'read' ? SAMPLES_ONLY : {});
      check(
        await context.openInput(`file:${path}`, InputFormat.findInputFormat(FORMATS[extension]), options),
        `opening ${path}`,
      );
      check(await context.findStreamInfo(null), `reading ${path}`);
    } catch (cause) {
      context.closeInputSync();
      throw new Fault('slice-unreadable', `${path} is not a readable slice`, { blame: 'self', cause });
    }
    return new Input(context, extension === 'ts');
  }

  async *packets(): AsyncGenerator<InputPacket> {
    using packet = new Packet();
    packet.alloc();
    for (let n = 1; ; n++) {
      if (n % PACKETS_AT_ONCE === 0) await new Promise<void>((resolve) => void setImmediate(resolve));
      // A thread of its own for each packet would cost more than the packet.
      const code = this.#context.readFrameSync(packet);
      if (code === AVERROR_EOF) return;
      check(code, 'reading a slice');
      const lane = this.lanes.find(({ stream }) => stream.index === packet.streamIndex);
      const { pts, dts, data } = packet;
      if (lane && data && pts !== AV_NOPTS_VALUE && !packet.hasFlags(AV_PKT_FLAG_CORRUPT))
        yield {
          lane,
          pts: Number(pts),
          dts: Number(dts === AV_NOPTS_VALUE ? pts : dts),
          duration: Number(packet.duration),
          keyFrame: packet.isKeyframe,
          data: Buffer.from(data),
        };
      packet.unref();
    }
  }

  /** The sample in the recording's time; undefined for sound that is incomplete. */
  sampleOf({ lane, data, ...packet }: InputPacket, nearUs: StreamUs): SliceSample | undefined {
    const { kind, codec, stream } = lane;
    const { num, den } = stream.timeBase;
    const inUs = (ticks: number) => rescale(ticks * num, den, US);
    const near = rescale(nearUs + TS_ZERO_US, US, TS_RATE);
    const us = (ticks: number) => (this.#isTs ? inUs(unwrapTs(ticks, near)) - TS_ZERO_US : inUs(ticks));
    const times = { kind, codec, ptsUs: us(packet.pts), dtsUs: us(packet.dts) };
    if (codec !== 'aac')
      return { ...times, durationUs: inUs(packet.duration), keyFrame: kind === 'audio' || packet.keyFrame, data };
    const raw = this.#isTs ? withoutAdts(data) : data;
    const config = this.#isTs ? audioConfigOf(data) : Buffer.from(stream.codecpar.extradata ?? []);
    const durationUs = rescale(1024, stream.codecpar.sampleRate, US);
    return raw && { ...times, durationUs, keyFrame: true, data: raw, config };
  }

  [Symbol.dispose](): void {
    this.#context.closeInputSync();
  }
}
