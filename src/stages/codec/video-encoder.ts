/**
 * H.264 encoder (libx264 veryfast, without B-frames). Access units are Annex B with SPS and PPS in band before every
 * IDR; the same SPS and PPS are known from the start as `extradata`, for writers that need them in a header. Encoding
 * runs on the thread pool, one call at a time.
 */
import {
  AV_CODEC_FLAG_GLOBAL_HEADER,
  AV_PICTURE_TYPE_I,
  AV_PICTURE_TYPE_NONE,
  AV_PIX_FMT_YUV420P,
  AVERROR_EAGAIN,
  AVERROR_EOF,
  FF_ENCODER_LIBX264,
} from 'node-av/constants';
import { Codec, CodecContext, FFmpegError, type Packet, Rational } from 'node-av/lib';
import { Fault, invariant } from '../../kernel/fault.ts';
import type { Picture } from '../../media/frame.ts';
import type { EncodedSample } from '../../media/sample.ts';
import { type ColorTags, PICTURE_COLOR } from './color-tags.ts';
import { freePacket, newPacket } from './native-frames.ts';
import { nativeOf } from './picture-pool.ts';

export type VideoEncoderOptions = {
  /** Even. */
  width: number;
  height: number;
  /** Frame n is shown at n / fps seconds. */
  fps: number;
  bitrateKbps: number;
  /** An IDR comes at the first frame on or after each multiple of this, counted in frame indexes. */
  keyIntervalFrames: number;
  /** Encoder threads; when left out, as many as the size and rate need to keep up. */
  threads?: number;
};

export class VideoEncoder {
  readonly width: number;
  readonly height: number;
  readonly fps: number;
  /** SPS and PPS, Annex B. */
  readonly extradata: Buffer;
  /** The colours that the parameter sets tell; containers tell the same. */
  readonly color: ColorTags;
  readonly #keyIntervalFrames: number;
  #context: CodecContext;
  #packet: Packet;
  #lastIndex = -1;
  #nextKeyIndex = 0;
  #busy = false;
  #closed = false;

  /** Throws a Fault when x264 refuses the options. */
  constructor(options: VideoEncoderOptions) {
    this.width = options.width;
    this.height = options.height;
    this.fps = options.fps;
    this.#keyIntervalFrames = options.keyIntervalFrames;
    this.#context = openEncoder(options);
    const extradata = this.#context.extraData;
    invariant(extradata, 'x264 gave no parameter sets');
    this.extradata = Buffer.from(extradata);
    const { colorRange, colorSpace, colorPrimaries, colorTrc } = this.#context;
    this.color = { colorRange, colorSpace, colorPrimaries, colorTrc };
    this.#packet = newPacket();
  }

