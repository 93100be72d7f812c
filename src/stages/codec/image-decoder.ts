/**
 * Turns image files (PNG, JPEG, BMP) into pictures. A file's header is judged before a decoder reserves memory for it;
 * decoding and scaling use the thread pool.
 */
import {
  AV_CODEC_ID_BMP,
  AV_CODEC_ID_MJPEG,
  AV_CODEC_ID_PNG,
  AV_FRAME_DATA_DISPLAYMATRIX,
  AV_PIX_FMT_BGRA,
  AV_PIX_FMT_PAL8,
  AV_PIX_FMT_RGBA,
  AV_PIX_FMT_RGBA64BE,
  AV_PIX_FMT_RGBA64LE,
  AV_PIX_FMT_YA8,
  AV_PIX_FMT_YA16BE,
  AV_PIX_FMT_YA16LE,
  AV_PIX_FMT_YUV420P,
  AV_PIX_FMT_YUVA420P,
  type AVPixelFormat,
} from 'node-av/constants';
import { Codec, CodecContext, FFmpegError, type Frame, SoftwareScaleContext } from 'node-av/lib';
import { Fault } from '../../kernel/fault.ts';
import type { Orientation } from '../../media/frame.ts';
import { countScans, type ImageHeader, readImageHeader } from './image-header.ts';
import { freeFrame, freePacket, newFrame, newPacket } from './native-frames.ts';
import { NativePicture, tagColor } from './picture-pool.ts';
import { isSideways, isUpright, turnPicture } from './turn.ts';

/** The pixels of 4096×4096: 64 MB while FFmpeg decodes them. */
export const MAX_IMAGE_PIXELS = 4096 * 4096;
const CODEC_IDS = { png: AV_CODEC_ID_PNG, jpeg: AV_CODEC_ID_MJPEG, bmp: AV_CODEC_ID_BMP } as const;
/** Translucent pixel formats that the decoders of these files give. */
const TRANSLUCENT = new Set<AVPixelFormat>([
  AV_PIX_FMT_RGBA,
  AV_PIX_FMT_BGRA,
  AV_PIX_FMT_RGBA64BE,
  AV_PIX_FMT_RGBA64LE,
  AV_PIX_FMT_YA8,
  AV_PIX_FMT_YA16BE,
  AV_PIX_FMT_YA16LE,
  AV_PIX_FMT_PAL8,
]);
/**
 * How many rows are blended with the backdrop before other work has its turn: half a millisecond of the widest picture.
 */
const ROWS_AT_ONCE = 64;
/** Cameras and programs write up to some tens. */
const MAX_SCANS = 100;
const EOI = Buffer.from([0xff, 0xd9]);
const SOS = Buffer.from([0xff, 0xda]);

type ConvertedFormat = typeof AV_PIX_FMT_YUV420P | typeof AV_PIX_FMT_YUVA420P;

/** A colour as `Picture` holds it. */
type Backdrop = { luma: number; cb: number; cr: number };

export type ImageDecoding = {
  /**
   * In pixels. The picture becomes no larger than is needed to cover this size; it keeps its shape and is never
   * enlarged.
   */
  cover: { width: number; height: number };
  /** Shows through where the image is translucent. Undefined keeps the alpha plane, which only `pictureLayer` takes. */
  backdrop: Backdrop | undefined;
};

/**
 * The picture in an image file, of even size; of an animated one the first. The caller frees it. Rejects with a Fault
 * that is the caller's when the file is none of the three kinds, is larger than `MAX_IMAGE_PIXELS`, or cannot be
 * decoded completely.
 */
export async function decodeImage(file: Buffer, { cover, backdrop }: ImageDecoding): Promise<NativePicture> {
  const header = judge(file);
  const decoded = await decode(file, header);
  try {
    const orientation = orientationOf(decoded);
    const lying = orientation && isSideways(orientation) ? { width: cover.height, height: cover.width } : cover;
    const { width, height } = sizeToCover(decoded, lying);
    const converted = async (format: ConvertedFormat) =>
      upright(await convert(decoded, format, width, height), orientation);
    if (!TRANSLUCENT.has(decoded.format as AVPixelFormat))
      return NativePicture.wrap(await converted(AV_PIX_FMT_YUV420P));
    const translucent = await converted(AV_PIX_FMT_YUVA420P);
    if (!backdrop) return NativePicture.wrap(translucent);
    try {
      return await flatten(translucent, backdrop);
    } finally {
      freeFrame(translucent);
    }
  } finally {
    freeFrame(decoded);
  }
}

