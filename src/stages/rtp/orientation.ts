/**
 * The video orientation RTP header extension (`urn:3gpp:video-orientation`, 3GPP TS 26.114 §7.4.5): a byte of 0000CFRR,
 * with which phones turn their pictures without encoding them anew.
 */
import type { Orientation } from '../../media/frame.ts';

const FLIP = 0x04;
const TURNS = [0, 90, 180, 270] as const;

/**
 * What an extension element says; undefined when it does not have one byte. The upper bits belong to another extension,
 * and C only says which camera it is; neither matters for showing.
 */
export function parseOrientation(data: Buffer): Orientation | undefined {
  if (data.length !== 1) return undefined;
  const bits = data[0]!;
  return { turn: TURNS[bits & 0x03]!, flip: (bits & FLIP) !== 0 };
}
