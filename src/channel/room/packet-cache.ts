/**
 * What a recorder that comes late is given first: a video track's packets since its last key frame, and the last moments
 * of an audio track. Both bounded.
 */

/** An RTP datagram as it came in, with what is needed to sort it. */
export type CachedPacket = { datagram: Buffer; arrivalUs: number; sequence: number };

export type PacketCache = {
  add(packet: CachedPacket & { timestamp: number; startsKeyFrame: boolean }): void;
  readonly isEmpty: boolean;
  /** In order of arrival. What is in them is to be used before the next packet is added. */
  packets(): readonly CachedPacket[];
  /** Forgets everything, as when the sender starts over. */
  clear(): void;
};

export const MAX_GOP_US = 12_000_000;
export const MAX_GOP_BYTES = 6_000_000;
export const AUDIO_CACHE_US = 500_000;

/** Holds the largest UDP datagram. */
const SLAB_BYTES = 0x10000;
const FIRST_PLACES = 256;
/** Of each packet: the slab it lies in, where in that, its length, its sequence number. */
const COLUMNS = 4;

/**
 * A group of pictures longer than either bound is not kept at all: without its start the rest is of no use. Packets are copied
 * into memory that is used over and over: kept by the thousand as they came, they would all grow old before they are dropped,
 * which costs the garbage collector as much as everything else that is done with them.
 */
export class GopCache implements PacketCache {
  readonly #slabs: Buffer[] = [];
  #slabsUsed = 0;
  #slabAt = 0;
  #count = 0;
  #places = new Int32Array(COLUMNS * FIRST_PLACES);
  #arrivalsUs = new Float64Array(FIRST_PLACES);
  #bytes = 0;
  /** RTP timestamp of the key frame that the cache begins with; undefined while there is none. */
  #keyTimestamp: number | undefined;

  get isEmpty(): boolean {
    return this.#keyTimestamp === undefined;
  }

  add(packet: CachedPacket & { timestamp: number; startsKeyFrame: boolean }): void {
    const { arrivalUs } = packet;
    if (packet.startsKeyFrame && packet.timestamp !== this.#keyTimestamp)
      this.#begin(packet.sequence, packet.timestamp);
    this.#keep(packet);
    if (arrivalUs - this.#arrivalsUs[0]! <= MAX_GOP_US && this.#bytes <= MAX_GOP_BYTES) return;
    this.clear();
  }

  packets(): readonly CachedPacket[] {
    return this.isEmpty ? [] : this.#views();
  }

  clear(): void {
    // No more is kept than the group that ends had use for.
    this.#slabs.length = this.#slabsUsed;
    this.#slabsUsed = 0;
    this.#count = 0;
    this.#bytes = 0;
    this.#keyTimestamp = undefined;
  }

  #keep({ datagram, arrivalUs, sequence }: CachedPacket): void {
    if (this.#count === this.#arrivalsUs.length) this.#grow();
    if (this.#slabsUsed === 0 || this.#slabAt + datagram.length > SLAB_BYTES) {
      if (this.#slabsUsed === this.#slabs.length) this.#slabs.push(Buffer.allocUnsafeSlow(SLAB_BYTES));
      this.#slabsUsed++;
      this.#slabAt = 0;
    }
    const slab = this.#slabsUsed - 1;
    this.#slabs[slab]!.set(datagram, this.#slabAt);
    const at = this.#count * COLUMNS;
    this.#places[at] = slab;
    this.#places[at + 1] = this.#slabAt;
    this.#places[at + 2] = datagram.length;
    this.#places[at + 3] = sequence;
    this.#arrivalsUs[this.#count] = arrivalUs;
    this.#count++;
    this.#slabAt += datagram.length;
    this.#bytes += datagram.length;
  }

  #views(): CachedPacket[] {
    return Array.from({ length: this.#count }, (_, n) => {
      const [slab, at, bytes, sequence] = this.#places.subarray(n * COLUMNS, (n + 1) * COLUMNS);
      return {
        datagram: this.#slabs[slab!]!.subarray(at!, at! + bytes!),
        arrivalUs: this.#arrivalsUs[n]!,
        sequence: sequence!,
      };
    });
  }

  #grow(): void {
    const places = new Int32Array(this.#places.length * 2);
    places.set(this.#places);
    this.#places = places;
    const arrivalsUs = new Float64Array(this.#arrivalsUs.length * 2);
    arrivalsUs.set(this.#arrivalsUs);
    this.#arrivalsUs = arrivalsUs;
  }

  /** When the key frame's first packet was lost and sent again, the rest of the frame is here already and must stay. */
  #begin(sequence: number, timestamp: number): void {
    const rest = this.#views()
      .filter((p) => ((p.sequence - sequence) << 16) >> 16 > 0)
      .map((p) => ({ ...p, datagram: Buffer.from(p.datagram) }));
    this.clear();
    this.#keyTimestamp = timestamp;
    for (const packet of rest) this.#keep(packet);
  }
}

export class RecentCache implements PacketCache {
  #packets: CachedPacket[] = [];

  get isEmpty(): boolean {
    return this.#packets.length === 0;
  }

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
