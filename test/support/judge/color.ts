/**
 * Colour: what an MP4 says of its picture's colours in its `colr` box (ISO/IEC 14496-12 §12.1.5), and what the coded
 * picture says itself, by a container that has no word for it. In H.273's numbers.
 */
import { readFileSync } from 'node:fs';
import { AVCOL_RANGE_JPEG, AVMEDIA_TYPE_VIDEO } from 'node-av/constants';
import { withInput } from './read-media.ts';

export type SaidColor = { primaries: number; transfer: number; matrix: number; fullRange: boolean };

/** Undefined where the file has no such box. */
export function containerColor(mp4: string): SaidColor | undefined {
  const bytes = readFileSync(mp4);
  const at = bytes.indexOf('colrnclx', 0, 'latin1');
  if (at < 0) return undefined;
  const [primaries, transfer, matrix] = [8, 10, 12].map((offset) => bytes.readUInt16BE(at + offset));
  return { primaries: primaries!, transfer: transfer!, matrix: matrix!, fullRange: (bytes[at + 14]! & 0x80) !== 0 };
}

/** What the parameter sets in a transport stream say. */
export function codedColor(ts: string): SaidColor {
  return withInput(ts, (input) => {
    const { codecpar } = input.streams[input.findBestStream(AVMEDIA_TYPE_VIDEO)]!;
    const fullRange = codecpar.colorRange === AVCOL_RANGE_JPEG;
    return {
      primaries: codecpar.colorPrimaries,
      transfer: codecpar.colorTrc,
      matrix: codecpar.colorSpace,
      fullRange,
    };
  });
}
