/** The boxes at the top of an MP4 (ISO 14496-12 §4.2): whether it is all there, and where its index stands. */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';

export type Boxes = {
  /** `front` of the media, `behind` it, `fragments` that have their own, or `missing`. */
  index: 'front' | 'behind' | 'fragments' | 'missing';
  /** What is wrong, in words. */
  problems: string[];
};

const MOST_BOXES = 100_000;

export function readBoxes(path: string): Boxes {
  const file = openSync(path, 'r');
  try {
    const { size } = fstatSync(file);
    const names: string[] = [];
    const problems: string[] = [];
    const head = Buffer.alloc(16);
    for (let at = 0; at < size && names.length < MOST_BOXES; ) {
      const read = readSync(file, head, 0, 16, at);
      if (read < 8) {
        problems.push(`${size - at} bytes at its end are no box`);
        break;
      }
      const name = head.toString('latin1', 4, 8);
      const told = head.readUInt32BE(0);
      // 1: its size follows in 64 bits; 0: it goes on to the end.
      const length = told === 1 && read === 16 ? Number(head.readBigUInt64BE(8)) : told === 0 ? size - at : told;
      if (length < 8 || !/^[\x20-\x7e\xa9]{4}$/.test(name)) {
        problems.push(`at byte ${at} there is no box`);
        break;
      }
      if (at + length > size) problems.push(`its box ${name} lacks ${at + length - size} bytes: the file is cut off`);
      names.push(name);
      at += length;
    }
    const [moov, mdat] = [names.indexOf('moov'), names.indexOf('mdat')];
    const index =
      moov < 0 ? 'missing' : names.includes('moof') ? 'fragments' : moov < mdat || mdat < 0 ? 'front' : 'behind';
    if (index === 'missing') problems.push('it has no index (moov): it was never finished');
    return { index, problems };
  } finally {
    closeSync(file);
  }
}
