/** Tells from one RTP payload whether it holds a part of a picture, and whether a picture surely begins with it. */
import { OBU_FRAME, OBU_FRAME_HEADER, OBU_TILE_GROUP, readObuStart } from '../../media/obu.ts';
import type { VideoCodec } from '../../media/track.ts';
import { beginsAv1Unit, readAv1Payload } from './av1-payload.ts';
import { vp8DescriptorBytes } from './key-frame.ts';
import { readVp9Descriptor } from './vp9-descriptor.ts';

/** Length of an inter frame's header without the picture after it (RFC 6386 §9.1). */
const VP8_FRAME_TAG_BYTES = 3;
const STAP_A = 24;
const FU_A = 28;
const AV1_PICTURE = [OBU_FRAME, OBU_FRAME_HEADER, OBU_TILE_GROUP];

/** False for padding, for headers alone, and for what is no part of a picture (parameter sets, SEI, delimiters). */
export function holdsPicture(codec: VideoCodec, payload: Buffer): boolean {
  return payload.length > 0 && HOLDS[codec](payload);
}

/** Whether a picture surely begins with the payload. H.264 packets do not tell. */
export function surelyBeginsPicture(codec: VideoCodec, payload: Buffer): boolean {
  if (codec === 'vp8') return beginsVp8(payload);
  if (codec === 'vp9') return readVp9Descriptor(payload)?.begins === true;
  return codec === 'av1' && beginsAv1Unit(payload);
}

const HOLDS: Record<VideoCodec, (payload: Buffer) => boolean> = {
  vp8: (payload) => payload.length > vp8DescriptorBytes(payload) + (beginsVp8(payload) ? VP8_FRAME_TAG_BYTES : 0),
  vp9: (payload) => payload.length > (readVp9Descriptor(payload)?.bytes ?? payload.length),
  h264: (payload) => nalTypesIn(payload).some((type) => type >= 1 && type <= 5),
  av1: (payload) => {
    const read = readAv1Payload(payload);
    if (!read) return false;
    // What continues from the packet before is nearly always a picture, because headers are small.
    if (read.continues && (read.elements[0]?.length ?? 0) > 0) return true;
    return read.elements.some((element) => AV1_PICTURE.includes(readObuStart(element)?.type ?? -1));
  },
};

/** RFC 7741 §4.2: S set, first partition. */
function beginsVp8(payload: Buffer): boolean {
  return ((payload[0] ?? 0) & 0x17) === 0x10;
}

/** RFC 6184 §5.4: the type of a single NAL unit, of those in a STAP-A, or of the one that an FU-A is a part of. */
function nalTypesIn(payload: Buffer): number[] {
  const type = payload[0]! & 0x1f;
  if (type === FU_A) return [(payload[1] ?? 0) & 0x1f];
  if (type !== STAP_A) return [type];
  const types: number[] = [];
  for (let at = 1; at + 3 <= payload.length; at += 2 + payload.readUInt16BE(at)) types.push(payload[at + 2]! & 0x1f);
  return types;
}
