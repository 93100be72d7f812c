/**
 * The sequence header of AV1 (AV1 bitstream specification §5.5): what a picture is like before one is decoded, and the
 * configuration record that files carry (AV1 Codec ISO Media File Format Binding §2.3).
 */
import { BitReader, BitsExhausted } from './bit-reader.ts';
import { OBU_SEQUENCE_HEADER, readObu, withObuSize } from './obu.ts';

export type Av1Sequence = {
  /** Width of the largest frame of the sequence, pixels. */
  width: number;
  height: number;
  profile: number;
  level: number;
  highTier: boolean;
  highBitDepth: boolean;
  twelveBit: boolean;
  monochrome: boolean;
  halfWidthChroma: boolean;
  halfHeightChroma: boolean;
  chromaPosition: number;
};

/** @returns undefined when `unit` holds no whole sequence header */
export function av1SequenceOf(unit: Buffer): Av1Sequence | undefined {
  const payload = sequenceHeaderOf(unit);
  if (!payload) return undefined;
  try {
    return readSequence(new BitReader(payload));
  } catch (error) {
    if (error instanceof BitsExhausted) return undefined;
    throw error;
  }
}

/**
 * The record `av1C`: CodecPrivate in WebM. Undefined when `unit`, a temporal unit of OBUs with sizes, has no sequence
 * header.
 */
export function av1ConfigOf(unit: Buffer): Buffer | undefined {
  const sequence = av1SequenceOf(unit);
  const payload = sequenceHeaderOf(unit);
  if (!sequence || !payload) return undefined;
  const { profile, level, highTier, highBitDepth, twelveBit, monochrome } = sequence;
  const { halfWidthChroma, halfHeightChroma, chromaPosition } = sequence;
  const bits = [highTier, highBitDepth, twelveBit, monochrome, halfWidthChroma, halfHeightChroma];
  const form = bits.reduce((byte, bit) => byte * 2 + (bit ? 1 : 0), 0) * 4 + chromaPosition;
  return Buffer.concat([Buffer.of(0x81, (profile << 5) | level, form, 0), withObuSize(OBU_SEQUENCE_HEADER, payload)]);
}

function sequenceHeaderOf(unit: Buffer): Buffer | undefined {
  for (let at = 0; at < unit.length; ) {
    const obu = readObu(unit.subarray(at));
    if (!obu) return undefined;
    if (obu.type === OBU_SEQUENCE_HEADER) return obu.payload;
    at += obu.end;
  }
  return undefined;
}

/** §5.5.1 */
function readSequence(read: BitReader): Av1Sequence {
  const profile = read.bits(3);
  read.flag();
  const isReduced = read.flag();
  const { level, highTier } = isReduced ? { level: read.bits(5), highTier: false } : readOperatingPoints(read);
  const widthBits = read.bits(4) + 1;
  const heightBits = read.bits(4) + 1;
  const width = read.bits(widthBits) + 1;
  const height = read.bits(heightBits) + 1;
  if (!isReduced && read.flag()) read.bits(7);
  read.bits(3);
  if (!isReduced) skipTools(read);
  read.bits(3);
  return { width, height, profile, level, highTier, ...readColor(read, profile) };
}

/** The level of the first operating point, which decoders choose. */
function readOperatingPoints(read: BitReader): { level: number; highTier: boolean } {
  let delayBits: number | undefined;
  if (read.flag()) {
    read.bits(32);
    read.bits(32);
    if (read.flag()) read.golomb();
    if (read.flag()) {
      delayBits = read.bits(5) + 1;
      read.bits(32);
      read.bits(10);
    }
  }
  const hasDisplayDelay = read.flag();
  let first: { level: number; highTier: boolean } | undefined;
  for (let points = read.bits(5) + 1; points > 0; points--) {
    read.bits(12);
    const level = read.bits(5);
    const highTier = level > 7 && read.flag();
    if (delayBits !== undefined && read.flag()) {
      read.bits(delayBits);
      read.bits(delayBits);
      read.flag();
    }
    if (hasDisplayDelay && read.flag()) read.bits(4);
    first ??= { level, highTier };
  }
  return first!;
}

function skipTools(read: BitReader): void {
  read.bits(4);
  const hasOrderHint = read.flag();
  if (hasOrderHint) read.bits(2);
  const isScreenContentChosen = read.flag();
  const mayBeScreenContent = isScreenContentChosen || read.flag();
  if (mayBeScreenContent && !read.flag()) read.flag();
  if (hasOrderHint) read.bits(3);
}

/** §5.5.2 */
function readColor(read: BitReader, profile: number) {
  const highBitDepth = read.flag();
  const twelveBit = profile === 2 && highBitDepth && read.flag();
  const monochrome = profile !== 1 && read.flag();
  const description = read.flag() ? read.bits(24) : undefined;
  const form = { highBitDepth, twelveBit, monochrome };
  if (monochrome) {
    read.flag();
    return { ...form, halfWidthChroma: true, halfHeightChroma: true, chromaPosition: 0 };
  }
  // BT.709 primaries, sRGB transfer, identity matrix: RGB, which is never subsampled.
  if (description === 0x010d00) return { ...form, halfWidthChroma: false, halfHeightChroma: false, chromaPosition: 0 };
  read.flag();
  let halfWidthChroma = profile !== 1;
  let halfHeightChroma = profile === 0;
  if (profile === 2 && twelveBit) {
    halfWidthChroma = read.flag();
    halfHeightChroma = halfWidthChroma && read.flag();
  }
  const chromaPosition = halfWidthChroma && halfHeightChroma ? read.bits(2) : 0;
  return { ...form, halfWidthChroma, halfHeightChroma, chromaPosition };
}
