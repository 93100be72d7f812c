/**
 * PCMU and PCMA over RTP: samples of a byte each, one payload for what was handed over together (RFC 3551 §4.5.14).
 */
export function packetizeG711(samples: Buffer): Buffer[] {
  return [samples];
}
