/**
 * The colour space RTP header extension of WebRTC (`http://www.webrtc.org/experiments/rtp-hdrext/color-space`):
 * primaries, transfer and matrix as ITU-T H.273 codes of a byte each, then range and chroma siting, then perhaps HDR
 * metadata.
 */
import type { VideoColor } from '../../media/track.ts';

/** Length without and with HDR metadata, which follows the four bytes. */
const LENGTHS = [4, 28];
const UNSPECIFIED = 2;
const FULL_RANGE = 2;

/** What an extension element says; undefined when it says nothing useful. */
export function parseColorSpace(data: Buffer): VideoColor | undefined {
  if (!LENGTHS.includes(data.length)) return undefined;
  const matrix = data[2]!;
  const range = (data[3]! >> 4) & 0x03;
  if (range === 0) return undefined;
  return { matrix: matrix === 0 ? UNSPECIFIED : matrix, fullRange: range === FULL_RANGE };
}
