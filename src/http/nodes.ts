/**
 * GET /v1/aircheck/nodes: the servers that share this one's database, and what each carries. For operators. Aircheck's
 * own, not of the contract.
 */
import type { FastifyInstance } from 'fastify';
import type { NodesReply } from '../contract/rest/nodes.ts';
import type { Node } from '../store/node-tables.ts';
import { authorizeOperator, type CustomerAccount, type SignedIn } from './auth.ts';

export type NodesApi = {
  customers: readonly CustomerAccount[];
  signedIn?: SignedIn;
  /** The id of this node. */
  self: string;
  list(): Promise<Node[]>;
  /** The disk of this node's spool, bytes, and what recordings take of it. */
  disk?(): { bytes: number; freeBytes: number; sizeBytes: number };
};

export function nodesRoute(app: FastifyInstance, { customers, signedIn, self, list, disk }: NodesApi): void {
  app.get(
    '/v1/aircheck/nodes',
    { exposeHeadRoute: false, onRequest: async (request) => authorizeOperator(request, customers, signedIn) },
    async (): Promise<NodesReply> => ({ self, nodes: (await list()).map(toJson), ...(disk && { disk: disk() }) }),
  );
}

function toJson({ wire, nodeUrl, publicUrl, calls: _, ...rest }: Node): NodesReply['nodes'][number] {
  return { ...rest, wire: wire ?? null, nodeUrl: nodeUrl ?? null, publicUrl: publicUrl ?? null };
}
