/**
 * x264 as the encoder of pictures opens it: how much work goes into a picture can be chosen, and changes neither SPS
 * nor PPS, so that one stream may go on with another context.
 */
import { AV_CODEC_FLAG_GLOBAL_HEADER, AV_PIX_FMT_YUV420P, FF_ENCODER_LIBX264 } from 'node-av/constants';
import { Codec, CodecContext, FFmpegError, Rational } from 'node-av/lib';
import { Fault, invariant } from '../../kernel/fault.ts';
import { PICTURE_COLOR } from './color-tags.ts';

export type X264Options = {
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

/** How much work goes into a picture. */
export type Effort = {
  preset: 'veryfast' | 'superfast' | 'ultrafast';
  /** The part of the bit rate that is used: 1 is all of it. */
  detail: number;
};
export const USUAL_EFFORT: Effort = { preset: 'veryfast', detail: 1 };

/**
 * x264's own words, the same for all presets. Without scenecut key frames come only where asked for. repeat-headers:
 * the global header flag alone takes SPS and PPS out of the stream. B-frames are a third of the encoder's work where
 * all moves. At one bit rate they are worth 0.1 to 0.4 dB of SSIM; choosing quantizers by the variance of each block
 * (aq-mode 2) wins part of that back, nearly all in meetings (bench/encoder.ts). The last four are written in SPS and
 * PPS, and are as veryfast has them.
 */
const PARAMETERS = 'scenecut=0:repeat-headers=1:bframes=0:aq-mode=2:aq-strength=0.8:ref=1:cabac=1:8x8dct=1:weightp=1';
/**
 * What veryfast has besides; the faster presets do less of both. Whether blocks of a picture that are not predicted
 * from another one are tried as 8×8 besides 16×16 and 4×4: at one bit rate pictures come out better without, by up to
 * 1 dB of SSIM where fine texture moves, and 0.1 dB worse in meetings. How many frames are looked ahead: 5 instead of
 * 10 cost 0.02 to 0.08 dB, and save a twentieth of the work and 3 MB for each frame of 1280×720 (bench/encoder.ts).
 */
const CHOICES: Partial<Record<Effort['preset'], string>> = { veryfast: ':partitions=p8x8,i4x4:rc-lookahead=5' };

/** Throws a Fault when x264 refuses the options. The caller frees the context. */
export function openX264(options: X264Options, { preset, detail }: Effort): CodecContext {
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
  // The level in the SPS follows from the whole bit rate, whatever is used of it.
  setDetail(context, options, 1);
  context.rcBufferSize = bitrateKbps * 2000;
  context.gopSize = keyIntervalFrames;
  context.threadCount = options.threads ?? threadsFor(width * height * fps);
  Object.assign(context, PICTURE_COLOR);
  context.setFlags(AV_CODEC_FLAG_GLOBAL_HEADER);
  // Options are set one by one: node-av 6.1 frees a Dictionary given to open2 twice, which ends the process.
  const settings: [string, string][] = [
    ['preset', preset],
    ['profile', 'high'],
    ['forced-idr', '1'],
    // Takes to heart what a frame says of its parts that did not change.
    ['mb_info', '1'],
    ['x264-params', `${PARAMETERS}${CHOICES[preset] ?? ''}`],
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
  setDetail(context, options, detail);
  return context;
}

/** The part `detail` of the bit rate is used from the next frame on. */
export function setDetail(context: CodecContext, { bitrateKbps }: X264Options, detail: number): void {
  // FFmpeg's wrapper looks at these with each frame and hands x264 what changed.
  context.bitRate = BigInt(Math.round(bitrateKbps * 1000 * detail));
  context.rcMaxRate = BigInt(Math.round(bitrateKbps * 1200 * detail));
}

/** SPS and PPS of an open context, Annex B. What else x264 puts beside them (its settings, in an SEI) is left out. */
export function parameterSetsOf(context: CodecContext): Buffer {
  const { extraData } = context;
  invariant(extraData, 'x264 gave no parameter sets');
  const bytes = Buffer.from(extraData);
  const starts: number[] = [];
  for (let at = bytes.indexOf(START_CODE); at >= 0; at = bytes.indexOf(START_CODE, at + 3)) starts.push(at);
  const units = starts.map((from, n) => bytes.subarray(from, starts[n + 1]));
  return Buffer.concat(units.filter((unit) => [7, 8].includes((unit[START_CODE.length] ?? 0) & 0x1f)));
}

const START_CODE = Buffer.from([0, 0, 0, 1]);

/**
 * One thread encodes 1280x720 at 30 fps in about a third of real time; each further one adds its share of latency and
 * memory.
 */
function threadsFor(pixelsPerSecond: number): number {
  return Math.min(4, Math.max(1, Math.ceil(pixelsPerSecond / (1280 * 720 * 40))));
}

/** Throws a Fault where FFmpeg answers that it failed. */
export function check(result: number, doing: string): void {
  if (result >= 0) return;
  throw new Fault('encode-failed', `${doing} failed: ${FFmpegError.strerror(result)}`, { blame: 'self' });
}
