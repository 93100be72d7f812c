/** NodeLinks: connections to the other nodes of the fleet, kept open, and the requests that are carried over them. */
import { request as httpRequest, type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import type { Socket } from 'node:net';
import { Agent } from 'undici';
import { Fault, messageOf } from '../../kernel/fault.ts';
import type { Node } from '../../store/node-tables.ts';
import { WIRE } from '../../store/ownership.ts';
import {
  bodyDigest,
  DIGEST_HEADER,
  REFUSED_HEADER,
  SIGNATURE_HEADER,
  sign,
  TO_HEADER,
  WIRE_HEADER,
} from './signature.ts';

export type CarriedRequest = {
  method: string;
  /** Path and query. */
  url: string;
  /** Those of SIGNED_HEADERS that it needs. */
  headers: Readonly<Record<string, string>>;
  body: Buffer | undefined;
};
/** A connection that the node has upgraded, and what came with it already; or no connection, and its answer. */
export type Upgraded =
  | { socket: Socket; head: Buffer; status: 101; headers: IncomingHttpHeaders }
  | { socket: undefined; head: undefined; status: number; headers: IncomingHttpHeaders };
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
   * @throws Fault `node-unreachable` when the request never reached it, or did not count there as one of a node;
   *   `node-silent` when nobody knows what became of it
   */
  async send(
    node: Pick<Node, 'id' | 'name' | 'nodeUrl' | 'wire'>,
    given: CarriedRequest,
    timeoutMs: number,
  ): Promise<CarriedAnswer> {
    let answer: CarriedAnswer;
    try {
      const {
        statusCode: status,
        headers,
        body,
      } = await this.#request(node, given, {
        signal: AbortSignal.timeout(timeoutMs),
      });
      answer = { status, headers: ofAnswer(headers), body: Buffer.from(await body.arrayBuffer()) };
    } catch (cause) {
      throw faultOf(node, cause);
    }
    // Whoever called has nothing to do with what nodes do not believe of each other.
    if (answer.headers[REFUSED_HEADER] !== undefined) throw disbelieved(node, answer);
    return answer;
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

  #request(
    node: Pick<Node, 'id' | 'nodeUrl' | 'wire'>,
    given: CarriedRequest,
    limits: { signal: AbortSignal; headersTimeout?: number; bodyTimeout?: number },
  ) {
    const { method, url, body } = given;
    return this.#agent.request({
      origin: node.nodeUrl!,
      path: url,
      method: method as 'GET',
      headers: this.#signed(node, given),
      ...(body !== undefined && { body }),
      ...limits,
    });
  }

  /**
   * Has a node upgrade a connection of its own (RFC 9110 §7.8), which is the caller's to end. Resolves to its answer
   * where it does not.
   * @param asked path and query, and the name of the protocol
   * @throws Fault as of `send`
   */
  upgrade(
    node: Pick<Node, 'id' | 'name' | 'nodeUrl' | 'wire'>,
    asked: { url: string; protocol: string },
    timeoutMs: number,
  ): Promise<Upgraded> {
    const { tls } = this.#options;
    const { url, protocol } = asked;
    const signed = this.#signed(node, { method: 'GET', url, headers: {}, body: undefined });
    const request = tls ? httpsRequest : httpRequest;
    return new Promise((resolve, reject) => {
      const outgoing = request(new URL(url, node.nodeUrl), {
        headers: { ...signed, connection: 'Upgrade', upgrade: protocol },
        agent: false,
        ...tls,
      });
      const late = AbortSignal.timeout(timeoutMs);
      const onLate = () => outgoing.destroy(new Error(`no answer within ${timeoutMs} ms`));
      late.addEventListener('abort', onLate);
      const settled = () => late.removeEventListener('abort', onLate);
      outgoing.once('upgrade', ({ headers }: IncomingMessage, socket: Socket, head: Buffer) => {
        settled();
        resolve({ socket, head, status: 101, headers });
      });
      outgoing.once('response', ({ statusCode = 0, headers }: IncomingMessage) => {
        settled();
        outgoing.destroy();
        resolve({ socket: undefined, head: undefined, status: statusCode, headers });
      });
      outgoing.on('error', (cause) => {
        settled();
        reject(faultOf(node, cause));
      });
      outgoing.end();
    });
  }

  /** The headers of a request, signed. */
  #signed(node: Pick<Node, 'id' | 'wire'>, { method, url, headers: given, body }: CarriedRequest) {
    const { keys, databaseMs } = this.#options;
    const headers: Record<string, string> = {
      ...given,
      [WIRE_HEADER]: String(Math.min(WIRE, node.wire ?? WIRE)),
      [TO_HEADER]: node.id,
      [DIGEST_HEADER]: bodyDigest(body),
    };
    return { ...headers, [SIGNATURE_HEADER]: sign({ method, url, headers }, keys[0]!, databaseMs()) };
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

function faultOf(node: Pick<Node, 'name' | 'nodeUrl'>, cause: unknown): Fault {
  const never = isNeverSent(cause);
  const message = never ? 'cannot be reached' : 'did not answer';
  return new Fault(
    never ? 'node-unreachable' : 'node-silent',
    `node ${node.name} (${node.nodeUrl}) ${message}: ${messageOf(cause) || (cause as { code?: string }).code}`,
    { blame: 'self', retryable: true, cause },
  );
}

function disbelieved({ name, nodeUrl }: Pick<Node, 'name' | 'nodeUrl'>, { headers, body }: CarriedAnswer): Fault {
  const why =
    headers[REFUSED_HEADER] === 'key'
      ? 'its key is another one: AIRCHECK_FLEET_KEY must be the same on all nodes'
      : body.toString().slice(0, 200);
  return new Fault('node-unreachable', `node ${name} (${nodeUrl}) does not take this one for a node: ${why}`, {
    ...{ blame: 'self', retryable: true },
    details: { refused: String(headers[REFUSED_HEADER]) },
  });
}

/** Whether no connection stood, so that the node cannot have seen the request. */
function isNeverSent(error: unknown): boolean {
  const errors = error instanceof AggregateError ? error.errors : [error];
  return errors.every(
    (each: { code?: string; syscall?: string }) =>
      each.code === 'UND_ERR_CONNECT_TIMEOUT' || each.syscall === 'connect' || each.syscall === 'getaddrinfo',
  );
}
