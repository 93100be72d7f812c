/**
 * Memory for what a channel keeps of its streams, with room for all that a test sends.
 */
import type { LogMemory } from '../../src/channel/room/encoding.ts';
import { PacketArena } from '../../src/channel/room/packet-arena.ts';
import { DEFAULT_BOUNDS } from '../../src/channel/room/rooms.ts';

export function memoryForTests(): LogMemory {
  return { arena: new PacketArena(DEFAULT_BOUNDS.totalBytes), bounds: DEFAULT_BOUNDS.perEncoding };
}
