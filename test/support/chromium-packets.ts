/**
 * RTP packets as a Chromium sends them whose offer is `chromium`: its SSRCs, payload types and header extensions.
 */
import { encodePacket } from '../../src/stages/rtp/encode-packet.ts';

/** Of the sound, as the offer announces it. */
export const AUDIO_SSRC = 524960147;
/** Of the pictures. */
export const VIDEO_SSRC = 715482575;
/** Of the packets that repeat pictures. */
export const RTX_SSRC = 1506952842;

/** A bare RTP packet: no marker, no extensions. Numbers above the width of their fields are cut. */
export function rtp(
  payloadType: number,
  ssrc: number,
  sequence: number,
  payload: Buffer,
  timestamp = sequence * 3000,
): Buffer {
  return encodePacket({
    ...{ payloadType, ssrc, sequence, timestamp },
    ...{ marker: false, payload },
  });
}

/** VP8: descriptor with S set, then a frame header whose lowest bit is 0 for a key frame. */
export const vp8 = (sequence: number, key: boolean) =>
  rtp(96, VIDEO_SSRC, sequence, Buffer.from([0x10, key ? 0x00 : 0x01, 1, 2]));

/** 20 ms of Opus. */
export const opus = (sequence: number) => rtp(111, AUDIO_SSRC, sequence, Buffer.from([0xfc, 1]), sequence * 960);

/** The packet, which has no extensions, with its transport-wide number in the extension that the offer gives it. */
export function numbered(datagram: Buffer, number: number): Buffer {
  const extension = Buffer.from('bede000131000000', 'hex');
  extension.writeUInt16BE(number & 0xffff, 5);
  const out = Buffer.concat([datagram.subarray(0, 12), extension, datagram.subarray(12)]);
  out[0] = out[0]! | 0x10;
  return out;
}

/** VP8 that says which section it belongs to, in the extension that the offer gives it. */
export function ofMid(mid: string, ssrc: number, sequence: number, key: boolean): Buffer {
  return encodePacket({
    ...{ payloadType: 96, ssrc, sequence, timestamp: sequence * 3000, marker: true },
    ...{ payload: Buffer.from([0x10, key ? 0 : 1, 1]), extensions: new Map([[4, Buffer.from(mid)]]) },
  });
}
