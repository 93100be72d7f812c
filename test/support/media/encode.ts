/**
 * Encoders for made media, on FFmpeg's libraries: H.264, VP8, VP9 and AV1 as WebRTC senders use them, Opus and AAC for
 * sound. Calls are synchronous: the pictures are small and each publisher has a process of its own.
 */
import { execFileSync } from 'node:child_process';
import {
  AV_CHANNEL_ORDER_NATIVE,
  AV_CODEC_FLAG_GLOBAL_HEADER,
  AV_LOG_ERROR,
  AV_NOPTS_VALUE,
  AV_PICTURE_TYPE_I,
  AV_PICTURE_TYPE_NONE,
  AV_PIX_FMT_YUV420P,
  AV_SAMPLE_FMT_FLT,
  AV_SAMPLE_FMT_FLTP,
  AVCOL_PRI_BT709,
  AVCOL_RANGE_JPEG,
  AVCOL_RANGE_MPEG,
  AVCOL_TRC_BT709,
  type AVColorSpace,
  AVERROR_EAGAIN,
  AVERROR_EOF,
  type FFEncoderCodec,
} from 'node-av/constants';
import { avImageCopy2, Codec, CodecContext, FFmpegError, Frame, Log, Packet, Rational } from 'node-av/lib';
import type { VideoColor } from '../../../src/media/track.ts';
import { SOUND_RATE, splitPlanes } from './made-media.ts';

/** One encoded packet; `pts` and `dts` in the encoder's time base. */
export type Encoded = { data: Buffer; pts: number; dts: number; duration: number; keyFrame: boolean };

export type VideoCodecName = 'h264' | 'vp8' | 'vp9' | 'av1';
const ENCODERS = { h264: 'libx264', vp8: 'libvpx', vp9: 'libvpx-vp9', av1: 'libsvtav1' } as const;
export type VideoEncoding = {
  codec: VideoCodecName;
  width: number;
  height: number;
  fps: number;
  bitrateKbps: number;
  /** Frames from key frame to key frame. */
  gopFrames: number;
  /** `live` is what a WebRTC sender does: baseline without delay. `file` allows B-frames. */
  use?: 'live' | 'file';
  /** H.264 only: pictures in a row that refer to a later one, as OBS and FFmpeg send. 0 by default of a `live` use. */
  bFrames?: number;
  /** Puts parameter sets into the stream's header instead of before each key frame, as MP4 wants them. */
  globalHeader?: boolean;
  /** What the stream says of its colours; nothing when left out. */
  color?: VideoColor | undefined;
  /** Width of a pixel by its height, which only H.264 has a place for. */
  sampleAspect?: readonly [number, number] | undefined;
};

/** Throws an Error that says what was being done when `code` is an FFmpeg error. */
export function must(code: number, doing: string): number {
  if (code < 0) throw new Error(`${doing}: ${FFmpegError.strerror(code)}`);
  return code;
}

Log.setLevel(AV_LOG_ERROR);

export class VideoEncoder {
  readonly context = new CodecContext();
  readonly fps: number;
  #frame = new Frame();
  #packet = new Packet();
  #isFlushed = false;
  #width: number;
  #height: number;

