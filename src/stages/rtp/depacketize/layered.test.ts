/**
 * VP9 and AV1 packets written by hand, as other senders than ours make them: layers, structures, every form of the
 * headers.
 */
import { expect, test } from 'vitest';
import type { Packet } from '../../../media/packet.ts';
import type { TrackFormat } from '../../../media/track.ts';
import { createDepacketizer } from './create-depacketizer.ts';

const S = 1_000_000;
const hex = (text: string) => Buffer.from(text.replaceAll(' ', ''), 'hex');
const video = (codec: 'vp9' | 'av1'): TrackFormat => ({
  kind: 'video',
  codec,
  payloadType: 98,
  clockRate: 90000,
  fmtp: '',
});

/** Payloads of one picture, the last with the marker, to what comes of them. */
function join(codec: 'vp9' | 'av1', payloads: string[]) {
  const depacketizer = createDepacketizer(video(codec));
  const samples = payloads.flatMap((payload, n) => {
    const packet: Packet = {
      payloadType: 98,
      sequence: n,
      timestamp: 0,
      ssrc: 1,
      marker: n === payloads.length - 1,
      payload: hex(payload),
      arrivalUs: 0,
    };
    return depacketizer.push({ packet, rtpTime: 0, lostBefore: 0 });
  });
  const [sample] = [...samples, ...depacketizer.settle(S)];
  return { data: sample?.data.toString('hex'), keyFrame: sample?.keyFrame, dropped: depacketizer.dropped };
}

// First byte of the descriptor: I P L F B E V Z (RFC 9628 §4.2).
test.each([
  ['without any fields', ['0c 82aa'], '82aa', true],
  ['with a picture id of 7 bits', ['8c 05 82aa'], '82aa', true],
  ['with a picture id of 15 bits', ['cc 8123 86aa'], '86aa', false],
  ['in three parts', ['88 05 82aa', '80 05 bb', '84 05 cc'], '82aabbcc', true],
  ['with layer indices in non-flexible mode', ['ac 05 00 07 82aa'], '82aa', true],
  ['in flexible mode with two references', ['fc 8123 20 03 04 86aa'], '86aa', false],
  ['in flexible mode with three references', ['dc 05 03 03 02 86aa'], '86aa', false],
  ['with a group of two pictures', ['8e 8123 18 0280 0168 02 04 01 28 01 02 82aa'], '82aa', true],
  ['with a scalability structure', ['8e 8123 18 0280 0168 01 04 01 82aa'], '82aa', true],
  ['with a structure of two layers', ['ae 05 00 07 30 0140 00b4 0280 0168 82aa'], '82aa', true],
  ['of two layers, as a superframe', ['ac 05 00 07 82aa', 'ac 05 03 07 86bbcc'], '82aa 86bbcc c10203c1', true],
  [
    'of two layers in parts, the second large',
    ['a8 05 00 07 82', 'a4 05 00 07 aa', 'a8 05 03 07 86', `a4 05 03 07 ${'bb'.repeat(300)}`],
    `82aa 86${'bb'.repeat(300)} c9 0200 2d01 c9`,
    true,
  ],
  ['of an older picture shown again', ['0c 88'], '88', false],
])('VP9: a frame %s', (_, payloads, data, keyFrame) => {
  expect(join('vp9', payloads)).toEqual({ data: data.replaceAll(' ', ''), keyFrame, dropped: 0 });
});

test.each([
  ['a descriptor alone', ['8c 05']],
  ['a descriptor cut short', ['cc 81']],
  ['a structure cut short', ['8e 8123 18 0280']],
  ['more references than three', ['dc 05 03 03 03 03 86aa']],
  ['a frame joined in its middle', ['04 aa']],
  ['a frame without its end', ['08 82aa']],
  ['a frame that begins within another', ['08 82aa', '0c 86aa']],
  ['an upper layer joined without the lower', ['ac 05 03 07 86bb']],
])('VP9: %s is dropped and counted', (_, payloads) => {
  expect(join('vp9', payloads)).toEqual({ data: undefined, keyFrame: undefined, dropped: 1 });
});

// Aggregation header: Z Y W W N - - -.
test.each([
  ['two units, counted', ['28 04 08aabbcc 3010dd'], '0a03aabbcc 320210dd', true],
  ['two units, each with its length', ['08 04 08aabbcc 03 3010dd'], '0a03aabbcc 320210dd', true],
  ['a unit over three packets', ['58 30', 'd0 10dd', '90 eeff'], '320410ddeeff', false],
  ['a unit begun behind another', ['68 04 08aabbcc 3010dd', '90 eeff'], '0a03aabbcc 320410ddeeff', true],
  ['the rest of a unit and the next', ['50 30 10', 'a0 01 dd 20 ee'], '320210dd 2201ee', false],
  ['a temporal delimiter, left out', ['20 01 10 3030'], '320130', false],
  ['a tile list, left out', ['30 02 2801 02 40ff 3030'], '2a0101 320130', false],
  ['a unit that gives its size', ['10 32 02 30dd'], '320230dd', false],
  ['layers', ['20 04 3400 30dd 3408 30ee'], '36000230dd 36080230ee', false],
  ['a sequence header repeated before a predicted picture', ['20 04 08aabbcc 3030'], '0a03aabbcc 320130', false],
  ['a length in more bytes than it needs', ['00 8200 3030'], '320130', false],
])('AV1: %s', (_, payloads, data, keyFrame) => {
  expect(join('av1', payloads)).toEqual({ data: data.replaceAll(' ', ''), keyFrame, dropped: 0 });
});

test.each([
  ['a stream joined in the middle of a unit', ['90 aa']],
  ['a stream joined at a group of tiles', ['10 20aa']],
  ['a stream joined at an upper layer', ['10 3408aa']],
  ['a unit without its end', ['50 3010']],
  ['a unit begun while another is not ended', ['50 3010', '10 3030']],
  ['a length that says more than there is', ['00 05 3010']],
  ['a length without an end', ['00 ffffffffffff']],
  ['an element of nothing', ['10']],
  ['a unit that is larger than its element', ['10 32 05 10dd']],
  ['bytes behind a unit', ['10 32 01 10dd']],
  ['the forbidden bit', ['10 b010']],
])('AV1: %s is dropped and counted', (_, payloads) => {
  expect(join('av1', payloads)).toEqual({ data: undefined, keyFrame: undefined, dropped: 1 });
});

test('AV1: more units than a picture can have are no picture', () => {
  const many = `00${'0130'.repeat(500)}`;
  expect(join('av1', [many, many]).dropped).toBe(0);
  expect(join('av1', [many, many, many])).toEqual({ data: undefined, keyFrame: undefined, dropped: 1 });
});

test('AV1: a temporal unit without a picture is nothing', () => {
  expect(join('av1', ['10 28aa'])).toEqual({ data: undefined, keyFrame: undefined, dropped: 0 });
});
