/**
 * A VP9 frame to RTP payloads: each a part of the frame behind a payload descriptor (RFC 9628 §4.2), in non-flexible
 * mode without layers.
 */
import { isVp9KeyFrame } from '../../../src/stages/rtp/vp9-descriptor.ts';

/** I: a picture id follows. P: predicted from another picture. B, E: the frame begins, ends here. */
const I = 0x80;
const P = 0x40;
const B = 0x08;
const E = 0x04;

/**
 * @param maxPayloadBytes at least 4
 * @param pictureId 15 bits, the same for all payloads of a frame; left out of the descriptor when absent
 * @returns the payloads in order; the last one's packet carries the marker
 */
export function packetizeVp9(frame: Buffer, maxPayloadBytes: number, pictureId?: number): Buffer[] {
  const id = pictureId === undefined ? [] : [0x80 | ((pictureId >> 8) & 0x7f), pictureId & 0xff];
  const step = maxPayloadBytes - 1 - id.length;
  if (step < 1) throw new RangeError(`a VP9 payload needs at least ${id.length + 2} bytes`);
  const common = (pictureId === undefined ? 0 : I) | (isVp9KeyFrame(frame) ? 0 : P);
  const payloads: Buffer[] = [];
  for (let at = 0; at < frame.length; at += step) {
    const first = common | (at === 0 ? B : 0) | (at + step >= frame.length ? E : 0);
    payloads.push(Buffer.concat([Buffer.of(first, ...id), frame.subarray(at, at + step)]));
  }
  return payloads;
}