/** The file's header, if the file may be decoded. */
function judge(file: Buffer): ImageHeader {
  const header = readImageHeader(file);
  if (!header) throw refusal('image-type', 'it is no PNG, JPEG or BMP');
  const { type, width, height } = header;
  if (width < 1 || height < 1 || width * height > MAX_IMAGE_PIXELS)
    throw refusal('image-size', `it is of ${width}×${height} pixels, and may have 1 to ${MAX_IMAGE_PIXELS}`);
  // FFmpeg fills the missing part of a JPEG with grey and reports no error.
  const isCut = type === 'jpeg' && file.lastIndexOf(EOI) < file.lastIndexOf(SOS);
  if (isCut) throw refusal('image-damaged', 'it breaks off');
  if (type === 'jpeg' && countScans(file) > MAX_SCANS)
    throw refusal('image-scans', `it has more than ${MAX_SCANS} scans`);
  return header;
}

async function decode(file: Buffer, { type, width, height }: ImageHeader): Promise<Frame> {
  const codec = Codec.findDecoder(CODEC_IDS[type]);
  if (!codec) throw new Fault('codec-missing', `this FFmpeg build decodes no ${type}`, { blame: 'self' });
  const context = new CodecContext();
  context.allocContext3(codec);
  const packet = newPacket();
  const frame = newFrame();
  try {
    context.threadCount = 1;
    // Damage must be an error, and memory is limited to what the header was judged by.
    check(context.setOption('err_detect', 'explode'), 'preparing a decoder', 'self');
    check(context.setOption('max_pixels', MAX_IMAGE_PIXELS), 'preparing a decoder', 'self');
    check(await context.open2(codec), 'opening a decoder', 'self');
    packet.data = file;
    check(await context.sendPacket(packet), 'it does not decode', 'caller');
    check(await context.sendPacket(null), 'it does not decode', 'caller');
    check(await context.receiveFrame(frame), 'it does not decode', 'caller');
    if (frame.width !== width || frame.height !== height)
      throw refusal('image-damaged', `it says ${width}×${height} pixels, and has ${frame.width}×${frame.height}`);
    return frame;
  } catch (error) {
    freeFrame(frame);
    throw error;
  } finally {
    freePacket(packet);
    context.freeContext();
  }
}

/** The eight ways in which a camera may have been held, by how its picture is to be turned. */
const ORIENTATIONS: readonly Orientation[] = ([0, 90, 180, 270] as const).flatMap((turn) =>
  [false, true].map((flip) => ({ turn, flip })),
);

/**
 * How the camera was held that made the picture; undefined when upright. FFmpeg tells it as a matrix that says where a
 * step to the right and a step down lead (ISO/IEC 14496-12 §6.2.2).
 */
function orientationOf(frame: Frame): Orientation | undefined {
  const said = frame.getSideData(AV_FRAME_DATA_DISPLAYMATRIX);
  if (!said || said.length < 36) return undefined;
  const steps = [0, 4, 12, 16].map((at) => Math.sign(said.readInt32LE(at)));
  return ORIENTATIONS.find((each) => !isUpright(each) && stepsOf(each).every((step, n) => step === steps[n]));
}

/** Where a step to the right leads, and where a step down, in a picture that is turned so. */
function stepsOf({ turn, flip }: Orientation): [number, number, number, number] {
  const steps = { 0: [1, 0, 0, 1], 90: [0, 1, -1, 0], 180: [-1, 0, 0, -1], 270: [0, -1, 1, 0] } as const;
  const [rightX, rightY, downX, downY] = steps[turn];
  // Zero has a sign in JavaScript, too.
  return flip ? [0 - rightX, rightY, 0 - downX, downY] : [rightX, rightY, downX, downY];
}

