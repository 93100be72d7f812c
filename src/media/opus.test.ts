import { expect, test } from 'vitest';
import { isStereoOpus, opusTicks } from './opus.ts';

test.each([
  ['SILK 10 ms', '00', 480],
  ['SILK 60 ms', '18', 2880],
  ['hybrid 10 ms', '60', 480],
  ['hybrid 20 ms', '68', 960],
  ['CELT 2.5 ms', '80', 120],
  ['CELT 20 ms', '98', 960],
  ['CELT 20 ms stereo', 'fc', 960],
  ['two frames of 20 ms', 'f9', 1920],
  ['two frames of different size', 'fa', 1920],
  ['three frames of 20 ms', 'fb03', 2880],
  ['six frames of 20 ms', '9b06', 5760],
  ['six frames of 20 ms with padding flag', 'fb46', 5760],
])('an Opus packet of %s (%s) plays %i ticks', (_, bytes, ticks) => {
  expect(opusTicks(Buffer.from(bytes, 'hex'))).toBe(ticks);
});

test.each(['', 'fb', 'fb00', 'fb07', '1b03'])('"%s" is no Opus packet', (bytes) => {
  expect(opusTicks(Buffer.from(bytes, 'hex'))).toBe(0);
});

test('the third bit of the first byte says stereo', () => {
  expect(isStereoOpus(Buffer.from([0xfc]))).toBe(true);
  expect(isStereoOpus(Buffer.from([0xf8]))).toBe(false);
  expect(isStereoOpus(Buffer.alloc(0))).toBe(false);
});
