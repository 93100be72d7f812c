/**
 * Listener: hears whoever connects to it, over TCP and UDP at one port, and by which of a page's ways; with what a page
 * needs of its own server to try them.
 */
import { createSocket, type Socket as Datagrams } from 'node:dgram';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer, isIPv6, type Server, type Socket } from 'node:net';
import { networkInterfaces } from 'node:os';
import { join } from 'node:path';
import { runInNewContext } from 'node:vm';
import type { PageServer } from '../web-page.ts';

const SCRIPT = readFileSync(join(import.meta.dirname, 'ways.js'), 'utf8');
/** The names of all ways. */
export const WAYS: readonly string[] = runInNewContext(`${SCRIPT}; Object.keys(WAYS)`);
/** Those that WebRTC's and QUIC's sockets go, which pages get none of: not even to where they may go. */
export const CLOSED_WAYS: readonly string[] = [
  'turn-over-tcp',
  'turn-over-udp',
  'stun',
  'candidate-of-peer',
  'web-transport',
];

const ANSWER = [
  'HTTP/1.1 200 OK',
  'content-type: text/javascript',
  'access-control-allow-origin: *',
  'content-length: 0',
  'connection: close',
];

export class Listener {
  /** The ways that came. */
  readonly came = new Set<string>();
  /** Connections and datagrams that came, by whatever way. */
  connections = 0;
  datagrams = 0;
  readonly #servers: Server[];
  readonly #sockets: Datagrams[];

  private constructor(servers: Server[], sockets: Datagrams[]) {
    this.#servers = servers;
    this.#sockets = sockets;
    for (const server of servers) server.on('connection', (socket) => this.#hear(socket));
    for (const socket of sockets)
      socket.on('message', () => {
        this.datagrams++;
      });
  }

  /** Listens at each of the addresses that this machine has, at one port that the first has free. */
  static async start(...wanted: string[]): Promise<Listener> {
    const addresses = wanted.filter((address) => !isIPv6(address) || hasAddress(address));
    const listener = new Listener(
      addresses.map(() => createServer()),
      addresses.map((address) => createSocket(isIPv6(address) ? 'udp6' : 'udp4')),
    );
    let port = 0;
    for (const [i, server] of listener.#servers.entries()) {
      server.listen(port, addresses[i]);
      await once(server, 'listening');
      port = listener.port;
    }
    for (const [i, socket] of listener.#sockets.entries()) {
      socket.bind(port, addresses[i]);
      await once(socket, 'listening');
    }
    return listener;
  }

  get port(): number {
    return (this.#servers[0]!.address() as AddressInfo).port;
  }

  close(): void {
    for (const each of [...this.#servers, ...this.#sockets]) each.close();
  }

  #hear(socket: Socket): void {
    this.connections++;
    socket.on('error', () => socket.destroy());
    socket.once('data', (words: Buffer) => {
      this.came.add(wayOf(words));
      socket.end(`${ANSWER.join('\r\n')}\r\n\r\n`);
    });
  }
}

/** Machines without IPv6 have no `::1`. */
function hasAddress(wanted: string): boolean {
  return Object.values(networkInterfaces()).some((found) => found?.some(({ address }) => address === wanted));
}

/** By what a connection begins with. */
function wayOf(words: Buffer): string {
  const TLS_HANDSHAKE = 0x16;
  if (words[0] === TLS_HANDSHAKE) return 'preconnect';
  return /^[A-Z]+ \/([a-z-]+) /.exec(words.toString('latin1'))?.[1] ?? words.toString('latin1');
}

/** Adds a page, `/reach`, that tries ways to get to hosts (each with its port). */
export function addReachingPage(pages: PageServer, targets: { host: string; names: readonly string[] }[]): void {
  const to = (path: string) => new URL(path, 'http://x').searchParams.get('to') ?? '';
  const script = { 'content-type': 'text/javascript', 'service-worker-allowed': '/' };
  Object.assign(pages.pages, {
    '/ways.js': (response) => response.writeHead(200, script).end(`${SCRIPT}; tryWays(${JSON.stringify(targets)});`),
    '/redirect': (response, path) => response.writeHead(302, { location: to(path) }).end(),
    '/preload': (response, path) => response.writeHead(200, { link: `<${to(path)}>; rel=preload; as=image` }).end('x'),
    '/csp': (response, path) => {
      const policy = `img-src 'none'; report-uri ${to(path)}`;
      response.writeHead(200, { 'content-type': 'text/html', 'content-security-policy': policy }).end('<img src=/x>');
    },
    '/worker.js': (response, path) => response.writeHead(200, script).end(`fetch('${to(path)}', { mode: 'no-cors' })`),
  } satisfies PageServer['pages']);
  pages.add('/reach', "document.body.append(Object.assign(document.createElement('script'), { src: '/ways.js' }));");
}
