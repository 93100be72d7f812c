/**
 * GET /v1/aircheck/nodes: the servers that share this one's database, and what each carries. For operators. Aircheck's
 * own, not of the contract.
 */
import type { FastifyInstance } from 'fastify';
import type { NodesReply } from '../contract/rest/nodes.ts';
import type { Node } from '../store/node-tables.ts';
import { authorizeOperator, type CustomerAccount } from './auth.ts';

export type NodesApi = {
  customers: readonly CustomerAccount[];
  /** The id of this node. */
  self: string;
  list(): Promise<Node[]>;
};

export function nodesRoute(app: FastifyInstance, { customers, self, list }: NodesApi): void {
  app.get(
    '/v1/aircheck/nodes',
    { exposeHeadRoute: false, onRequest: async (request) => authorizeOperator(request, customers) },
    async (): Promise<NodesReply> => ({ self, nodes: (await list()).map(toJson) }),
  );
}

function toJson({ wire, nodeUrl, publicUrl, calls: _, ...rest }: Node): NodesReply['nodes'][number] {
  return { ...rest, wire: wire ?? null, nodeUrl: nodeUrl ?? null, publicUrl: publicUrl ?? null };
}
