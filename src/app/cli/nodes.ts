/**
 * `aircheck nodes`: the servers that share this one's database, asked of the server that runs.
 */
import { type NodesReply, nodesReplySchema } from '../../contract/rest/nodes.ts';
import { askAsOperator } from './own-server.ts';

/** Exit code when a node went without having said so. */
const GONE = 2;
const GB = 1_000_000_000;

/** Prints the nodes. Throws a Fault when the server does not answer, or not to these credentials. */
export async function nodes({ json }: { json?: boolean }): Promise<void> {
  const reply = nodesReplySchema.parse(await askAsOperator('/v1/aircheck/nodes'));
  process.stdout.write(json ? `${JSON.stringify(reply, null, 2)}\n` : nodesTable(reply));
  if (reply.nodes.some(({ state }) => state === 'gone')) process.exitCode = GONE;
}

/** One line for each node, under a line of titles; a star stands before the one that answered. */
export function nodesTable({ self, nodes }: NodesReply): string {
  const rows = [
    ['  name', 'state', 'version', 'recordings', 'publishers', 'cores', 'memory', 'seen', 'public address'],
    ...nodes.map((node) => [
      `${node.id === self ? '*' : ' '} ${node.name}`,
      node.state,
      node.version,
      `${node.recordings}${node.readElsewhere ? ` (${node.readElsewhere} of other nodes' channels)` : ''}${
        node.standbys ? ` + ${node.standbys} standing by` : ''
      }`,
      String(node.publishers),
      `${node.load.cores.toFixed(1)} of ${node.capacity.cores.toFixed(1)}`,
      `${(node.load.bytes / GB).toFixed(1)} of ${(node.capacity.bytes / GB).toFixed(1)} GB`,
      `${(node.seenMsAgo / 1000).toFixed(1)} s ago`,
      node.publicUrl ?? '-',
    ]),
  ];
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  const lines = rows.map((row) => row.map((cell, column) => cell.padEnd(widths[column]!)).join('  '));
  return lines.map((line) => `${line.trimEnd()}\n`).join('');
}
