/**
 * Image files made byte by byte: PNG (ISO/IEC 15948) and BMP, of colours that are given for each place.
 */
import { crc32, deflateSync } from 'node:zlib';
import type { Rgb } from './participants.ts';

export type Rgba = Rgb & { a?: number };
/** The colour of the pixel at (x, y). */
export type Paint = (x: number, y: number) => Rgba;

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);
const COLOUR_TYPES = { rgb: 2, palette: 3, rgba: 6 } as const;

/** A PNG of 8 bits a channel; with `rgba` of what may be seen through. */
export function makePng(width: number, height: number, paint: Paint, kind: 'rgb' | 'rgba' = 'rgb'): Buffer {
  const bytes = kind === 'rgba' ? 4 : 3;
  const rows = Buffer.alloc(height * (1 + width * bytes));
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const { r, g, b, a = 255 } = paint(x, y);
      rows.set([r, g, b, a].slice(0, bytes), y * (1 + width * bytes) + 1 + x * bytes);
    }
  return png(header(width, height, COLOUR_TYPES[kind]), chunk('IDAT', deflateSync(rows)));
}

/** A PNG of one colour of a palette, which may be seen through. */
export function makePalettePng(width: number, height: number, { r, g, b, a = 255 }: Rgba): Buffer {
  const palette = [chunk('PLTE', Buffer.from([r, g, b])), chunk('tRNS', Buffer.from([a]))];
  const rows = chunk('IDAT', deflateSync(Buffer.alloc(height * (1 + width))));
  return png(header(width, height, COLOUR_TYPES.palette), ...palette, rows);
}

/** A PNG that says that it is of this size, and ends after it. */
export function makePngHeader(width: number, height: number): Buffer {
  return png(header(width, height, COLOUR_TYPES.rgb));
}

/** The JPEG with what a camera notes of how it was held: a value from 1 to 8 (Exif 2.32 §4.6.4, tag 274). */
export function withOrientation(jpeg: Buffer, value: number): Buffer {
  const exif = Buffer.from('FFE100224578696600004D4D002A00000008000101120003000000010000000000000000', 'hex');
  exif.writeUInt16BE(value, exif.length - 8);
  return Buffer.concat([jpeg.subarray(0, 2), exif, jpeg.subarray(2)]);
}

/** The JPEG with its only scan so many times. */
export function withScans(jpeg: Buffer, scans: number): Buffer {
  const at = jpeg.indexOf(Buffer.of(0xff, 0xda));
  const scan = jpeg.subarray(at, jpeg.length - 2);
  return Buffer.concat([jpeg.subarray(0, at), ...Array<Buffer>(scans).fill(scan), jpeg.subarray(-2)]);
}

/** A BMP of 24 bits a pixel, whose rows go from the bottom up. */
export function makeBmp(width: number, height: number, paint: Paint): Buffer {
  const stride = Math.ceil((width * 3) / 4) * 4;
  const file = Buffer.alloc(54 + stride * height);
  file.write('BM', 'latin1');
  file.writeUInt32LE(file.length, 2);
  file.writeUInt32LE(54, 10);
  file.writeUInt32LE(40, 14);
  file.writeInt32LE(width, 18);
  file.writeInt32LE(height, 22);
  file.writeUInt16LE(1, 26);
  file.writeUInt16LE(24, 28);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++) {
      const { r, g, b } = paint(x, height - 1 - y);
      file.set([b, g, r], 54 + y * stride + x * 3);
    }
  return file;
}

function png(...chunks: Buffer[]): Buffer {
  return Buffer.concat([SIGNATURE, ...chunks, chunk('IEND', Buffer.alloc(0))]);
}

function header(width: number, height: number, colourType: number): Buffer {
  const body = Buffer.alloc(13);
  body.writeUInt32BE(width, 0);
  body.writeUInt32BE(height, 4);
  body.set([8, colourType], 8);
  return chunk('IHDR', body);
}

function chunk(name: string, body: Buffer): Buffer {
  const named = Buffer.concat([Buffer.from(name, 'latin1'), body]);
  const [length, check] = [Buffer.alloc(4), Buffer.alloc(4)];
  length.writeUInt32BE(body.length);
  check.writeUInt32BE(crc32(named));
  return Buffer.concat([length, named, check]);
}
