/**
 * PacketArena: the memory that all packet logs of a server share, its bound, and the one order in which everything
 * happened. The memory is used again and again: thousands of packets in buffers of their own would all grow old before
 * they are dropped, which costs the garbage collector as much as all other work with them.
 */
import type { HostUs } from '../../kernel/time.ts';

/** What shares the arena's memory. */
export type ArenaUser = {
  /** When the oldest part of what it keeps came in, monotonic microseconds; infinity while it keeps nothing. */
  readonly oldestUs: HostUs;
  /** Gives up the oldest part of what it keeps, with all that is useless without it. */
  dropOldest(): void;
};

/** Holds about ten packets of usual size; a larger packet gets memory of its own. */
export const SLAB_BYTES = 16_384;
/** This many free slabs are kept for the next packets, and more after more were in use lately. */
const MIN_SPARE = 256;
/**
 * After each slab that is taken, so much of the most that was in use lately still counts: half after 1.1 GB came in.
 * Recorders tell every second what is safe, and a key frame makes a whole group of pictures useless, often of many
 * senders at once. What that frees is wanted again within seconds, and new memory has the whole heap collected time and
 * again.
 */
const PEAK_LEFT = 0.99999;
/** When the bound is reached this share of it is freed at once, because looking for the oldest part costs something. */
const RELIEF = 0.02;

export class PacketArena {
  readonly #maxBytes: number;
  readonly #users = new Set<ArenaUser>();
  readonly #spare: Buffer[] = [];
  #bytes = 0;
  /** The most that was in use lately. */
  #peakBytes = 0;
  #order = 0;

  /** @param maxBytes that all users may hold together */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Memory in use. */
  get bytes(): number {
    return this.#bytes;
  }

  /** How many users keep something. */
  get users(): number {
    return this.#users.size;
  }

  /** A number that says when something happened: higher than all before it. */
  nextOrder(): number {
    return ++this.#order;
  }

  /** Memory for at least `bytes`; others may have to give up some of theirs for it. */
  take(user: ArenaUser, bytes: number): Buffer {
    const size = Math.max(SLAB_BYTES, bytes);
    if (this.#bytes + size > this.#maxBytes) this.#relieve(size);
    this.#users.add(user);
    this.#bytes += size;
    this.#peakBytes = Math.max(this.#bytes, this.#peakBytes * PEAK_LEFT);
    return size === SLAB_BYTES ? (this.#spare.pop() ?? Buffer.allocUnsafeSlow(size)) : Buffer.allocUnsafeSlow(size);
  }

  /** Takes back what `take` gave. */
  give(slab: Buffer): void {
    this.#bytes -= slab.length;
    if (slab.length === SLAB_BYTES) this.#spare.push(slab);
    this.#limitSpare();
  }

  /** The user keeps nothing any more. */
  leave(user: ArenaUser): void {
    this.#users.delete(user);
    if (this.#users.size > 0) return;
    this.#peakBytes = 0;
    this.#limitSpare();
  }

  #limitSpare(): void {
    const most = Math.max(MIN_SPARE, (this.#peakBytes - this.#bytes) / SLAB_BYTES);
    while (this.#spare.length > most) this.#spare.pop();
  }

  #relieve(bytes: number): void {
    const goal = this.#maxBytes * (1 - RELIEF) - bytes;
    while (this.#bytes > goal) {
      let oldest: ArenaUser | undefined;
      for (const user of this.#users) if (user.oldestUs < (oldest?.oldestUs ?? Number.POSITIVE_INFINITY)) oldest = user;
      if (!oldest) return;
      oldest.dropOldest();
    }
  }
}
