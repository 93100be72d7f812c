/**
 * How large a stream's pictures are, told by the RTP payload with which a key frame begins, before the frame is joined.
 */
import { OBU_SEQUENCE_HEADER, readObu, withObuSize } from '../../media/obu.ts';
import type { VideoCodec } from '../../media/track.ts';
import { readAv1Payload } from './av1-payload.ts';
import { vp8DescriptorBytes } from './key-frame.ts';
import { type PictureSize, pictureSizeOf } from './picture-size.ts';
import { readVp9Descriptor } from './vp9-descriptor.ts';

const NAL_SPS = 7;
const STAP_A = 24;
const START_CODE = Buffer.of(0, 0, 0, 1);

/** @returns undefined when this payload does not tell, as when the parameter sets of H.264 came in an earlier one */
export function readPayloadSize(codec: VideoCodec, payload: Buffer): PictureSize | undefined {
  const beginning = BEGINNINGS[codec](payload);
  return beginning && pictureSizeOf(codec, beginning);
}

/** The part of a key frame that tells its size, as `pictureSizeOf` takes it. */
const BEGINNINGS: Record<VideoCodec, (payload: Buffer) => Buffer | undefined> = {
  vp8: (payload) => (((payload[0] ?? 0) & 0x17) === 0x10 ? payload.subarray(vp8DescriptorBytes(payload)) : undefined),
  h264: (payload) => {
    const sps = parameterSetIn(payload);
    return sps && Buffer.concat([START_CODE, sps]);
  },
  // With spatial layers this is the size of the lowest.
  vp9: (payload) => {
    const descriptor = readVp9Descriptor(payload);
    return descriptor?.begins && descriptor.spatialLayer === 0 ? payload.subarray(descriptor.bytes) : undefined;
  },
  av1: (payload) => {
    const read = readAv1Payload(payload);
    const units = read && !read.continues ? read.elements.map((element) => readObu(element)) : [];
    const header = units.find((unit) => unit?.type === OBU_SEQUENCE_HEADER);
    return header && withObuSize(OBU_SEQUENCE_HEADER, header.payload);
  },
};

/** The SPS, alone or in a STAP-A (RFC 6184 §5.7.1). */
function parameterSetIn(payload: Buffer): Buffer | undefined {
  const type = (payload[0] ?? 0) & 0x1f;
  if (type === NAL_SPS) return payload;
  if (type !== STAP_A) return undefined;
  for (let at = 1; at + 3 <= payload.length; ) {
    const bytes = payload.readUInt16BE(at);
    const nal = payload.subarray(at + 2, at + 2 + bytes);
    if (bytes === 0 || nal.length < bytes) return undefined;
    if ((nal[0]! & 0x1f) === NAL_SPS) return nal;
    at += 2 + bytes;
  }
  return undefined;
}
