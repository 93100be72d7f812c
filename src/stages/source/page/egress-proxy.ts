/**
 * EgressProxy: a page's only way out. It resolves each name itself, judges every address, and connects to the very one
 * that it judged, so a redirect or a name that changes its address is judged anew each time.
 */
import type { LookupAddress } from 'node:dns';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, request, type ServerResponse } from 'node:http';
import type { Socket } from 'node:net';
import type { Duplex } from 'node:stream';
import { messageOf } from '../../../kernel/fault.ts';
import { connectPermitted, isAddressRefused } from '../../../kernel/permitted-connection.ts';

export type EgressProxyOptions = {
  /** Path of the unix socket it listens on; when left out, it listens on a free port of 127.0.0.1. */
  socket?: string;
  /** Whether a page may reach an address. */
  permits(address: string): boolean;
  /** Resolves a name to addresses; by default the system's resolver. */
  resolve?: (host: string) => Promise<LookupAddress[]>;
  /** A connection was refused. `target` is `host:port`. */
  onRefused(target: string): void;
  /** A connection failed, or its name could not be resolved. `why` in words. */
  onFailed?: (target: string, why: string) => void;
};

const CONNECT_TIMEOUT_MS = 20_000;
/** How many connections one page may have at once. */
const MAX_CONNECTIONS = 256;
/** Headers that concern only one connection (RFC 9110 §7.6.1). */
const HOP_HEADERS = new Set(['proxy-connection', 'proxy-authorization', 'connection', 'keep-alive', 'te', 'trailer']);

/** The page sent what is no request to a proxy. */
class Refusal extends Error {}

export class EgressProxy {
  readonly #options: EgressProxyOptions;
  readonly #server = createServer((asked, answer) => void this.#forward(asked, answer));
  readonly #open = new Set<Duplex>();

  private constructor(options: EgressProxyOptions) {
    this.#options = options;
    this.#server.maxConnections = MAX_CONNECTIONS;
    this.#server.on('connection', (socket) => this.#keep(socket));
    // WebSockets of http pages come as an upgrade of a forwarded request, everything encrypted as CONNECT.
    this.#server.on('connect', (asked: IncomingMessage, client: Duplex, head: Buffer) =>
      this.#tunnel(client, head, () => this.#connectTo(...targetOf(asked.url ?? '')), 'HTTP/1.1 200 \r\n\r\n'),
    );
    this.#server.on('upgrade', (asked: IncomingMessage, client: Duplex, head: Buffer) => {
      const begin = async () => {
        const url = plainUrl(asked.url);
        const target = await this.#connectTo(url.hostname, Number(url.port || 80));
        target.write(`${asked.method} ${url.pathname}${url.search} HTTP/1.1\r\n${ownHeaders(asked)}\r\n\r\n`);
        return target;
      };
      void this.#tunnel(client, head, begin);
    });
  }

  /** Resolves once it listens. */
  static async start(options: EgressProxyOptions): Promise<EgressProxy> {
    const proxy = new EgressProxy(options);
    await new Promise<void>((resolve, reject) => {
      proxy.#server.once('error', reject);
      if (options.socket === undefined) proxy.#server.listen(0, '127.0.0.1', resolve);
      else proxy.#server.listen(options.socket, resolve);
    });
    return proxy;
  }

  /** The port it listens on; undefined when it listens on a socket. */
  get port(): number | undefined {
    const address = this.#server.address();
    return typeof address === 'object' ? address?.port : undefined;
  }

  /** Ends all connections. */
  close(): void {
    this.#server.close();
    for (const socket of this.#open) socket.destroy();
  }

  #keep<T extends Duplex>(socket: T): T {
    this.#open.add(socket);
    socket.once('close', () => this.#open.delete(socket));
    return socket;
  }

  /** Connects to an address of `host` that the page may reach. */
  async #connectTo(host: string, port: number): Promise<Socket> {
    const { permits, resolve, onRefused, onFailed } = this.#options;
    const bare = host.replace(/^\[(.*)\]$/, '$1');
    try {
      return this.#keep(await connectPermitted({ host: bare, port, permits, resolve, attemptMs: CONNECT_TIMEOUT_MS }));
    } catch (error) {
      if (isAddressRefused(error)) onRefused(`${host}:${port}`);
      else onFailed?.(`${host}:${port}`, messageOf(error));
      throw error;
    }
  }

  /** @param greeting sent to the client once the connection stands */
  async #tunnel(client: Duplex, head: Buffer, begin: () => Promise<Socket>, greeting = ''): Promise<void> {
    client.on('error', () => client.destroy());
    try {
      const target = await begin();
      if (client.destroyed) return void target.destroy();
      client.write(greeting);
      target.write(head);
      client.pipe(target).pipe(client);
      client.once('close', () => target.destroy());
      target.once('close', () => client.destroy());
    } catch (error) {
      client.end(`HTTP/1.1 ${statusOf(error)} \r\ncontent-length: 0\r\n\r\n`);
    }
  }

  async #forward(asked: IncomingMessage, answer: ServerResponse): Promise<void> {
    try {
      const url = plainUrl(asked.url);
      const socket = await this.#connectTo(url.hostname, Number(url.port || 80));
      if (answer.destroyed) return void socket.destroy();
      const onward = request({
        method: asked.method,
        path: url.pathname + url.search,
        headers: withoutHops(asked.headers),
        createConnection: () => socket,
      });
      onward.on('response', (response) => {
        response.on('error', () => answer.destroy());
        try {
          answer.writeHead(response.statusCode ?? 502, withoutHops(response.headers));
        } catch (error) {
          // A status or a header that can be read need not be one that can be written.
          onward.destroy(error as Error);
          return;
        }
        response.pipe(answer);
      });
      onward.on('error', () => (answer.headersSent ? answer.destroy() : answer.writeHead(502).end()));
      asked.pipe(onward);
      answer.once('close', () => socket.destroy());
    } catch (error) {
      answer.writeHead(statusOf(error)).end(`${messageOf(error)}\n`);
    }
  }
}

/** Host and port of a CONNECT. Throws a Refusal for another text. */
function targetOf(text: string): [string, number] {
  const port = /:(\d{1,5})$/.exec(text)?.[1];
  const host = URL.parse(`http://${text}`)?.hostname;
  if (!host || port === undefined) throw new Refusal('a CONNECT names host and port');
  return [host, Number(port)];
}

/** The address of a request to a proxy. Throws a Refusal when it is not http. */
function plainUrl(text: string | undefined): URL {
  const url = URL.parse(text ?? '');
  if (url?.protocol !== 'http:' && url?.protocol !== 'ws:') throw new Refusal('only http addresses are forwarded');
  return url;
}

function withoutHops(headers: IncomingHttpHeaders): IncomingHttpHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !HOP_HEADERS.has(name)));
}

/** The header lines of a request, unchanged except for those that are meant for the proxy. */
function ownHeaders({ rawHeaders }: IncomingMessage): string {
  const lines = rawHeaders.flatMap((name, i) =>
    i % 2 === 0 && !/^proxy-/i.test(name) ? [`${name}: ${rawHeaders[i + 1]}`] : [],
  );
  return lines.join('\r\n');
}

/** 403 for what is refused, 502 for a host that cannot be reached. */
function statusOf(error: unknown): 403 | 502 {
  return error instanceof Refusal || isAddressRefused(error) ? 403 : 502;
}
