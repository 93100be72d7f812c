/** What both muxers share at the FFmpeg edge: descriptions of streams, checked calls, and samples as FFmpeg packets. */

import {
  AV_CHANNEL_LAYOUT_MONO,
  AV_CHANNEL_LAYOUT_STEREO,
  AV_CODEC_ID_AAC,
  AV_CODEC_ID_AV1,
  AV_CODEC_ID_H264,
  AV_CODEC_ID_OPUS,
  AV_CODEC_ID_VP8,
  AV_CODEC_ID_VP9,
  AV_PIX_FMT_YUV420P,
  AV_PKT_DATA_DISPLAYMATRIX,
  AV_PKT_FLAG_KEY,
  AV_PROFILE_AAC_LOW,
  AV_PROFILE_VP9_0,
  AVERROR_INVALIDDATA,
  AVMEDIA_TYPE_AUDIO,
  AVMEDIA_TYPE_VIDEO,
} from 'node-av/constants';
import { type CodecParameters, type FormatContext, type Packet, Rational, type Stream } from 'node-av/lib';
import { Fault } from '../../kernel/fault.ts';
import { rescale, US } from '../../kernel/time.ts';
import type { SampleAspect } from '../../media/frame.ts';
import type { EncodedSample } from '../../media/sample.ts';
import type { RotateEvent } from '../../media/segment.ts';
import type { MediaKind, VideoCodec } from '../../media/track.ts';

/**
 * H.264: `extradata` is SPS and PPS in Annex B; every IDR sample also carries them in band. A stream that is passed on
 * has no steady frame rate, tells its colours itself, and may lack `extradata`. Of the other codecs (only in MP4) AV1
 * needs `extradata`, its configuration record.
 */
export type VideoStream = {
  /** H.264 when left out. */
  codec?: VideoCodec | undefined;
  width: number;
  height: number;
  fps?: number;
  extradata?: Buffer | undefined;
  /** The colours that the stream itself tells: some players believe only the container. */
  color?: StreamColor | undefined;
  /** Width of a pixel by its height, as the stream itself tells it; square when left out. */
  sampleAspect?: SampleAspect | undefined;
  /** How players are to turn the pictures, anticlockwise degrees (MP4 only). */
  rotate?: RotateEvent['rotate'] | undefined;
};
/** Named as in FFmpeg; the numbers are H.273's. */
type StreamColor = Pick<CodecParameters, 'colorRange' | 'colorSpace' | 'colorPrimaries' | 'colorTrc'>;
/** AAC-LC, whose `extradata` is the AudioSpecificConfig (ISO 14496-3 §1.6.2), or Opus as it came, which needs none. */
export type AudioStream =
  | { codec?: 'aac' | undefined; sampleRate: number; channels: 1 | 2; extradata: Buffer }
  | { codec: 'opus'; sampleRate: 48000; channels: 1 | 2 };

export type Streams = { video?: VideoStream | undefined; audio?: AudioStream | undefined };

/** The kinds that `streams` contains. Throws a Fault when there are none. */
export function kindsOf(streams: Streams): MediaKind[] {
  const kinds: MediaKind[] = [];
  if (streams.video) kinds.push('video');
  if (streams.audio) kinds.push('audio');
  if (kinds.length === 0) throw new Fault('no-streams', 'a file needs a video or an audio stream', { blame: 'self' });
  return kinds;
}

/** Linux's error numbers, which FFmpeg passes on negated: no space, and quota exceeded. */
const NO_ROOM = new Set([-28, -122]);
const IO_FAILED = -5;
/**
 * What FFmpeg's muxers return for a sample that they refuse, such as one whose time goes back; the file stays sound.
 */
const REFUSED = new Set([-1, -22, AVERROR_INVALIDDATA]);

/** Throws a Fault for a negative FFmpeg return code. */
export function check(code: number, what: string): void {
  if (code >= 0) return;
  if (NO_ROOM.has(code))
    throw new Fault('spool-full', `${what}: no space is left on the disk that holds the spool`, { blame: 'self' });
  if (code === IO_FAILED)
    throw new Fault('mux-failed', `${what}: the disk that holds the spool fails (EIO)`, { blame: 'self' });
  throw new Fault('mux-failed', `${what}: FFmpeg returned ${code}`, { blame: 'self' });
}

/**
 * As `check`, for the return code of writing one sample. A Fault with code `sample-refused` says that only this sample
 * is at fault: the muxer takes the next ones.
 */
export function checkSample(code: number, what: string): void {
  if (REFUSED.has(code))
    throw new Fault('sample-refused', `${what}: FFmpeg refused a sample (${code})`, { blame: 'channel' });
  check(code, what);
}

/** A stream of `context`, with the tick rate that the muxer was asked for before the header was written. */
export type MuxStream = { stream: Stream; kind: MediaKind; ticks?: Ticks };
/** How the muxer counts, once the header is written: asking it for each sample costs more than the sample. */
type Ticks = { index: number; timeBase: Rational };

/**
 * Adds the streams to an output context, picture first.
 * @param videoRate ticks per second of the video stream; sound counts in its sample rate
 */
