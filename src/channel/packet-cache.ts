/**
 * What a recorder that comes late is given first: a video track's packets since its last key frame, and the last moments
 * of an audio track. Both bounded.
 */

/** An RTP datagram as it came in, with what is needed to sort it. */
export type CachedPacket = { datagram: Buffer; arrivalUs: number; sequence: number };

export type PacketCache = {
  add(packet: CachedPacket & { timestamp: number; startsKeyFrame: boolean }): void;
  /** In order of arrival. */
  packets(): readonly CachedPacket[];
  /** Forgets everything, as when the sender starts over. */
  clear(): void;
};

export const MAX_GOP_US = 12_000_000;
export const MAX_GOP_BYTES = 6_000_000;
export const AUDIO_CACHE_US = 500_000;

/** A group of pictures longer than either bound is not kept at all: without its start the rest is of no use. */
export class GopCache implements PacketCache {
  #packets: CachedPacket[] = [];
  #bytes = 0;
  /** RTP timestamp of the key frame that the cache begins with; undefined while there is none. */
  #keyTimestamp: number | undefined;

  add(packet: CachedPacket & { timestamp: number; startsKeyFrame: boolean }): void {
    const { datagram, arrivalUs, sequence } = packet;
    if (packet.startsKeyFrame && packet.timestamp !== this.#keyTimestamp) this.#begin(sequence, packet.timestamp);
    this.#packets.push({ datagram, arrivalUs, sequence });
    this.#bytes += datagram.length;
    const startUs = this.#packets[0]!.arrivalUs;
    if (arrivalUs - startUs <= MAX_GOP_US && this.#bytes <= MAX_GOP_BYTES) return;
    this.clear();
  }

  packets(): readonly CachedPacket[] {
    return this.#keyTimestamp === undefined ? [] : this.#packets;
  }

  clear(): void {
    this.#packets = [];
    this.#bytes = 0;
    this.#keyTimestamp = undefined;
  }

  /** When the key frame's first packet was lost and sent again, the rest of the frame is here already and must stay. */
  #begin(sequence: number, timestamp: number): void {
    this.#packets = this.#packets.filter((p) => ((p.sequence - sequence) << 16) >> 16 > 0);
    this.#bytes = this.#packets.reduce((sum, p) => sum + p.datagram.length, 0);
    this.#keyTimestamp = timestamp;
  }
}

export class RecentCache implements PacketCache {
  #packets: CachedPacket[] = [];

  add(packet: CachedPacket): void {
    const { datagram, arrivalUs, sequence } = packet;
    this.#packets.push({ datagram, arrivalUs, sequence });
    let old = 0;
    while (arrivalUs - this.#packets[old]!.arrivalUs > AUDIO_CACHE_US) old++;
    if (old > 0) this.#packets.splice(0, old);
  }

  packets(): readonly CachedPacket[] {
    return this.#packets;
  }

  clear(): void {
    this.#packets = [];
  }
}
