/**
 * Acquaintance: whether the other nodes of a fleet take requests of whoever has these keys. Only they can tell: a key
 * is not in the database.
 */
import type { FastifyInstance } from 'fastify';
import { Fault, messageOf } from '../../kernel/fault.ts';
import type { Node } from '../../store/node-tables.ts';
import type { NodeLinks } from './links.ts';

/** Answers whoever is a node with nothing. */
const PATH = '/aircheck/acquaintance';
const LIMIT_MS = 2_000;

/** What a node says: it takes our requests, it refuses our key, or nothing that could be used. */
export type Acquaintance = { node: Node; says: 'yes' | 'other-key' | 'nothing'; why?: string };

/** Registered behind the check of signatures. */
export function acquaintanceRoute(app: FastifyInstance): void {
  app.get(PATH, (_request, reply) => reply.code(204).send());
}

/** Asks all of these nodes at once. A node of a version that knows no such question does not refuse it. */
export function acquaint(links: Pick<NodeLinks, 'send'>, nodes: readonly Node[]): Promise<Acquaintance[]> {
  const question = { method: 'GET', url: PATH, headers: {}, body: undefined };
  return Promise.all(
    nodes.map((node) =>
      links.send(node, question, LIMIT_MS).then(
        (): Acquaintance => ({ node, says: 'yes' }),
        (error: unknown): Acquaintance => {
          const isOfKey = error instanceof Fault && error.details['refused'] === 'key';
          return { node, says: isOfKey ? 'other-key' : 'nothing', why: messageOf(error) };
        },
      ),
    ),
  );
}

/**
 * Throws a Fault, `fleet-key-refused`, when other nodes answer and all of them refuse the key: calls would be carried
 * between this one and none of them. One that accepts it is enough, so that a single node with a wrong key keeps no
 * other from starting.
 */
export async function requireAcquaintance(links: Pick<NodeLinks, 'send'>, nodes: readonly Node[]): Promise<void> {
  const all = await acquaint(links, nodes);
  const refused = all.filter(({ says }) => says === 'other-key');
  if (refused.length === 0 || all.some(({ says }) => says === 'yes')) return;
  const names = refused.map(({ node: { name, nodeUrl } }) => `${name} (${nodeUrl})`).join(', ');
  throw new Fault(
    'fleet-key-refused',
    `the key of this node is not that of the fleet: ${names} refused it. Set AIRCHECK_FLEET_KEY to what the other nodes have; to change it on all, have each take both for a while, as docs/guide/fleet.md says`,
    { blame: 'caller' },
  );
}
