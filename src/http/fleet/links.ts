/** NodeLinks: connections to the other nodes of the fleet, kept open, and the requests that are carried over them. */
import type { IncomingHttpHeaders } from 'node:http';
import { Agent } from 'undici';
import { Fault, messageOf } from '../../kernel/fault.ts';
import type { Node } from '../../store/node-tables.ts';
import { WIRE } from '../../store/ownership.ts';
import { bodyDigest, DIGEST_HEADER, SIGNATURE_HEADER, sign, TO_HEADER, WIRE_HEADER } from './signature.ts';

export type CarriedRequest = {
  method: string;
  /** Path and query. */
  url: string;
  /** Those of SIGNED_HEADERS that it needs. */
  headers: Readonly<Record<string, string>>;
  body: Buffer | undefined;
};
export type CarriedAnswer = { status: number; headers: Record<string, string | string[]>; body: Buffer };
/** PEM: what this node shows to others, and the authorities that theirs must come from. */
export type NodeTls = { cert: Buffer; key: Buffer; ca: Buffer };

export type NodeLinksOptions = {
  /** The first signs. */
  keys: readonly string[];
  /** The database's time, Unix milliseconds. */
  databaseMs(): number;
  tls: NodeTls | undefined;
};

const CONNECT_TIMEOUT_MS = 1_000;
/** A node that does not answer must not be given ever more requests. */
const CONNECTIONS_PER_NODE = 128;
/** Sooner than a node closes a connection that is not used, so that no request meets one that closes. */
const KEEP_ALIVE_MS = 30_000;
/** A node that is followed says something far more often. */
const SILENCE_MS = 3_000;
const MOST_OF_A_LINE = 1_000;
/** Headers that are of one connection, not of the answer (RFC 9110 §7.6.1). */
const OF_CONNECTION = new Set(['connection', 'keep-alive', 'transfer-encoding', 'upgrade', 'content-length', 'date']);

export class NodeLinks {
  readonly #options: NodeLinksOptions;
  readonly #agent: Agent;

  constructor(options: NodeLinksOptions) {
    this.#options = options;
    this.#agent = new Agent({
      connections: CONNECTIONS_PER_NODE,
      keepAliveTimeout: KEEP_ALIVE_MS,
      keepAliveMaxTimeout: KEEP_ALIVE_MS,
      connect: { timeout: CONNECT_TIMEOUT_MS, ...options.tls },
    });
  }

  /**
   * Carries a request to a node and brings its answer, whatever that is.
   * @throws Fault `node-unreachable` when the request never reached it, `node-silent` when nobody knows what became of
   *   it
   */
  async send(node: Pick<Node, 'id' | 'name' | 'nodeUrl' | 'wire'>, given: CarriedRequest, timeoutMs: number) {
    try {
      const answer = await this.#request(node, given, { signal: AbortSignal.timeout(timeoutMs) });
      const bytes = Buffer.from(await answer.body.arrayBuffer());
      return { status: answer.statusCode, headers: ofAnswer(answer.headers), body: bytes } satisfies CarriedAnswer;
    } catch (cause) {
      const never = isNeverSent(cause);
      const message = never ? 'cannot be reached' : 'did not answer';
      throw new Fault(
        never ? 'node-unreachable' : 'node-silent',
        `node ${node.name} (${node.nodeUrl}) ${message}: ${messageOf(cause) || (cause as { code?: string }).code}`,
        { blame: 'self', retryable: true, cause },
      );
    }
  }

  /**
   * Reads an answer that does not end, line by line, until `signal` aborts. Rejects when it is refused, when it breaks
   * off, and when nothing comes for some seconds.
   */
  async follow(
    node: Pick<Node, 'id' | 'nodeUrl' | 'wire'>,
    url: string,
    onLine: (line: string) => void,
    signal: AbortSignal,
  ): Promise<void> {
    const given = { method: 'GET', url, headers: {}, body: undefined };
    const { statusCode, body } = await this.#request(node, given, {
      ...{ signal, headersTimeout: SILENCE_MS, bodyTimeout: SILENCE_MS },
    });
    if (statusCode !== 200) {
      await body.dump();
      throw new Fault('node-not-followed', `${url} was answered ${statusCode}`, { blame: 'self' });
    }
    let rest = '';
    for await (const chunk of body.setEncoding('utf8')) {
      const lines = `${rest}${chunk}`.split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) onLine(line);
      if (rest.length > MOST_OF_A_LINE) throw new Fault('node-not-followed', `${url} has no lines`, { blame: 'self' });
    }
  }

  async #request(
    node: Pick<Node, 'id' | 'nodeUrl' | 'wire'>,
    { method, url, headers: given, body }: CarriedRequest,
    limits: { signal: AbortSignal; headersTimeout?: number; bodyTimeout?: number },
  ) {
    const { keys, databaseMs } = this.#options;
    const headers: Record<string, string> = {
      ...given,
      [WIRE_HEADER]: String(Math.min(WIRE, node.wire ?? WIRE)),
      [TO_HEADER]: node.id,
      [DIGEST_HEADER]: bodyDigest(body),
    };
    const signature = sign({ method, url, headers }, keys[0]!, databaseMs());
    return this.#agent.request({
      origin: node.nodeUrl!,
      path: url,
      method: method as 'GET',
      headers: { ...headers, [SIGNATURE_HEADER]: signature },
      ...(body !== undefined && { body }),
      ...limits,
    });
  }

  /** Ends all connections, those in use too. */
  close(): Promise<void> {
    return this.#agent.destroy();
  }
}

function ofAnswer(headers: IncomingHttpHeaders): CarriedAnswer['headers'] {
  const kept: CarriedAnswer['headers'] = {};
  for (const [name, value] of Object.entries(headers))
    if (value !== undefined && !OF_CONNECTION.has(name)) kept[name] = value;
  return kept;
}

/** Whether no connection stood, so that the node cannot have seen the request. */
function isNeverSent(error: unknown): boolean {
  const errors = error instanceof AggregateError ? error.errors : [error];
  return errors.every(
    (each: { code?: string; syscall?: string }) =>
      each.code === 'UND_ERR_CONNECT_TIMEOUT' || each.syscall === 'connect' || each.syscall === 'getaddrinfo',
  );
}
