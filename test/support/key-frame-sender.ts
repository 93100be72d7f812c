/** KeyFrameSender: a user on a held clock who sends VP8 of one layer or more, of several packets a picture. */
import { Encoding } from '../../src/channel/room/encoding.ts';
import { Publication } from '../../src/channel/room/publication.ts';
import type { VideoFormat } from '../../src/media/track.ts';
import { encodePacket } from '../../src/stages/rtp/encode-packet.ts';
import { parsePacket } from '../../src/stages/rtp/parse-packet.ts';
import { memoryForTests } from './channel-memory.ts';
import type { ManualClock } from './manual-clock.ts';

export const VP8: VideoFormat = { kind: 'video', codec: 'vp8', payloadType: 96, clockRate: 90000, fmtp: '' };

export class KeyFrameSender {
  readonly publication: Publication;
  /** How often each layer was asked for a key frame. */
  readonly asked: number[];
  readonly #clock: ManualClock;
  #sequences: number[];

  /** @param layers how many pixels wide the pictures of each are */
  constructor(clock: ManualClock, layers: readonly number[] = [640]) {
    this.#clock = clock;
    this.widths = layers;
    this.asked = layers.map(() => 0);
    // Numbers wrap around within the first picture.
    this.#sequences = layers.map(() => 65_534);
    const memory = memoryForTests();
    const encodings = layers.map(
      (_, n) =>
        new Encoding({
          ...{ format: VP8, rid: `${n}`, memory, isLayer: layers.length > 1 },
          onKeyFrameWanted: () => void this.asked[n]!++,
        }),
    );
    this.publication = new Publication(VP8, encodings);
  }

  readonly widths: readonly number[];

  encoding(layer = 0): Encoding {
    return this.publication.encodings[layer]!;
  }

  /** The datagrams of the next picture, four of them, of which the last has the marker. */
  make(key: boolean, layer = 0): Buffer[] {
    const timestamp = (this.#clock.monoUs() * 90) / 1000;
    return [0, 1, 2, 3].map((n) => {
      const payload =
        n === 0 ? Buffer.from([0x10, key ? 0 : 1, 0, 0, 0x9d, 0x01, 0x2a, 0, 0, 100, 0]) : Buffer.from([0, n]);
      if (n === 0) payload.writeUInt16LE(this.widths[layer]!, 7);
      const sequence = this.#sequences[layer]!++ & 0xffff;
      return encodePacket({ payloadType: 96, ssrc: layer + 1, sequence, timestamp, marker: n === 3, payload });
    });
  }

  /** These packets come in, in this order. */
  arrive(datagrams: readonly Buffer[], layer = 0): void {
    for (const datagram of datagrams) this.encoding(layer).take(parsePacket(datagram, this.#clock.monoUs()), datagram);
  }

  /** A whole picture is sent and comes in. */
  send(key: boolean, layer = 0): Buffer[] {
    const datagrams = this.make(key, layer);
    this.arrive(datagrams, layer);
    return datagrams;
  }
}
