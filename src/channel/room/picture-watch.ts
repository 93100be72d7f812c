/**
 * PictureWatch: notices whole pictures of an encoding when their last packet comes in, without decoding. Only pictures
 * show that an encoding lives: a sender that has lost its bandwidth goes on with padding and headers.
 */
import type { Packet } from '../../media/packet.ts';
import type { VideoCodec } from '../../media/track.ts';
import { holdsPicture, surelyBeginsPicture } from '../../stages/rtp/picture-data.ts';

type Picture = { first: number; last: number | undefined; sequences: Set<number>; holds: boolean; begins: boolean };

/** At most this many pictures are watched that packets sent again may still complete. */
const MAX_PICTURES = 16;
const MAX_EDGES = 256;

export class PictureWatch {
  readonly #codec: VideoCodec;
  /** Pictures by RTP timestamp, the oldest first. */
  readonly #pictures = new Map<number, Picture>();
  /** Sequence numbers right behind which a picture can begin: those of last packets of pictures, and of padding. */
  readonly #edges = new Set<number>();

  constructor(codec: VideoCodec) {
    this.#codec = codec;
  }

  /** @returns whether this packet completes a picture */
  onPacket({ sequence, timestamp, marker, payload }: Packet): boolean {
    const isPadding = payload.length === 0;
    if (isPadding || marker) this.#addEdge(sequence);
    if (isPadding) return false;
    const picture = this.#pictureOf(timestamp, sequence);
    if (((sequence - picture.first) << 16) >> 16 < 0) picture.first = sequence;
    if (marker) picture.last = sequence;
    picture.sequences.add(sequence);
    picture.holds ||= holdsPicture(this.#codec, payload);
    picture.begins ||= surelyBeginsPicture(this.#codec, payload);
    if (picture.last === undefined || !picture.holds) return false;
    const count = ((picture.last - picture.first) & 0xffff) + 1;
    if (picture.sequences.size !== count) return false;
    if (!picture.begins && !this.#edges.has((picture.first - 1) & 0xffff)) return false;
    this.#pictures.delete(timestamp);
    return true;
  }

  #pictureOf(timestamp: number, sequence: number): Picture {
    let picture = this.#pictures.get(timestamp);
    if (!picture) {
      picture = { first: sequence, last: undefined, sequences: new Set(), holds: false, begins: false };
      this.#pictures.set(timestamp, picture);
      const [oldest] = this.#pictures.keys();
      if (this.#pictures.size > MAX_PICTURES) this.#pictures.delete(oldest!);
    }
    return picture;
  }

  #addEdge(sequence: number): void {
    this.#edges.add(sequence);
    const [oldest] = this.#edges;
    if (this.#edges.size > MAX_EDGES) this.#edges.delete(oldest!);
  }
}
