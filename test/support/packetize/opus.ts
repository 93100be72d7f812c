/**
 * Opus over RTP: one packet, one payload; there is no fragmentation (RFC 7587 §4.2).
 */
export function packetizeOpus(packet: Buffer): Buffer[] {
  return [packet];
}
