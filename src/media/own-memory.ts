/**
 * Bytes that are kept for long have memory of their own. A view keeps everything in memory that was read with it; and
 * so does a small copy, which Node makes in 64 kB that it shares with others.
 */

/** A copy that keeps nothing else in memory. */
export function inOwnMemory(bytes: Uint8Array): Buffer {
  const copy = Buffer.allocUnsafeSlow(bytes.length);
  copy.set(bytes);
  return copy;
}
