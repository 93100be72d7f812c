/**
 * The first payload of a key frame is known in every packetization of H.264, VP8, VP9 and AV1.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { VideoCodec } from '../../media/track.ts';
import { startsKeyFrame } from './key-frame.ts';

test.each<[string, VideoCodec, string, boolean]>([
  ['IDR as a single NAL unit', 'h264', '6588840a', true],
  ['a later slice of an IDR picture', 'h264', '6540840a', false],
  ['SPS as a single NAL unit', 'h264', '6742c01f', true],
  ['PPS alone', 'h264', '68ce3c80', false],
  ['P slice', 'h264', '419a0203', false],
  ['STAP-A with SPS and PPS', 'h264', '7800046742c01f000468ce3c80', true],
  ['STAP-A with SEI and IDR', 'h264', '780002060500036588ff', true],
  ['STAP-A of P slices', 'h264', '780003419a020003419a02', false],
  ['STAP-A cut short', 'h264', '780009419a', false],
  ['FU-A start of an IDR', 'h264', '7c858884', true],
  ['FU-A middle of an IDR', 'h264', '7c058884', false],
  ['FU-A end of an IDR', 'h264', '7c458884', false],
  ['FU-A start of a P slice', 'h264', '7c819a02', false],
  ['nothing', 'h264', '', false],
  ['VP8 key frame, short descriptor', 'vp8', '1050429d012a', true],
  ['VP8 key frame, 15-bit picture id', 'vp8', '9080812350429d012a', true],
  ['VP8 key frame, 7-bit picture id', 'vp8', '90801150429d012a', true],
  ['VP8 key frame, all fields', 'vp8', '90f0812301e050429d012a', true],
  ['VP8 predicted frame, all fields', 'vp8', '90f0812301e051429d012a', false],
  ['VP8 predicted frame', 'vp8', '1051', false],
  ['VP8 later packet of the frame', 'vp8', '0050', false],
  ['VP8 start of another partition', 'vp8', '1150', false],
  ['VP8 descriptor alone', 'vp8', '908081', false],
  ['nothing', 'vp8', '', false],
  ['VP9 key frame', 'vp9', '88058249', true],
  ['VP9 key frame, all fields', 'vp9', 'aa812300071802800168010401824983', true],
  ['VP9 key frame, lowest of two layers', 'vp9', 'ac05000782', true],
  ['VP9 key frame of profile 3', 'vp9', '0cb1', true],
  ['VP9 upper layer of a key picture', 'vp9', 'ac05030786', false],
  ['VP9 predicted frame', 'vp9', 'cc812386', false],
  ['VP9 later packet of the frame', 'vp9', '800582', false],
  ['VP9 older frame shown again', 'vp9', '8c0588', false],
  ['VP9 descriptor alone', 'vp9', '8c05', false],
  ['nothing', 'vp9', '', false],
  ['AV1 sequence header and key frame', 'av1', '280408aabbcc3010dd', true],
  ['AV1 sequence header and key frame without N', 'av1', '200408aabbcc3010dd', true],
  ['AV1 delimiter, sequence header and frame header', 'av1', '3801100408aabbcc1810dd', true],
  ['AV1 sequence header alone, N', 'av1', '1808aabbcc', true],
  ['AV1 sequence header alone', 'av1', '1008aabbcc', false],
  ['AV1 sequence header and predicted frame', 'av1', '280408aabbcc3030dd', false],
  ['AV1 sequence header and the first byte of a frame', 'av1', '680408aabbcc30', true],
  ['AV1 key frame without a sequence header', 'av1', '103010dd', true],
  ['AV1 rest of a unit', 'av1', 'b00408aabbcc3010dd', false],
  ['AV1 lengths cut short', 'av1', '280908aabbcc', false],
  ['nothing', 'av1', '', false],
])('%s (%s)', (_, codec, hex, expected) => {
  expect(startsKeyFrame(codec, Buffer.from(hex, 'hex'))).toBe(expected);
});

test('any bytes at all are a key frame or none, never an error', () => {
  fc.assert(
    fc.property(fc.constantFrom('h264', 'vp8', 'vp9', 'av1'), fc.uint8Array({ maxLength: 40 }), (codec, bytes) => {
      expect(startsKeyFrame(codec, Buffer.from(bytes))).toBeTypeOf('boolean');
    }),
    { numRuns: 2000 },
  );
});
