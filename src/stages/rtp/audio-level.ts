/**
 * The client-to-mixer audio level RTP header extension (RFC 6464 §3): one byte with the voice flag and the level, which
 * shows who speaks without decoding.
 */

const LEVEL = 0x7f;

/**
 * The level of the packet's sound in dBov, 0 (as loud as can be) to -127 (silent); undefined when the element is empty.
 * In the two-byte form padding may follow the byte (§4).
 */
export function parseAudioLevel(data: Buffer): number | undefined {
  const byte = data[0];
  // Not -(byte & LEVEL), which would be -0 for the loudest.
  return byte === undefined ? undefined : 0 - (byte & LEVEL);
}
