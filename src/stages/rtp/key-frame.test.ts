/**
 * The first payload of a key frame is known in every packetization of RFC 6184 and RFC 7741.
 */
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
])('%s (%s)', (_, codec, hex, expected) => {
  expect(startsKeyFrame(codec, Buffer.from(hex, 'hex'))).toBe(expected);
});
