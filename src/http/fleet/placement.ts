/** Which nodes can take a recording whose channel is at home on a node that is full, by the cost model (ADR 0032). */
import { LATE_MS } from '../../store/claim.ts';
import type { Node } from '../../store/node-tables.ts';
import type { Cost } from '../../worker/cost.ts';
import { FEEDS_WIRE } from './feeds/feed-wire.ts';

/** Cores that are left, no more than the share of the memory that is left: the measure by which homes are chosen. */
function roomOf({ capacity, load }: Pick<Node, 'capacity' | 'load'>): number {
  const share = (taken: number, all: number) => (all > 0 ? 1 - taken / all : 0);
  return capacity.cores * Math.min(share(load.cores, capacity.cores), share(load.bytes, capacity.bytes));
}

/** Those with room for it, most room first. What a node carries is up to a second old; it decides itself in the end. */
export function nodesWithRoom(nodes: readonly Node[], self: string, { cores, bytes }: Cost): Node[] {
  return nodes
    .filter(
      ({ id, state, wire, seenMsAgo, capacity, load }) =>
        id !== self &&
        state === 'live' &&
        (wire ?? 1) >= FEEDS_WIRE &&
        seenMsAgo <= LATE_MS &&
        capacity.cores - load.cores >= cores &&
        capacity.bytes - load.bytes >= bytes,
    )
    .sort((a, b) => roomOf(b) - roomOf(a) || (a.id < b.id ? -1 : 1));
}
