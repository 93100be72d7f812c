/**
 * Pictures as JPEG files: upright, full range and BT.601 as JFIF requires. Each is encoded separately on the thread
 * pool.
 */
import {
  AV_CODEC_FLAG_BITEXACT,
  AV_CODEC_FLAG_QSCALE,
  AV_CODEC_ID_MJPEG,
  AV_PIX_FMT_YUV420P,
  AV_PIX_FMT_YUVJ420P,
  AVCOL_RANGE_JPEG,
  AVCOL_SPC_SMPTE170M,
} from 'node-av/constants';
import { Codec, CodecContext, FFmpegError, type Frame, Rational, SoftwareScaleContext } from 'node-av/lib';
import { Fault } from '../../kernel/fault.ts';
import type { Picture } from '../../media/frame.ts';
import { freeFrame, freePacket, newFrame, newPacket } from './native-frames.ts';
import { NativePicture, nativeOf, tagColor } from './picture-pool.ts';
import { isSideways, isUpright, turnPicture } from './turn.ts';

/** From 2 (best) to 31. Measured on a generated 640x360 picture of text, edges and noise: 43 dB (luma) in 30 kB. */
const QUANTIZER = 3;
/** A JPEG's sides have 16 bits. */
const MAX_SIDE = 65_535;
/** FFmpeg counts quantizers in 1/118 (FF_QP2LAMBDA). */
const LAMBDA = 118;

/**
 * The JPEG file of a picture, upright and with square pixels. Any size that can be decoded is accepted, odd ones too.
 * The caller keeps the picture, which must live until this resolves. Rejects with a Fault when FFmpeg refuses it.
 */
export async function encodeJpeg(picture: Picture): Promise<Buffer> {
  const upright = setUpright(picture);
  const { width, height } = squareSize(picture, upright);
  const full = newImage(AV_PIX_FMT_YUVJ420P, width, height);
  try {
    full.colorRange = AVCOL_RANGE_JPEG;
    // The picture's own, which is BT.601 or untagged: another one would cause a conversion.
    full.colorSpace = upright.frame.colorSpace;
    full.colorPrimaries = upright.frame.colorPrimaries;
    full.colorTrc = upright.frame.colorTrc;
    await widen(upright.frame, full);
    return await encode(full);
  } finally {
    freeFrame(full);
    upright.free();
  }
}

/** A second owner of the picture, or a rotated copy of it. */
function setUpright(picture: Picture): NativePicture {
  const { orientation, width, height } = picture;
  if (!orientation || isUpright(orientation)) return nativeOf(picture).share();
  const frame = isSideways(orientation)
    ? newImage(AV_PIX_FMT_YUV420P, height, width)
    : newImage(AV_PIX_FMT_YUV420P, width, height);
  tagColor(frame);
  const upright = NativePicture.wrap(frame);
  turnPicture(picture, upright, orientation);
  return upright;
}

/** The size with square pixels that loses nothing: the side on which pixels are longer grows. */
function squareSize({ sampleAspect, orientation }: Picture, { width, height }: NativePicture) {
  if (!sampleAspect) return { width, height };
  const isTurned = orientation !== undefined && isSideways(orientation);
  const aspect = isTurned ? sampleAspect.den / sampleAspect.num : sampleAspect.num / sampleAspect.den;
  const grown = (side: number, by: number) => Math.min(MAX_SIDE, Math.round(side * Math.max(1, by)));
  return { width: grown(width, aspect), height: grown(height, 1 / aspect) };
}

/** Converts limited range to full range, and to the size of `to`. */
async function widen(from: Frame, to: Frame): Promise<void> {
  const context = new SoftwareScaleContext();
  context.allocContext();
  try {
    check(await context.scaleFrame(to, from), 'converting a picture');
  } finally {
    context.freeContext();
  }
}

async function encode(image: Frame): Promise<Buffer> {
  const context = openEncoder(image.width, image.height);
  const packet = newPacket();
  try {
    image.pts = 0n;
    image.quality = QUANTIZER * LAMBDA;
    check(await context.sendFrame(image), 'encoding a picture');
    check(context.receivePacketSync(packet), 'reading an encoded picture');
    return Buffer.from(packet.data ?? []);
  } finally {
    freePacket(packet);
    context.freeContext();
  }
}

/** No encoder is kept, because pictures come seconds apart. */
function openEncoder(width: number, height: number): CodecContext {
  const codec = Codec.findEncoder(AV_CODEC_ID_MJPEG);
  if (!codec) throw new Fault('codec-missing', 'this FFmpeg build has no JPEG encoder', { blame: 'self' });
  const context = new CodecContext();
  context.allocContext3(codec);
  context.width = width;
  context.height = height;
  context.pixelFormat = AV_PIX_FMT_YUVJ420P;
  context.colorRange = AVCOL_RANGE_JPEG;
  context.colorSpace = AVCOL_SPC_SMPTE170M;
  context.timeBase = new Rational(1, 1);
  // Gives the file a JFIF header, by which readers know the matrix.
  context.sampleAspectRatio = new Rational(1, 1);
  context.threadCount = 1;
  // Bit exact: no comment with the library's name.
  context.setFlags(AV_CODEC_FLAG_QSCALE, AV_CODEC_FLAG_BITEXACT);
  context.globalQuality = QUANTIZER * LAMBDA;
  const result = context.open2Sync(codec);
  if (result >= 0) return context;
  context.freeContext();
  throw new Fault('codec-open', `the JPEG encoder did not open for ${width}x${height}`, {
    blame: 'self',
    cause: new FFmpegError(result),
  });
}

function newImage(
  format: typeof AV_PIX_FMT_YUV420P | typeof AV_PIX_FMT_YUVJ420P,
  width: number,
  height: number,
): Frame {
  const frame = newFrame();
  frame.format = format;
  frame.width = width;
  frame.height = height;
  const result = frame.getBuffer();
  if (result >= 0) return frame;
  freeFrame(frame);
  throw new Fault('encode-failed', `no memory for a picture of ${width}x${height}`, {
    blame: 'self',
    cause: new FFmpegError(result),
  });
}

function check(result: number, doing: string): void {
  if (result >= 0) return;
  throw new Fault('encode-failed', `${doing} failed: ${FFmpegError.strerror(result)}`, { blame: 'self' });
}
