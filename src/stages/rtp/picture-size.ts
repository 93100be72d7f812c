/**
 * How large a stream's pictures are, by the RTP payload that a key frame begins with, without decoding.
 */
import type { VideoCodec } from '../../media/track.ts';
import { readAv1Payload } from './av1-payload.ts';
import { BitReader } from './bit-reader.ts';
import { vp8DescriptorBytes } from './key-frame.ts';
import { OBU_SEQUENCE_HEADER, readObu } from './obu.ts';
import { isVp9KeyFrame, readVp9Descriptor } from './vp9-descriptor.ts';

export type PictureSize = { width: number; height: number };

/** @returns undefined when this payload does not say, as when the parameter sets of H.264 came in one before it */
export function readPictureSize(codec: VideoCodec, payload: Buffer): PictureSize | undefined {
  const size = READERS[codec](payload);
  return size && size.width > 0 && size.height > 0 ? size : undefined;
}

const READERS: Record<VideoCodec, (payload: Buffer) => PictureSize | undefined> = {
  vp8: vp8Size,
  h264: h264Size,
  vp9: vp9Size,
  av1: av1Size,
};

/** RFC 6386 §9.1: a tag of 3 bytes, a start code, and 14 bits for each side, the lower byte first. */
function vp8Size(payload: Buffer): PictureSize | undefined {
  if (((payload[0] ?? 0) & 0x17) !== 0x10) return undefined;
  const frame = payload.subarray(vp8DescriptorBytes(payload));
  if (frame.length < 10 || (frame[0]! & 1) !== 0 || frame.readUIntBE(3, 3) !== 0x9d012a) return undefined;
  return { width: frame.readUInt16LE(6) & 0x3fff, height: frame.readUInt16LE(8) & 0x3fff };
}

/** VP9 bitstream specification §6.2, of profile 0; with spatial layers it is the size of the lowest. */
function vp9Size(payload: Buffer): PictureSize | undefined {
  const descriptor = readVp9Descriptor(payload);
  const frame = descriptor?.begins && descriptor.spatialLayer === 0 ? payload.subarray(descriptor.bytes) : undefined;
  if (!frame || !isVp9KeyFrame(frame) || (frame[0]! & 0x30) !== 0) return undefined;
  const bits = new BitReader(frame.subarray(1));
  if (bits.bits(24) !== 0x498342) return undefined;
  const SRGB = 7;
  if (bits.bits(3) === SRGB) return undefined;
  bits.flag();
  const size = { width: bits.bits(16) + 1, height: bits.bits(16) + 1 };
  return bits.isPast ? undefined : size;
}

/** The SPS, alone or in a STAP-A (RFC 6184 §5.7.1). */
function h264Size(payload: Buffer): PictureSize | undefined {
  const type = (payload[0] ?? 0) & 0x1f;
  if (type === 7) return spsSize(payload);
  if (type !== 24) return undefined;
  for (let at = 1; at + 3 <= payload.length; ) {
    const bytes = payload.readUInt16BE(at);
    const nal = payload.subarray(at + 2, at + 2 + bytes);
    if (bytes === 0 || nal.length < bytes) return undefined;
    if ((nal[0]! & 0x1f) === 7) return spsSize(nal);
    at += 2 + bytes;
  }
  return undefined;
}

/** Profiles whose parameter set says more of colours (H.264 §7.3.2.1.1). */
const HIGH_PROFILES = [100, 110, 122, 244, 44, 83, 86, 118, 128];

function spsSize(nal: Buffer): PictureSize | undefined {
  const bits = new BitReader(withoutEmulation(nal.subarray(1)));
  const profile = bits.bits(8);
  bits.bits(16);
  bits.exponential();
  if (HIGH_PROFILES.includes(profile)) {
    if (bits.exponential() === 3) bits.flag();
    bits.exponential();
    bits.exponential();
    bits.flag();
    // Scaling matrices: no sender in real time has them.
    if (bits.flag()) return undefined;
  }
  bits.exponential();
  const orderType = bits.exponential();
  if (orderType === 0) bits.exponential();
  else if (orderType === 1) {
    bits.flag();
    bits.exponential();
    bits.exponential();
    for (let n = bits.exponential(); n > 0 && !bits.isPast; n--) bits.exponential();
  }
  bits.exponential();
  bits.flag();
  const columns = bits.exponential() + 1;
  const rows = bits.exponential() + 1;
  const framesOnly = bits.flag();
  if (!framesOnly) bits.flag();
  bits.flag();
  const fields = framesOnly ? 1 : 2;
  // The parts of 4:2:0 pictures are cut off in steps of two.
  const [left, right, top, bottom] = bits.flag()
    ? [bits.exponential(), bits.exponential(), bits.exponential(), bits.exponential()]
    : [0, 0, 0, 0];
  if (bits.isPast) return undefined;
  return { width: columns * 16 - 2 * (left + right), height: fields * (rows * 16 - 2 * (top + bottom)) };
}

/** Takes out the byte that stands behind two zeros so that no start code appears (H.264 §7.4.1). */
function withoutEmulation(bytes: Buffer): Buffer {
  return Buffer.from(
    bytes.filter((byte, at) => !(byte === 3 && at >= 2 && bytes[at - 1] === 0 && bytes[at - 2] === 0)),
  );
}

/** The largest size that the sequence header allows (AV1 §5.5.1), which is that of the pictures when nothing was scaled. */
function av1Size(payload: Buffer): PictureSize | undefined {
  const read = readAv1Payload(payload);
  for (const element of read && !read.continues ? read.elements : []) {
    const unit = readObu(element);
    if (unit?.type === OBU_SEQUENCE_HEADER) return sequenceSize(unit.payload);
  }
  return undefined;
}

function sequenceSize(header: Buffer): PictureSize | undefined {
  const bits = new BitReader(header);
  bits.bits(4);
  const isReduced = bits.flag();
  if (isReduced) bits.bits(5);
  else {
    // Timing: no sender in real time has it, for RTP has its own.
    if (bits.flag()) return undefined;
    const hasDelay = bits.flag();
    const points = bits.bits(5) + 1;
    for (let n = 0; n < points; n++) {
      bits.bits(12);
      if (bits.bits(5) > 7) bits.flag();
      if (hasDelay && bits.flag()) bits.bits(4);
    }
  }
  const widthBits = bits.bits(4) + 1;
  const heightBits = bits.bits(4) + 1;
  const size = { width: bits.bits(widthBits) + 1, height: bits.bits(heightBits) + 1 };
  return bits.isPast ? undefined : size;
}
