/**
 * The client-to-mixer audio level RTP header extension (RFC 6464 §3): a byte of V and the level, so that who speaks can
 * be seen without decoding.
 */

const LEVEL = 0x7f;

/**
 * The level of the packet's sound in dBov, 0 (as loud as can be) to -127 (silent); undefined when the element is empty.
 * In the two-byte form it may carry padding behind the byte (§4).
 */
export function parseAudioLevel(data: Buffer): number | undefined {
  const byte = data[0];
  // Not -(byte & LEVEL), which would be -0 for the loudest.
  return byte === undefined ? undefined : 0 - (byte & LEVEL);
}
