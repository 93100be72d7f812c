/**
 * What an image file says in its first bytes: PNG, JPEG or BMP, and its size. The content tells it, whatever the name
 * or the server say, before a decoder reserves memory.
 */

type ImageType = 'png' | 'jpeg' | 'bmp';
export type ImageHeader = { type: ImageType; width: number; height: number };

const PNG_SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

const SOS = Buffer.from([0xff, 0xda]);

/** Undefined when the file is none of the three or breaks off before its size. A size may be zero. Pure. */
export function readImageHeader(file: Buffer): ImageHeader | undefined {
  if (file.subarray(0, 8).equals(PNG_SIGNATURE)) return readPng(file);
  if (file.length >= 3 && file.readUIntBE(0, 3) === 0xffd8ff) return readJpeg(file);
  if (file.toString('latin1', 0, 2) === 'BM') return readBmp(file);
  return undefined;
}

/**
 * How many scans a JPEG has, each of which may code the whole picture. They can be counted without reading them: coded
 * data never holds the bytes of a marker (ITU-T T.81 §B.1.1.5).
 */
export function countScans(jpeg: Buffer): number {
  let scans = 0;
  for (let at = jpeg.indexOf(SOS); at >= 0; at = jpeg.indexOf(SOS, at + SOS.length)) scans++;
  return scans;
}

/** The first chunk is IHDR (ISO/IEC 15948 §11.2.2). */
function readPng(file: Buffer): ImageHeader | undefined {
  if (file.length < 24 || file.toString('latin1', 12, 16) !== 'IHDR') return undefined;
  return { type: 'png', width: file.readUInt32BE(16), height: file.readUInt32BE(20) };
}

/** Segments up to the frame header (ITU-T T.81 §B.2.2). */
function readJpeg(file: Buffer): ImageHeader | undefined {
  for (let at = 2; at + 9 <= file.length; ) {
    if (file[at] !== 0xff) return undefined;
    const marker = file[at + 1]!;
    // A marker may have any number of fill bytes before it; TEM and RSTn have no length.
    if (marker === 0xff) at += 1;
    else if (marker === 0x01 || (marker >= 0xd0 && marker <= 0xd7)) at += 2;
    else if (isFrameHeader(marker))
      return { type: 'jpeg', height: file.readUInt16BE(at + 5), width: file.readUInt16BE(at + 7) };
    else at += 2 + file.readUInt16BE(at + 2);
  }
  return undefined;
}

/** SOF0 to SOF15, without the tables and the reserved marker between them. */
function isFrameHeader(marker: number): boolean {
  return marker >= 0xc0 && marker <= 0xcf && marker !== 0xc4 && marker !== 0xc8 && marker !== 0xcc;
}

/**
 * A core header has 16-bit sizes; all later ones have 32 bits, and a negative height where rows go from the top down.
 */
function readBmp(file: Buffer): ImageHeader | undefined {
  if (file.length < 26) return undefined;
  if (file.readUInt32LE(14) === 12) return { type: 'bmp', width: file.readUInt16LE(18), height: file.readUInt16LE(20) };
  return { type: 'bmp', width: Math.abs(file.readInt32LE(18)), height: Math.abs(file.readInt32LE(22)) };
}