export function addStreams(context: FormatContext, streams: Streams, videoRate: number): MuxStream[] {
  const added: MuxStream[] = [];
  const { video, audio } = streams;
  if (video) {
    const stream = context.newStream(null);
    describeVideo(stream.codecpar, video);
    stream.timeBase = new Rational(1, videoRate);
    if (video.sampleAspect) stream.sampleAspectRatio = rationalOf(video.sampleAspect);
    if (video.fps !== undefined) {
      stream.avgFrameRate = new Rational(video.fps, 1);
      stream.rFrameRate = new Rational(video.fps, 1);
    }
    added.push({ stream, kind: 'video' });
  }
  if (audio) {
    const stream = context.newStream(null);
    describeAudio(stream.codecpar, audio);
    stream.timeBase = new Rational(1, audio.sampleRate);
    added.push({ stream, kind: 'audio' });
  }
  return added;
}

const VIDEO_CODEC_IDS = {
  h264: AV_CODEC_ID_H264,
  vp8: AV_CODEC_ID_VP8,
  vp9: AV_CODEC_ID_VP9,
  av1: AV_CODEC_ID_AV1,
} as const;

function describeVideo(parameters: CodecParameters, video: VideoStream): void {
  parameters.codecType = AVMEDIA_TYPE_VIDEO;
  parameters.codecId = VIDEO_CODEC_IDS[video.codec ?? 'h264'];
  if (video.extradata) parameters.extradata = video.extradata;
  // MP4's index tells what WebM leaves to the VP9 stream. WebRTC sends profile 0: 8 bits, chroma halved both ways.
  if (video.codec === 'vp9') {
    parameters.format = AV_PIX_FMT_YUV420P;
    parameters.profile = AV_PROFILE_VP9_0;
  }
  parameters.width = video.width;
  parameters.height = video.height;
  if (video.color) Object.assign(parameters, video.color);
  if (video.sampleAspect) parameters.sampleAspectRatio = rationalOf(video.sampleAspect);
  if (video.rotate)
    check(parameters.addCodedSideData(AV_PKT_DATA_DISPLAYMATRIX, turningMatrix(video)), 'turning the picture');
}

function rationalOf({ num, den }: SampleAspect): Rational {
  return new Rational(num, den);
}

/**
 * The matrix of ISO/IEC 14496-12 §6.2.2, as FFmpeg has it: nine numbers, of which those for directions and places have
 * 16 fractional bits and the last has 30. A turned picture is moved back to where its corner was.
 */
function turningMatrix({ rotate, width, height }: VideoStream): Buffer {
  const turns: Partial<Record<number, [a: number, b: number, c: number, d: number, x: number, y: number]>> = {
    90: [0, -1, 1, 0, 0, width],
    180: [-1, 0, 0, -1, width, height],
    270: [0, 1, -1, 0, height, 0],
  };
  const [a, b, c, d, x, y] = turns[rotate ?? 0] ?? [1, 0, 0, 1, 0, 0];
  const fixed = (value: number) => value * 2 ** 16;
  const matrix = Int32Array.of(fixed(a), fixed(b), 0, fixed(c), fixed(d), 0, fixed(x), fixed(y), 2 ** 30);
  return Buffer.from(matrix.buffer);
}

function describeAudio(parameters: CodecParameters, audio: AudioStream): void {
  parameters.codecType = AVMEDIA_TYPE_AUDIO;
  parameters.sampleRate = audio.sampleRate;
  parameters.channelLayout = audio.channels === 2 ? AV_CHANNEL_LAYOUT_STEREO : AV_CHANNEL_LAYOUT_MONO;
  if (audio.codec === 'opus') {
    parameters.codecId = AV_CODEC_ID_OPUS;
    parameters.frameSize = 960;
    parameters.extradata = opusHead(audio.channels);
    return;
  }
  parameters.codecId = AV_CODEC_ID_AAC;
  parameters.profile = AV_PROFILE_AAC_LOW;
  parameters.frameSize = 1024;
  parameters.extradata = audio.extradata;
}

/**
 * As RFC 7845 §5.1 says. Nothing is skipped at the start, because the times of a received stream are those of what is
 * heard.
 */
function opusHead(channels: 1 | 2): Buffer {
  const head = Buffer.alloc(19);
  head.write('OpusHead', 'latin1');
  head.writeUInt8(1, 8);
  head.writeUInt8(channels, 9);
  head.writeUInt32LE(48_000, 12);
  return head;
}

/**
 * Fills `packet` with `sample`; its times are moved by `offsetUs` and converted to the ticks of the stream, whose
 * header is written.
 */
export function fillPacket(packet: Packet, sample: EncodedSample, target: MuxStream, offsetUs: number): void {
  const { stream } = target;
  target.ticks ??= { index: stream.index, timeBase: stream.timeBase };
  const { index, timeBase } = target.ticks;
  const { num, den } = timeBase;
  const ticks = (us: number) => rescale(us, US * num, den);
  packet.unref();
  packet.data = sample.data;
  packet.streamIndex = index;
  packet.pts = BigInt(ticks(sample.ptsUs + offsetUs));
  packet.dts = BigInt(ticks(sample.dtsUs + offsetUs));
  packet.duration = BigInt(ticks(sample.durationUs));
  packet.timeBase = timeBase;
  if (sample.keyFrame) packet.setFlags(AV_PKT_FLAG_KEY);
}
