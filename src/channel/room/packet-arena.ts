/**
 * PacketArena: the memory that all packet logs of a server share, its bound, and the one order in which everything
 * happened. Memory is used over and over: packets kept by the thousand as they came would all grow old before they are
 * dropped, which costs the garbage collector as much as everything else that is done with them.
 */
import type { HostUs } from '../../kernel/time.ts';

/** What takes part in the bound. */
export type ArenaUser = {
  /** When the oldest of what it keeps came in, monotonic microseconds. Infinity while it keeps nothing. */
  readonly oldestUs: HostUs;
  /** Gives up the oldest part of what it keeps that is of no use without its beginning. */
  dropOldest(): void;
};

/** Holds some ten packets of usual size; a larger packet is given memory of its own. */
export const SLAB_BYTES = 16_384;
/** Memory that is kept for the next packets when it is free. */
const MAX_SPARE = 256;
/** At the bound, so much is freed at once: looking for the oldest costs something. */
const RELIEF = 0.02;

export class PacketArena {
  readonly #maxBytes: number;
  readonly #users = new Set<ArenaUser>();
  readonly #spare: Buffer[] = [];
  #bytes = 0;
  #order = 0;

  /** @param maxBytes that all users may hold together */
  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /** Memory in use. */
  get bytes(): number {
    return this.#bytes;
  }

  /** How many keep something. */
  get users(): number {
    return this.#users.size;
  }

  /** A number that says when something happened: higher than all before it. */
  nextOrder(): number {
    return ++this.#order;
  }

  /** Memory for at least `bytes`. Others may have to give up some of theirs. */
  take(user: ArenaUser, bytes: number): Buffer {
    const size = Math.max(SLAB_BYTES, bytes);
    if (this.#bytes + size > this.#maxBytes) this.#relieve(size);
    this.#users.add(user);
    this.#bytes += size;
    return size === SLAB_BYTES ? (this.#spare.pop() ?? Buffer.allocUnsafeSlow(size)) : Buffer.allocUnsafeSlow(size);
  }

  /** Takes back what `take` gave. */
  give(slab: Buffer): void {
    this.#bytes -= slab.length;
    if (slab.length === SLAB_BYTES && this.#spare.length < MAX_SPARE) this.#spare.push(slab);
  }

  /** The user keeps nothing any more. */
  leave(user: ArenaUser): void {
    this.#users.delete(user);
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
