/**
 * The sending side of RTP, for test publishers: encoded samples to datagrams, with the counts a sender report needs.
 */

import type { TrackFormat } from '../../../src/media/track.ts';
import { encodePacket } from '../../../src/stages/rtp/encode-packet.ts';
import { encodeSenderReport } from '../rtcp.ts';
import { packetizeAv1 } from './av1.ts';
import { packetizeG711 } from './g711.ts';
import { packetizeH264 } from './h264.ts';
import { packetizeOpus } from './opus.ts';
import { packetizeVp8 } from './vp8.ts';
import { packetizeVp9 } from './vp9.ts';

export type PacketizerOptions = {
  format: TrackFormat;
  ssrc: number;
  /** The first packet's number; 0 when absent. */
  firstSequence?: number;
  /** 1200 when absent, which fits any path. */
  maxPayloadBytes?: number;
};

export class Packetizer {
  readonly #format: TrackFormat;
  readonly #ssrc: number;
  readonly #maxPayloadBytes: number;
  #sequence: number;
  #pictureId = 0;
  #packets = 0;
  #octets = 0;

  constructor(options: PacketizerOptions) {
    this.#format = options.format;
    this.#ssrc = options.ssrc;
    this.#sequence = options.firstSequence ?? 0;
    this.#maxPayloadBytes = options.maxPayloadBytes ?? 1200;
  }

  /**
   * The datagrams of one sample.
   * @param data Annex B for H.264, one frame for VP8 and VP9, one temporal unit for AV1, one packet for Opus, samples
   * for G.711
   * @param timestamp in ticks; what is above 32 bits is cut off
   * @param extensions put on every one of them
   */
  packetize(data: Buffer, timestamp: number, extensions?: Map<number, Buffer>): Buffer[] {
    const payloads = this.#split(data);
    return payloads.map((payload, n) => {
      this.#packets++;
      this.#octets += payload.length;
      return encodePacket({
        payloadType: this.#format.payloadType,
        sequence: this.#sequence++,
        timestamp,
        ssrc: this.#ssrc,
        // For sound the marker means the start of a talkspurt (RFC 7587 §4.1), which is not ours to know.
        marker: this.#format.kind === 'video' && n === payloads.length - 1,
        payload,
        ...(extensions && { extensions }),
      });
    });
  }

  /** A packet of nothing but padding, as senders keep up a bitrate by. */
  padding(timestamp: number, extensions?: Map<number, Buffer>): Buffer {
    this.#packets++;
    return encodePacket({
      payloadType: this.#format.payloadType,
      sequence: this.#sequence++,
      timestamp,
      ssrc: this.#ssrc,
      marker: false,
      payload: Buffer.alloc(0),
      paddingBytes: 255,
      ...(extensions && { extensions }),
    });
  }

  /** A report that the media time `timestamp` is the moment `ntpUs`, microseconds since 1900. */
  senderReport(ntpUs: number, timestamp: number): Buffer {
    return encodeSenderReport({
      ssrc: this.#ssrc,
      ntpUs,
      rtpTimestamp: timestamp,
      packetCount: this.#packets,
      octetCount: this.#octets,
    });
  }

  #split(data: Buffer): Buffer[] {
    switch (this.#format.codec) {
      case 'h264':
        return packetizeH264(data, this.#maxPayloadBytes);
      case 'vp8':
        this.#pictureId = (this.#pictureId + 1) & 0x7fff;
        return packetizeVp8(data, this.#maxPayloadBytes, this.#pictureId);
      case 'vp9':
        this.#pictureId = (this.#pictureId + 1) & 0x7fff;
        return packetizeVp9(data, this.#maxPayloadBytes, this.#pictureId);
      case 'av1':
        return packetizeAv1(data, this.#maxPayloadBytes);
      case 'opus':
        return packetizeOpus(data);
      case 'pcmu':
      case 'pcma':
        return packetizeG711(data);
    }
  }
}
