/**
 * Reads one RTP packet from a datagram (RFC 3550 §5.1) and tells RTP from RTCP where both share a port (RFC 5761 §4).
 */
import type { HostUs } from '../../kernel/time.ts';
import type { HeaderExtensions, Packet } from '../../media/packet.ts';
import { malformed, readHeaderExtensions } from './header-extensions.ts';

const FIXED_HEADER_BYTES = 12;

/** True when the datagram is RTCP: version 2 and a second byte of 192..223 (RFC 5761 §4). */
export function isRtcp(datagram: Buffer): boolean {
  if (datagram.length < 4 || datagram[0]! >> 6 !== 2) return false;
  const second = datagram[1]!;
  return second >= 192 && second <= 223;
}

/**
 * Parses one RTP packet. The payload and the extensions are views of `datagram`.
 * @param arrivalUs monotonic microseconds at which the datagram came in
 * @throws Fault `rtp-malformed` when the bytes are not a whole RTP packet
 */
export function parsePacket(datagram: Buffer, arrivalUs: HostUs): Packet {
  if (datagram.length < FIXED_HEADER_BYTES)
    throw malformed(`${datagram.length} bytes are less than the fixed header of ${FIXED_HEADER_BYTES}`);
  const first = datagram[0]!;
  const second = datagram[1]!;
  if (first >> 6 !== 2) throw malformed(`version ${first >> 6} instead of 2`);

  let start = FIXED_HEADER_BYTES + (first & 0x0f) * 4;
  if (start > datagram.length) throw malformed('the list of contributing sources runs past the end');
  let extensions: HeaderExtensions | undefined;
  if (first & 0x10) {
    if (start + 4 > datagram.length) throw malformed('the header extension runs past the end');
    const profile = datagram.readUInt16BE(start);
    const end = start + 4 + datagram.readUInt16BE(start + 2) * 4;
    if (end > datagram.length) throw malformed('the header extension runs past the end');
    extensions = readHeaderExtensions(profile, datagram, start + 4, end);
    start = end;
  }
  let end = datagram.length;
  if (first & 0x20) {
    const padding = datagram[end - 1]!;
    if (padding === 0 || padding > end - start) throw malformed(`${padding} bytes of padding in ${end - start}`);
    end -= padding;
  }
  const packet: Packet = {
    payloadType: second & 0x7f,
    sequence: datagram.readUInt16BE(2),
    timestamp: datagram.readUInt32BE(4),
    ssrc: datagram.readUInt32BE(8),
    marker: (second & 0x80) !== 0,
    payload: datagram.subarray(start, end),
    arrivalUs,
  };
  if (extensions) packet.extensions = extensions;
  return packet;
}