/** The frame turned as is said. Takes it over. */
function upright(frame: Frame, orientation: Orientation | undefined): Frame {
  if (!orientation) return frame;
  const to = newFrame();
  try {
    to.format = frame.format;
    const { width, height } = frame;
    Object.assign(to, isSideways(orientation) ? { width: height, height: width } : { width, height });
    tagColor(to);
    check(to.getBuffer(), `no memory for a picture of ${width}x${height}`, 'self');
    turnPicture(planesOf(frame), planesOf(to), orientation);
    return to;
  } catch (error) {
    freeFrame(to);
    throw error;
  } finally {
    freeFrame(frame);
  }
}

function planesOf({ width, height, data, linesize }: Frame) {
  return { width, height, planes: data ?? [], strides: linesize };
}

/** An even size of at least 2 that covers `cover`, or the picture's own where that is smaller. */
function sizeToCover(picture: { width: number; height: number }, cover: { width: number; height: number }) {
  const scale = Math.min(1, Math.max(cover.width / picture.width, cover.height / picture.height));
  const even = (size: number) => Math.max(2, 2 * Math.round((size * scale) / 2));
  return { width: even(picture.width), height: even(picture.height) };
}

/** A new frame of the given format and size, in the colours that `Picture` promises. */
async function convert(from: Frame, format: ConvertedFormat, width: number, height: number): Promise<Frame> {
  const to = newFrame();
  const context = new SoftwareScaleContext();
  try {
    to.format = format;
    to.width = width;
    to.height = height;
    tagColor(to);
    // Only range and matrix are converted; converting transfer or primaries would change what browsers show
    // unconverted.
    to.colorTrc = from.colorTrc;
    to.colorPrimaries = from.colorPrimaries;
    check(to.getBuffer(), `no memory for a picture of ${width}x${height}`, 'self');
    context.allocContext();
    check(await context.scaleFrame(to, from), 'converting an image', 'self');
    tagColor(to);
    return to;
  } catch (error) {
    freeFrame(to);
    throw error;
  } finally {
    context.freeContext();
  }
}

/** Blends a picture that has an alpha plane with the backdrop. */
async function flatten(from: Frame, { luma, cb, cr }: Backdrop): Promise<NativePicture> {
  const to = newFrame();
  to.format = AV_PIX_FMT_YUV420P;
  to.width = from.width;
  to.height = from.height;
  tagColor(to);
  const result = to.getBuffer();
  const picture = NativePicture.wrap(to);
  try {
    check(result, `no memory for a picture of ${from.width}x${from.height}`, 'self');
    const planes = from.data ?? [];
    const alpha = planes[3]!;
    const alphaStride = from.linesize[3]!;
    for (const [index, under] of [luma, cb, cr].entries()) {
      // One chroma sample stands for four pixels; the first one's alpha counts.
      const step = index === 0 ? 1 : 2;
      const source = planes[index]!;
      const target = picture.planes[index]!;
      for (let row = 0; row < from.height / step; row++) {
        if (row % ROWS_AT_ONCE === 0) await new Promise<void>((resolve) => void setImmediate(resolve));
        const [fromRow, toRow] = [row * from.linesize[index]!, row * picture.strides[index]!];
        for (let x = 0; x < from.width / step; x++) {
          const covers = alpha[row * step * alphaStride + x * step]!;
          target[toRow + x] = Math.round((source[fromRow + x]! * covers + under * (255 - covers)) / 255);
        }
      }
    }
    return picture;
  } catch (error) {
    picture.free();
    throw error;
  }
}

function check(result: number, what: string, blame: 'caller' | 'self'): void {
  if (result >= 0) return;
  const code = blame === 'caller' ? 'image-damaged' : 'image-failed';
  throw new Fault(code, `${what}: ${FFmpegError.strerror(result)}`, { blame });
}

function refusal(code: string, message: string): Fault {
  return new Fault(code, message, { blame: 'caller' });
}
