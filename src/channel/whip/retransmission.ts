/**
 * RTX (RFC 4588): a packet sent again in a stream of its own. We do not ask for it, because a sender without it repeats
 * the packet itself; but FFmpeg's WHIP client repeats by RTX whatever the answer says.
 */
import type { Packet } from '../../media/packet.ts';

const SEQUENCE_BYTES = 2;

/**
 * The datagram that was lost, made from the one that repeats it. Undefined when it repeats nothing: senders also fill
 * this stream with padding.
 * @param datagram the RTX packet, from which `packet` was parsed
 * @param to payload type and SSRC of the original stream
 */
export function unwrapRetransmission(
  datagram: Buffer,
  packet: Packet,
  to: { payloadType: number; ssrc: number },
): Buffer | undefined {
  const { payload } = packet;
  if (payload.length <= SEQUENCE_BYTES) return undefined;
  // The payload is a view of the datagram, so this is the length of everything before it.
  const headerBytes = payload.byteOffset - datagram.byteOffset;
  const original = Buffer.concat([datagram.subarray(0, headerBytes), payload.subarray(SEQUENCE_BYTES)]);
  // The parsed payload has no padding, so the bit that announces padding is cleared.
  original[0] = original[0]! & ~0x20;
  original[1] = (original[1]! & 0x80) | to.payloadType;
  original.writeUInt16BE(payload.readUInt16BE(0), 2);
  original.writeUInt32BE(to.ssrc, 8);
  return original;
}
