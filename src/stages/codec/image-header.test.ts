import { describe, expect, test } from 'vitest';
import { readImageHeader } from './image-header.ts';

const png = (width: number, height: number) => {
  const file = Buffer.alloc(33);
  file.write('\x89PNG\r\n\x1a\n\0\0\0\rIHDR', 'latin1');
  file.writeUInt32BE(width, 16);
  file.writeUInt32BE(height, 20);
  return file;
};
/** `before`: segments between the start of the image and its frame header. */
const jpeg = (sof: number, ...before: Buffer[]) => {
  const frame = Buffer.from([0xff, sof, 0, 17, 8, 0x01, 0x68, 0x02, 0x80, 3, 1, 0x22, 0, 2, 0x11, 1, 3, 0x11, 1]);
  return Buffer.concat([Buffer.from([0xff, 0xd8]), ...before, frame]);
};
const segment = (marker: number, length: number) => {
  const bytes = Buffer.alloc(2 + length);
  bytes.writeUInt16BE(0xff00 | marker, 0);
  bytes.writeUInt16BE(length, 2);
  return bytes;
};
const bmp = (header: number, write: (file: Buffer) => void) => {
  const file = Buffer.alloc(54);
  file.write('BM', 'latin1');
  file.writeUInt32LE(header, 14);
  write(file);
  return file;
};

describe('an image file', () => {
  test.each([
    ['PNG', png(10_000, 10_000), { type: 'png', width: 10_000, height: 10_000 }],
    ['JPEG', jpeg(0xc0), { type: 'jpeg', width: 640, height: 360 }],
    [
      'JPEG, progressive, behind tables, fill bytes and a thumbnail',
      jpeg(0xc2, segment(0xe0, 16), segment(0xc4, 30), Buffer.from([0xff, 0xff]), segment(0xe1, 4000)),
      { type: 'jpeg', width: 640, height: 360 },
    ],
    [
      'BMP whose rows go from the top down',
      bmp(40, (file) => file.writeInt32LE(640, 18) + file.writeInt32LE(-360, 22)),
      { type: 'bmp', width: 640, height: 360 },
    ],
    [
      'BMP of OS/2',
      bmp(12, (file) => file.writeUInt16LE(640, 18) + file.writeUInt16LE(360, 20)),
      { type: 'bmp', width: 640, height: 360 },
    ],
  ])('is known by its content: %s', (_name, file, header) => {
    expect(readImageHeader(file)).toEqual(header);
  });

  test.each([
    ['a GIF', Buffer.from('GIF89a\x80\x02\x68\x01padding padding padding', 'latin1')],
    ['a page', Buffer.from('<!doctype html><title>not here</title>')],
    ['an SVG', Buffer.from('<svg xmlns="http://www.w3.org/2000/svg"/>')],
    ['nothing', Buffer.alloc(0)],
    ['a PNG whose first chunk is another', Buffer.from(png(1, 1)).fill('IDAT', 12, 16)],
    ['a JPEG without a picture', Buffer.concat([Buffer.from([0xff, 0xd8]), segment(0xe0, 16)])],
    ['a JPEG whose lengths lead nowhere', Buffer.from([0xff, 0xd8, 0xff, 0xe0, 0, 0, 0, 0, 0, 0, 0, 0])],
  ])('is none: %s', (_name, file) => {
    expect(readImageHeader(file)).toBeUndefined();
  });

  test('is none, whatever its kind, when it breaks off before its size', () => {
    for (const whole of [png(4, 4), jpeg(0xc0, segment(0xe0, 16)), bmp(40, (file) => file.writeInt32LE(4, 18))])
      for (let bytes = 0; bytes < 20; bytes++) expect(readImageHeader(whole.subarray(0, bytes))).toBeUndefined();
  });
});
