/** The size of a picture, read from its key frame without decoding. Pure; a frame that cannot be read has no size. */

import { av1SequenceOf } from '../../media/av1-sequence.ts';
import { BitReader, BitsExhausted } from '../../media/bit-reader.ts';
import type { VideoCodec } from '../../media/track.ts';
import { splitSuperframe, Vp9Slots } from './vp9-frame.ts';

export type PictureSize = { width: number; height: number };

/** No codec here can code a wider or higher picture; a larger number comes from damage. */
const MAX_SIDE = 65_536;

/**
 * Width and height in pixels as a decoder returns them, before any rotation.
 * @param keyFrame Annex B for H.264, one frame for VP8, one frame or superframe for VP9, one temporal unit for AV1
 * @returns undefined when it is damaged or no key frame of that codec
 */
export function pictureSizeOf(codec: VideoCodec, keyFrame: Buffer): PictureSize | undefined {
  try {
    const size = READERS[codec](keyFrame);
    return size && [size.width, size.height].every((side) => side > 0 && side <= MAX_SIDE) ? size : undefined;
  } catch (error) {
    if (error instanceof BitsExhausted) return undefined;
    throw error;
  }
}

const READERS: Record<VideoCodec, (keyFrame: Buffer) => PictureSize | undefined> = {
  h264: sizeOfH264,
  vp8: sizeOfVp8,
  vp9: sizeOfVp9,
  av1: sizeOfAv1,
};

const START_CODE = Buffer.of(0, 0, 1);
const NAL_SPS = 7;

function sizeOfH264(annexB: Buffer): PictureSize | undefined {
  for (let at = annexB.indexOf(START_CODE); at >= 0; at = annexB.indexOf(START_CODE, at + 3)) {
    if (((annexB[at + 3] ?? 0) & 0x1f) !== NAL_SPS) continue;
    const next = annexB.indexOf(START_CODE, at + 3);
    return sizeOfSps(withoutEmulation(annexB.subarray(at + 4, next < 0 ? annexB.length : next)));
  }
  return undefined;
}

/** Removes the 3 that keeps two zeros and a small number from looking like a start code (H.264 §7.4.1.1). */
function withoutEmulation(nal: Buffer): Buffer {
  const out = Buffer.alloc(nal.length);
  let length = 0;
  let zeros = 0;
  for (const byte of nal) {
    if (zeros >= 2 && byte === 3) {
      zeros = 0;
      continue;
    }
    zeros = byte === 0 ? zeros + 1 : 0;
    out[length++] = byte;
  }
  return out.subarray(0, length);
}

/** Profiles whose SPS tells how the chroma is sampled (H.264 §7.3.2.1.1). */
const HIGH_PROFILES = new Set([100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135]);

/** H.264 §7.3.2.1.1, the bytes after the unit's header. Cropping counts in the units of §7.4.2.1.1. */
function sizeOfSps(sps: Buffer): PictureSize {
  const read = new BitReader(sps);
  const profile = read.bits(8);
  read.bits(16);
  read.golomb();
  let chromaFormat = 1;
  let separatePlanes = false;
  if (HIGH_PROFILES.has(profile)) {
    chromaFormat = read.golomb();
    if (chromaFormat === 3) separatePlanes = read.flag();
    read.golomb();
    read.golomb();
    read.flag();
    const hasScaling = read.flag();
    const lists = !hasScaling ? 0 : chromaFormat === 3 ? 12 : 8;
    for (let list = 0; list < lists; list++) if (read.flag()) skipScaling(read, list < 6 ? 16 : 64);
  }
  read.golomb();
  const orderType = read.golomb();
  if (orderType === 0) read.golomb();
  if (orderType === 1) {
    read.flag();
    read.signedGolomb();
    read.signedGolomb();
    for (let left = read.golomb(); left > 0; left--) read.signedGolomb();
  }
  read.golomb();
  read.flag();
  const columns = read.golomb() + 1;
  const rows = read.golomb() + 1;
  const framesOnly = read.flag();
  if (!framesOnly) read.flag();
  read.flag();
  const heightOfUnit = framesOnly ? 1 : 2;
  let width = columns * 16;
  let height = rows * 16 * heightOfUnit;
  if (read.flag()) {
    const isSubsampled = !separatePlanes && chromaFormat !== 0;
    const unitX = isSubsampled && chromaFormat < 3 ? 2 : 1;
    const unitY = (isSubsampled && chromaFormat === 1 ? 2 : 1) * heightOfUnit;
    width -= (read.golomb() + read.golomb()) * unitX;
    height -= (read.golomb() + read.golomb()) * unitY;
  }
  return { width, height };
}

/** H.264 §7.3.2.1.1.1 */
function skipScaling(read: BitReader, count: number): void {
  let last = 8;
  let next = 8;
  for (let n = 0; n < count; n++) {
    if (next !== 0) next = (last + read.signedGolomb() + 256) % 256;
    if (next !== 0) last = next;
  }
}

/** RFC 6386 §9.1 */
function sizeOfVp8(frame: Buffer): PictureSize | undefined {
  if (frame.length < 10 || (frame[0]! & 1) !== 0) return undefined;
  if (frame.readUIntBE(3, 3) !== 0x9d012a) return undefined;
  return { width: frame.readUInt16LE(6) & 0x3fff, height: frame.readUInt16LE(8) & 0x3fff };
}

/** For a superframe, the size of the picture that is shown: of spatial layers the highest. */
function sizeOfVp9(data: Buffer): PictureSize | undefined {
  const slots = new Vp9Slots();
  const headers = splitSuperframe(data).map((frame) => slots.read(frame));
  return headers[0]?.keyFrame ? headers.findLast((header) => header?.size)?.size : undefined;
}

function sizeOfAv1(unit: Buffer): PictureSize | undefined {
  const sequence = av1SequenceOf(unit);
  return sequence && { width: sequence.width, height: sequence.height };
}
