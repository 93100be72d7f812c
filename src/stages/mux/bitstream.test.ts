import { expect, test } from 'vitest';
import { audioConfigOf, parameterSetsOf, withoutAdts } from './bitstream.ts';

const hex = (text: string) => Buffer.from(text.replace(/ /g, ''), 'hex');

test('parameter sets are found behind start codes of either length, and nothing else is', () => {
  const unit = hex('00000001 0910 00000001 6742c01e 000001 68ce3c80 000001 06aa 000001 6588');
  expect(parameterSetsOf(unit)).toEqual(hex('00000001 6742c01e 00000001 68ce3c80'));
  expect(parameterSetsOf(hex('00000001 41aa'))).toEqual(Buffer.alloc(0));
  expect(parameterSetsOf(Buffer.alloc(0))).toEqual(Buffer.alloc(0));
});

test('an ADTS frame gives its payload and its AudioSpecificConfig', () => {
  // AAC-LC, 48 kHz, stereo, without and with a CRC.
  const plain = hex('fff1 4c80 0140 fc aabb cc');
  expect(withoutAdts(plain)).toEqual(hex('aabbcc'));
  expect(audioConfigOf(plain)).toEqual(hex('1190'));
  expect(withoutAdts(hex('fff0 4c80 0160 fc 1234 aabb'))).toEqual(hex('aabb'));
  expect(withoutAdts(hex('0011223344556677889900'))).toBeUndefined();
  expect(audioConfigOf(hex('fff1'))).toBeUndefined();
  expect(withoutAdts(plain.subarray(0, 9))).toBeUndefined();
});
