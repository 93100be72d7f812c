import { expect, test } from 'vitest';
import type { Node } from '../../store/node-tables.ts';
import { nodesWithRoom } from './placement.ts';

const node = (id: string, more: Partial<Node> = {}): Node => ({
  ...{ id, name: id, version: '1', wire: 2, nodeUrl: 'http://x', publicUrl: 'http://x', state: 'live', seenMsAgo: 100 },
  ...{ capacity: { cores: 4, bytes: 8e9 }, load: { cores: 1, bytes: 1e9 }, recordings: 0, publishers: 0 },
  calls: new Map(),
  ...more,
});
const COST = { cores: 0.5, bytes: 1e8 };
const idsOf = (nodes: readonly Node[]) => nodesWithRoom(nodes, 'self', COST).map(({ id }) => id);

test('the node with most room comes first: cores that are left, and no more than the share of memory', () => {
  const nodes = [
    node('busy', { load: { cores: 3, bytes: 1e9 } }),
    node('free', { load: { cores: 0, bytes: 0 } }),
    node('filled', { load: { cores: 0, bytes: 7e9 } }),
    node('half', { load: { cores: 2, bytes: 4e9 } }),
  ];
  expect(idsOf(nodes)).toEqual(['free', 'half', 'busy', 'filled']);
});

test('nodes that are as free have an order of their own', () => {
  expect(idsOf([node('b'), node('a')])).toEqual(['a', 'b']);
});

test.each<[string, Node]>([
  ['itself', node('self')],
  ['one that drains', node('n', { state: 'draining' })],
  ['one of a version without feeds between nodes', node('n', { wire: 1 })],
  ['one of a version that is in no fleet', node('n', { wire: undefined })],
  ['one that is late with its lease', node('n', { seenMsAgo: 2_500 })],
  ['one without the cores', node('n', { load: { cores: 3.6, bytes: 0 } })],
  ['one without the memory', node('n', { load: { cores: 0, bytes: 7.95e9 } })],
])('%s is given nothing', (_, given) => {
  expect(idsOf([given])).toEqual([]);
});