  /**
   * Encodes one canvas as frame `frameIndex`, larger than the last; indexes may be left out. Resolves with the finished
   * units, in order: with lookahead they belong to earlier frames. The canvas is shared while it is read, so the caller
   * may free it at once. Await each call before the next.
   */
  async encode(canvas: Picture, frameIndex: number, options: { keyFrame?: boolean } = {}): Promise<EncodedSample[]> {
    invariant(!this.#closed && !this.#busy, 'one call of a video encoder at a time, and none after close');
    invariant(frameIndex > this.#lastIndex, `frame ${frameIndex} came after frame ${this.#lastIndex}`);
    const picture = nativeOf(canvas).share();
    this.#busy = true;
    try {
      const keyFrame = options.keyFrame === true || frameIndex >= this.#nextKeyIndex;
      if (frameIndex >= this.#nextKeyIndex)
        this.#nextKeyIndex = (Math.floor(frameIndex / this.#keyIntervalFrames) + 1) * this.#keyIntervalFrames;
      this.#lastIndex = frameIndex;
      const { frame } = picture;
      frame.pts = BigInt(frameIndex);
      frame.pictType = keyFrame ? AV_PICTURE_TYPE_I : AV_PICTURE_TYPE_NONE;
      check(await this.#context.sendFrame(frame), 'encoding a frame');
      // sendFrame did the work; this only fetches the result.
      return this.#fetch();
    } finally {
      picture.free();
      this.#idle();
    }
  }

  /** Ends the stream and resolves with everything that was held back. Only `close` may follow. */
  async flush(): Promise<EncodedSample[]> {
    invariant(!this.#closed && !this.#busy, 'one call of a video encoder at a time, and none after close');
    if (this.#lastIndex < 0) return [];
    this.#busy = true;
    try {
      check(await this.#context.sendFrame(null), 'ending the video');
      const samples: EncodedSample[] = [];
      for (;;) {
        const result = await this.#context.receivePacket(this.#packet);
        if (result === AVERROR_EOF) return samples;
        check(result, 'reading an encoded frame');
        samples.push(this.#takeSample());
      }
    } finally {
      this.#idle();
    }
  }

  /** Frees the encoder; a call that is still running ends first. Calling it again does nothing. */
  close(): void {
    if (this.#closed) return;
    this.#closed = true;
    if (!this.#busy) this.#free();
  }

  #idle(): void {
    this.#busy = false;
    if (this.#closed) this.#free();
  }

  #free(): void {
    freePacket(this.#packet);
    this.#context.freeContext();
  }

  #fetch(): EncodedSample[] {
    const samples: EncodedSample[] = [];
    for (;;) {
      const result = this.#context.receivePacketSync(this.#packet);
      if (result === AVERROR_EAGAIN) return samples;
      check(result, 'reading an encoded frame');
      samples.push(this.#takeSample());
    }
  }

  #takeSample(): EncodedSample {
    const packet = this.#packet;
    const { data } = packet;
    invariant(data, 'an encoded frame has data');
    const index = Number(packet.pts);
    const ptsUs = this.#timeUs(index);
    const sample: EncodedSample = {
      kind: 'video',
      ptsUs,
      dtsUs: this.#timeUs(Number(packet.dts)),
      durationUs: this.#timeUs(index + 1) - ptsUs,
      keyFrame: packet.isKeyframe,
      data: Buffer.from(packet.isKeyframe ? withoutLeadingSei(data) : data),
    };
    packet.unref();
    return sample;
  }

  #timeUs(index: number): number {
    return Math.round((index * 1_000_000) / this.fps);
  }
}

function openEncoder(options: VideoEncoderOptions): CodecContext {
  const { width, height, fps, bitrateKbps, keyIntervalFrames } = options;
  invariant(width % 2 === 0 && height % 2 === 0, `a canvas of ${width}x${height} has an odd side`);
  const codec = Codec.findEncoderByName(FF_ENCODER_LIBX264);
  if (!codec) throw new Fault('codec-missing', 'this FFmpeg build has no libx264 encoder', { blame: 'self' });
  const context = new CodecContext();
  context.allocContext3(codec);
  context.width = width;
  context.height = height;
  context.pixelFormat = AV_PIX_FMT_YUV420P;
  context.timeBase = new Rational(1, fps);
  context.framerate = new Rational(fps, 1);
  context.bitRate = BigInt(bitrateKbps * 1000);
  context.rcMaxRate = BigInt(Math.round(bitrateKbps * 1200));
  context.rcBufferSize = bitrateKbps * 2000;
  context.gopSize = keyIntervalFrames;
  context.threadCount = options.threads ?? threadsFor(width * height * fps);
  Object.assign(context, PICTURE_COLOR);
  context.setFlags(AV_CODEC_FLAG_GLOBAL_HEADER);
  // Options are set one by one: node-av 6.1 frees a Dictionary given to open2 twice, which ends the process.
  const settings: [string, string][] = [
    ['preset', 'veryfast'],
    ['profile', 'high'],
    ['forced-idr', '1'],
    // Without scenecut key frames come only where asked for. repeat-headers: the global header flag alone takes SPS and
    // PPS out of the stream. B-frames are a third of the encoder's work where all moves. At one bit rate they are worth
    // 0.1 to 0.4 dB of SSIM; choosing quantizers by the variance of each block (aq-mode 2) wins part of that back,
    // nearly all in meetings (bench/encoder.ts).
    ['x264-params', 'scenecut=0:repeat-headers=1:bframes=0:aq-mode=2:aq-strength=0.8'],
  ];
  for (const [name, value] of settings) check(context.setOption(name, value), `setting x264's ${name}`);
  const result = context.open2Sync(codec);
  if (result < 0) {
    context.freeContext();
    throw new Fault('codec-open', `x264 did not open for ${width}x${height} at ${fps} fps, ${bitrateKbps} kbit/s`, {
      blame: 'self',
      cause: new FFmpegError(result),
    });
  }
  return context;
}

/**
 * One thread encodes 1280x720 at 30 fps in about a third of real time; each further one adds its share of latency and
 * memory.
 */
function threadsFor(pixelsPerSecond: number): number {
  return Math.min(4, Math.max(1, Math.ceil(pixelsPerSecond / (1280 * 720 * 40))));
}

function check(result: number, doing: string): void {
  if (result >= 0) return;
  throw new Fault('encode-failed', `${doing} failed: ${FFmpegError.strerror(result)}`, { blame: 'self' });
}

/** The first unit begins with an SEI about x264's settings, where strict readers expect the SPS. */
function withoutLeadingSei(unit: Buffer): Buffer {
  if (nalTypeAt(unit, 0) !== 6) return unit;
  const next = unit.indexOf(Buffer.from([0, 0, 1]), 4);
  if (next < 0) return unit;
  const start = unit[next - 1] === 0 ? next - 1 : next;
  return nalTypeAt(unit, start) === 7 ? unit.subarray(start) : unit;
}

function nalTypeAt(unit: Buffer, start: number): number {
  const header = unit.readUInt32BE(start) === 1 ? start + 4 : start + 3;
  return unit.readUInt8(header) & 0x1f;
}
