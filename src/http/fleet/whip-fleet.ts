/**
 * WhipFleet: where a publisher belongs. Its channel has a home; whoever comes to another node is sent there or has the
 * offer carried there. A session's address names its node, so that any node can pass on what is asked of it.
 */
import type { FastifyReply, FastifyRequest } from 'fastify';
import { Fault } from '../../kernel/fault.ts';
import { LATE_MS } from '../../store/claim.ts';
import type { Node } from '../../store/node-tables.ts';
import { type Fleet, MISDIRECTED, passOn } from './fleet.ts';
import { type Admitted, isAdmitted, issueTicket } from './ticket.ts';

export type WhipFleetOptions = {
  fleet: Pick<Fleet, 'self' | 'find' | 'homeElsewhere' | 'publicUrls' | 'send'>;
  /**
   * What becomes of a request that belongs to another node: the publisher is sent there, it is carried there, or, of
   * one that was carried here, whoever carried it is told.
   */
  elsewhere: 'redirect' | 'proxy' | 'tell';
  keys: readonly string[];
  /** The database's time, Unix milliseconds. */
  databaseMs(): number;
};

/** Tells the page which other addresses there are, for when this node goes. */
export const NODES_HEADER = 'aircheck-nodes';
const TICKET = 'ticket';
/** The home may move while an offer is carried there. */
const TRIES = 2;

export class WhipFleet {
  readonly #options: WhipFleetOptions;

  constructor(options: WhipFleetOptions) {
    this.#options = options;
  }

  /** Whether another node has let this user in a moment ago. */
  isAdmitted(who: Admitted, request: FastifyRequest): boolean {
    const { keys, databaseMs } = this.#options;
    const ticket = (request.query as Record<string, unknown>)[TICKET];
    return typeof ticket === 'string' && isAdmitted(who, ticket, keys, databaseMs());
  }

  /**
   * Answers a publisher whose channel is at home elsewhere. False when this node is its home, and is to answer.
   * @throws Fault as of NodeLinks, and `node-silent` when the home has not renewed its lease in time
   */
  async publishElsewhere(who: Admitted, request: FastifyRequest, reply: FastifyReply): Promise<boolean> {
    const { fleet, elsewhere } = this.#options;
    for (let tries = 1; ; tries++) {
      const home = await fleet.homeElsewhere(who.appid, who.cname);
      if (!home) return false;
      // Most likely it is gone. Whoever is sent to a machine without power waits there longer than another node needs
      // to take over.
      if (home.seenMsAgo > LATE_MS)
        throw new Fault(
          'node-silent',
          `node ${home.name}, where the channel is at home, has not been heard of in time`,
          {
            ...{ blame: 'self', retryable: true },
          },
        );
      if (elsewhere === 'proxy') {
        const answer = await fleet.send(request, home, ['authorization']);
        if (answer.status === MISDIRECTED && tries < TRIES) continue;
        passOn(reply, answer);
      } else if (elsewhere === 'redirect') this.#redirect(home, who, request, reply);
      else reply.code(MISDIRECTED).send();
      return true;
    }
  }

  /** The address of a session of this node. */
  addressOf(sessionId: string): string {
    return `/whip/sessions/${sessionId}.${this.#options.fleet.self}`;
  }

  /** Tells a publisher who was let in here where else it may come in. */
  async tellNodes(reply: FastifyReply): Promise<void> {
    reply.header(NODES_HEADER, (await this.#options.fleet.publicUrls()).join(' '));
  }

  /**
   * The id of a session of this node that an address names, or undefined once the answer of another node was sent.
   * @throws Fault `session-unknown` when the node is gone
   */
  async sessionHere(address: string, request: FastifyRequest, reply: FastifyReply): Promise<string | undefined> {
    const { fleet, elsewhere } = this.#options;
    const [sessionId = '', id] = address.split('.');
    // Sessions of a time before this server was in a fleet name no node.
    if (id === undefined || id === fleet.self) return sessionId;
    const node = elsewhere === 'tell' ? undefined : await fleet.find(id);
    if (!node) throw new Fault('session-unknown', 'There is no such session; it may have ended.', { blame: 'caller' });
    passOn(reply, await fleet.send(request, node));
    return undefined;
  }

  /** 307 keeps the method and the body (RFC 9110 §15.4.8); RFC 9725 §4.5 has WHIP clients follow it. */
  #redirect({ publicUrl }: Node, who: Admitted, request: FastifyRequest, reply: FastifyReply): void {
    const { keys, databaseMs } = this.#options;
    const [path = '', query = ''] = request.url.split('?');
    const kept = query.split('&').filter((part) => !part.startsWith(`${TICKET}=`));
    const ticket = `${TICKET}=${issueTicket(who, keys[0]!, databaseMs())}`;
    reply
      .code(307)
      .header('location', `${publicUrl}${path}?${[...kept, ticket].join('&')}`)
      .header('cache-control', 'no-store')
      .send();
  }
}
