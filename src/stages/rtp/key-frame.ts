/** Tells from one RTP payload whether a key frame begins in it, without joining the frame. */
import type { VideoCodec } from '../../media/track.ts';
import { startsAv1KeyFrame } from './av1-payload.ts';
import { startsVp9KeyFrame } from './vp9-descriptor.ts';

/**
 * True when the payload holds the start of a key frame, so that decoding can begin with this packet. It can be true for
 * several packets of a frame (parameter sets first, then the picture), which then share a timestamp. Empty payloads,
 * and those that are cut short, are never a start.
 */
export function startsKeyFrame(codec: VideoCodec, payload: Buffer): boolean {
  switch (codec) {
    case 'h264':
      return startsH264KeyFrame(payload);
    case 'vp8':
      return startsVp8KeyFrame(payload);
    case 'vp9':
      return startsVp9KeyFrame(payload);
    case 'av1':
      return startsAv1KeyFrame(payload);
  }
}

/** RFC 6184 §5.4: single NAL unit, STAP-A (24) or the first fragment of an FU-A (28). */
function startsH264KeyFrame(payload: Buffer): boolean {
  const type = (payload[0] ?? 0) & 0x1f;
  if (type === 28) {
    const fu = payload[1] ?? 0;
    return (fu & 0x80) !== 0 && beginsKeyFrame(fu & 0x1f, payload[2]);
  }
  if (type !== 24) return beginsKeyFrame(type, payload[1]);
  for (let at = 1; at + 3 <= payload.length; ) {
    const size = payload.readUInt16BE(at);
    if (size === 0 || at + 2 + size > payload.length) return false;
    if (beginsKeyFrame(payload[at + 2]! & 0x1f, size > 1 ? payload[at + 3] : undefined)) return true;
    at += 2 + size;
  }
  return false;
}

/**
 * An SPS, or an IDR slice that is the first of its picture: `first_mb_in_slice` is 0, written as a single 1 bit (H.264
 * §7.3.3). Decoding cannot start with a later slice of an IDR picture.
 */
function beginsKeyFrame(nalType: number, second: number | undefined): boolean {
  return nalType === 7 || (nalType === 5 && second !== undefined && (second & 0x80) !== 0);
}

/** RFC 7741 §4.2 (descriptor: S set, PID 0) and §4.3 (frame header: P clear). */
function startsVp8KeyFrame(payload: Buffer): boolean {
  const first = payload[0] ?? 0;
  if ((first & 0x17) !== 0x10) return false;
  const header = payload[vp8DescriptorBytes(payload)];
  return header !== undefined && (header & 0x01) === 0;
}

/** Length of the VP8 payload descriptor (RFC 7741 §4.2). It may exceed a payload that is cut short. */
export function vp8DescriptorBytes(payload: Buffer): number {
  if (((payload[0] ?? 0) & 0x80) === 0) return 1;
  const extension = payload[1] ?? 0;
  let bytes = 2;
  if (extension & 0x80) bytes += (payload[bytes] ?? 0) & 0x80 ? 2 : 1;
  if (extension & 0x40) bytes += 1;
  if (extension & 0x30) bytes += 1;
  return bytes;
}