  constructor(encoding: VideoEncoding) {
    const { codec, width, height, fps, bitrateKbps, gopFrames } = encoding;
    const { bFrames = 0 } = encoding;
    const live = (encoding.use ?? 'live') === 'live' && bFrames === 0;
    const encoder = Codec.findEncoderByName(ENCODERS[codec] as FFEncoderCodec);
    if (!encoder) throw new Error(`this FFmpeg has no encoder for ${codec}`);
    const c = this.context;
    c.allocContext3(encoder);
    c.width = width;
    c.height = height;
    c.pixelFormat = AV_PIX_FMT_YUV420P;
    c.timeBase = new Rational(1, fps);
    c.framerate = new Rational(fps, 1);
    c.gopSize = gopFrames;
    c.bitRate = BigInt(bitrateKbps * 1000);
    c.threadCount = 1;
    if (live || codec !== 'h264') c.maxBFrames = 0;
    if (encoding.globalHeader) c.setFlags(AV_CODEC_FLAG_GLOBAL_HEADER);
    if (encoding.color) sayColor(c, encoding.color);
    if (encoding.sampleAspect) c.sampleAspectRatio = new Rational(...encoding.sampleAspect);
    const options = optionsOf(codec, gopFrames);
    if (bFrames > 0) options['x264-params'] += `:bframes=${bFrames}:b-adapt=0:rc-lookahead=0:sync-lookahead=0`;
    if (codec === 'h264' && live) Object.assign(options, { tune: 'zerolatency', profile: 'baseline', level: '3.1' });
    if (codec === 'h264' && live) {
      c.rcMaxRate = BigInt(bitrateKbps * 1500);
      c.rcBufferSize = bitrateKbps * 1500;
    }
    open(c, encoder, options, codec);
    this.fps = fps;
    this.#width = width;
    this.#height = height;
    this.#packet.alloc();
    this.#frame.alloc();
    this.#frame.width = width;
    this.#frame.height = height;
    this.#frame.format = AV_PIX_FMT_YUV420P;
    must(this.#frame.getBuffer(), 'allocating a picture');
  }

  /** @param pts frame number in 1/fps */
  encode(i420: Buffer, pts: number, keyFrame = false): Encoded[] {
    const frame = this.#frame;
    must(frame.makeWritable(), 'getting a picture to draw on');
    const { y, u, v } = splitPlanes(i420, this.#width, this.#height);
    const half = this.#width / 2;
    const from = [this.#width, half, half];
    avImageCopy2(frame.data ?? [], frame.linesize, [y, u, v], from, AV_PIX_FMT_YUV420P, this.#width, this.#height);
    frame.pts = BigInt(pts);
    frame.pictType = keyFrame ? AV_PICTURE_TYPE_I : AV_PICTURE_TYPE_NONE;
    must(this.context.sendFrameSync(frame), 'encoding a picture');
    return drain(this.context, this.#packet);
  }

  flush(): Encoded[] {
    this.#isFlushed = true;
    must(this.context.sendFrameSync(null), 'flushing the video encoder');
    return drain(this.context, this.#packet);
  }

  close(): void {
    // SVT-AV1 may wait for its own threads for ever when it is freed before it was told of the end.
    if (!this.#isFlushed) this.flush();
    this.#frame.free();
    this.#packet.free();
    this.context.freeContext();
  }
}

/**
 * Primaries and transfer are those of cameras and canvases, whatever the matrix. FFmpeg's numbers are those of H.273.
 */
function sayColor(context: CodecContext, { matrix, fullRange }: VideoColor): void {
  context.colorRange = fullRange ? AVCOL_RANGE_JPEG : AVCOL_RANGE_MPEG;
  context.colorSpace = matrix as AVColorSpace;
  context.colorPrimaries = AVCOL_PRI_BT709;
  context.colorTrc = AVCOL_TRC_BT709;
}

function optionsOf(codec: VideoCodecName, gopFrames: number): Record<string, string> {
  switch (codec) {
    case 'h264':
      return { preset: 'ultrafast', 'x264-params': `scenecut=0:keyint=${gopFrames}:min-keyint=1:open-gop=0` };
    case 'vp8':
      return { deadline: 'realtime', 'cpu-used': '12', 'lag-in-frames': '0', 'error-resilient': 'default' };
    case 'vp9':
      return { deadline: 'realtime', 'cpu-used': '8', 'lag-in-frames': '0', 'error-resilient': 'default' };
    case 'av1':
      // Each picture is predicted from earlier ones only, and comes out before the next goes in. Presets from 10 on
      // leave a block of 16×16 now and then as it was in the picture before, and a stamp then reads as of another time.
      return { preset: '8', 'svtav1-params': 'pred-struct=1:lookahead=0:scd=0:lp=1:rc=2' };
  }
}

export type AudioEncoding = {
  codec: 'opus' | 'aac';
  channels: 1 | 2;
  bitrateKbps: number;
  globalHeader?: boolean;
  /** Opus only: silence becomes packets of a byte or two, which senders leave out (RFC 6716 §2.1.9). */
  dtx?: boolean;
};

export class AudioEncoder {
  readonly context = new CodecContext();
  /** Samples per channel that each `encode` takes. */
  readonly frameSamples: number;
  #packet = new Packet();
  #channels: 1 | 2;
  #planar: boolean;

  constructor({ codec, channels, bitrateKbps, globalHeader, dtx }: AudioEncoding) {
    const encoder = Codec.findEncoderByName((codec === 'opus' ? 'libopus' : 'aac') as FFEncoderCodec);
    if (!encoder) throw new Error(`this FFmpeg has no encoder for ${codec}`);
    this.#planar = codec === 'aac';
    const c = this.context;
    c.allocContext3(encoder);
    c.sampleRate = SOUND_RATE;
    c.sampleFormat = this.#planar ? AV_SAMPLE_FMT_FLTP : AV_SAMPLE_FMT_FLT;
    c.channelLayout = layoutOf(channels);
    c.bitRate = BigInt(bitrateKbps * 1000);
    c.timeBase = new Rational(1, SOUND_RATE);
    if (globalHeader) c.setFlags(AV_CODEC_FLAG_GLOBAL_HEADER);
    // In-band error correction makes senders hold back nothing, and 20 ms is what browsers send.
    const options: Record<string, string> = codec === 'opus' ? { application: 'audio', frame_duration: '20' } : {};
    if (dtx) options['dtx'] = '1';
    open(c, encoder, options, codec);
    this.frameSamples = c.frameSize;
    this.#channels = channels;
    this.#packet.alloc();
  }

  /**
   * @param mono exactly `frameSamples` samples, put on every channel
   * @param pts of the first sample, in samples
   * @param levels of each channel, instead of 1
   */
  encode(mono: Float32Array, pts: number, levels: readonly number[] = []): Encoded[] {
    const samples = new Float32Array(mono.length * this.#channels);
    for (let c = 0; c < this.#channels; c++) {
      const [from, step] = this.#planar ? [c * mono.length, 1] : [c, this.#channels];
      for (const [i, sample] of mono.entries()) samples[from + i * step] = sample * (levels[c] ?? 1);
    }
    const frame = Frame.fromAudioBuffer(Buffer.from(samples.buffer), {
      nbSamples: mono.length,
      format: this.#planar ? AV_SAMPLE_FMT_FLTP : AV_SAMPLE_FMT_FLT,
      sampleRate: SOUND_RATE,
      channelLayout: layoutOf(this.#channels),
      timeBase: { num: 1, den: SOUND_RATE },
      pts: BigInt(pts),
    });
    try {
      must(this.context.sendFrameSync(frame), 'encoding sound');
    } finally {
      frame.free();
    }
    return drain(this.context, this.#packet);
  }

  flush(): Encoded[] {
    must(this.context.sendFrameSync(null), 'flushing the audio encoder');
    return drain(this.context, this.#packet);
  }

  close(): void {
    this.#packet.free();
    this.context.freeContext();
  }
}

function layoutOf(channels: 1 | 2) {
  return { nbChannels: channels, order: AV_CHANNEL_ORDER_NATIVE, mask: channels === 1 ? 4n : 3n };
}

/** Options go in one by one: node-av 6.1 frees a Dictionary given to `open2` twice, which ends the process. */
function open(context: CodecContext, encoder: Codec, options: Record<string, string>, name: string): void {
  for (const [key, value] of Object.entries(options)) must(context.setOption(key, value), `setting ${name}'s ${key}`);
  must(context.open2Sync(encoder), `opening the ${name} encoder`);
  if (name === 'av1') leaveRealTime();
}

/**
 * Where it may, SVT-AV1 makes its threads real-time (SCHED_FIFO, 99), and the one that opens it too. What that one
 * starts inherits it: a publisher or a browser then takes the machine from the recorder that it is to be recorded by.
 */
function leaveRealTime(): void {
  execFileSync('chrt', ['--all-tasks', '--other', '--pid', '0', String(process.pid)]);
}

function drain(context: CodecContext, packet: Packet): Encoded[] {
  const out: Encoded[] = [];
  for (;;) {
    const code = context.receivePacketSync(packet);
    if (code === AVERROR_EAGAIN || code === AVERROR_EOF) return out;
    must(code, 'reading from the encoder');
    out.push({
      data: Buffer.from(packet.data ?? Buffer.alloc(0)),
      pts: Number(packet.pts),
      dts: Number(packet.dts === AV_NOPTS_VALUE ? packet.pts : packet.dts),
      duration: Number(packet.duration),
      keyFrame: packet.isKeyframe,
    });
    packet.unref();
  }
}
