/**
 * A VP8 frame to RTP payloads: each a part of the frame behind a payload descriptor (RFC 7741 §4.2).
 */

/**
 * @param maxPayloadBytes at least 5
 * @param pictureId 15 bits, the same for all payloads of a frame; left out of the descriptor when absent
 * @returns the payloads in order; the last one's packet carries the marker
 */
export function packetizeVp8(frame: Buffer, maxPayloadBytes: number, pictureId?: number): Buffer[] {
  const extension = pictureId === undefined ? [] : [0x80, 0x80 | ((pictureId >> 8) & 0x7f), pictureId & 0xff];
  const step = maxPayloadBytes - 1 - extension.length;
  if (step < 1) throw new RangeError(`a VP8 payload needs at least ${extension.length + 2} bytes`);
  const payloads: Buffer[] = [];
  for (let at = 0; at < frame.length; at += step) {
    const first = (pictureId === undefined ? 0 : 0x80) | (at === 0 ? 0x10 : 0);
    payloads.push(Buffer.concat([Buffer.of(first, ...extension), frame.subarray(at, at + step)]));
  }
  return payloads;
}
