/** The small parts of H.264 Annex B, AAC ADTS and Opus that remuxing needs. Pure. */

const NAL_SPS = 7;
const NAL_PPS = 8;
const START_CODE = Buffer.from([0, 0, 1]);

/** The SPS and PPS units of an Annex B access unit (ITU-T H.264 Annex B), each behind a four-byte start code. */
export function parameterSetsOf(annexB: Buffer): Buffer {
  const parts: Buffer[] = [];
  let start = annexB.indexOf(START_CODE);
  while (start >= 0) {
    const next = annexB.indexOf(START_CODE, start + 3);
    let end = next < 0 ? annexB.length : next;
    // Zeros before a start code belong to the code, not to the unit, which never ends in zero.
    while (end > start + 3 && annexB[end - 1] === 0) end--;
    const type = (annexB[start + 3] ?? 0) & 31;
    if (type === NAL_SPS || type === NAL_PPS) parts.push(Buffer.from([0]), START_CODE, annexB.subarray(start + 3, end));
    start = next;
  }
  return Buffer.concat(parts);
}

/** The payload of one ADTS frame (ISO 14496-3 §1.A.2); undefined when `frame` is not one. */
export function withoutAdts(frame: Buffer): Buffer | undefined {
  if (!isAdts(frame)) return undefined;
  const hasCrc = (frame[1]! & 1) === 0;
  return frame.subarray(hasCrc ? 9 : 7);
}

/** The AudioSpecificConfig (ISO 14496-3 §1.6.2) of one ADTS frame; undefined when `frame` is not one. */
export function audioConfigOf(frame: Buffer): Buffer | undefined {
  if (!isAdts(frame)) return undefined;
  const objectType = (frame[2]! >> 6) + 1;
  const rateIndex = (frame[2]! >> 2) & 15;
  const channels = ((frame[2]! & 1) << 2) | (frame[3]! >> 6);
  const config = Buffer.alloc(2);
  config.writeUInt16BE((objectType << 11) | (rateIndex << 7) | (channels << 3));
  return config;
}

function isAdts(frame: Buffer): boolean {
  if (frame.length < 9 || frame[0] !== 0xff || (frame[1]! & 0xf6) !== 0xf0) return false;
  // A frame that was cut short does not count.
  return (((frame[3]! & 3) << 11) | (frame[4]! << 3) | (frame[5]! >> 5)) === frame.length;
}

/**
 * The AudioSpecificConfig of AAC-LC at 48 kHz (ISO/IEC 14496-3 §1.6.2.1): object type 2, rate index 3, and the number
 * of channels.
 */
export function aacConfig(channels: 1 | 2): Buffer {
  const config = Buffer.alloc(2);
  config.writeUInt16BE((2 << 11) | (3 << 7) | (channels << 3));
  return config;
}

/**
 * The Opus packet with an explicit count of frames, if it is one byte long: that is one or two empty frames, by which
 * senders mean silence. The meaning stays the same (RFC 6716 §3.2.5), and FFmpeg's MPEG-TS muxer refuses packets below
 * two bytes. Two frames of different length (code 2) take at least two bytes, so a single byte that claims to be such a
 * packet does not change.
 */
export function withFrameCount(packet: Buffer): Buffer {
  const toc = packet[0];
  if (packet.length !== 1 || toc === undefined || (toc & 3) > 1) return packet;
  return Buffer.of(toc | 3, (toc & 3) + 1);
}
