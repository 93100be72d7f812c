/**
 * A webhook receiver on the loopback that checks signatures, and can refuse, hang, redirect and break off like real
 * ones do.
 */
import { createHmac } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Notice } from '../../src/contract/webhook/notice.ts';

/** A status to answer with, or a way not to answer. `endless` answers 200 and never ends its body. */
export type Behaviour = number | 'hang' | 'drop' | 'endless';
export type Received = {
  method: string;
  url: string;
  body: string;
  headers: IncomingHttpHeaders;
  notice: Notice & { notifyMs: number };
  /** Both signatures fit the bytes that arrived. */
  signed: boolean;
  /** Port of the connection it came over. */
  connection: number;
  /** How it was answered. */
  behaviour: Behaviour;
};

export class WebhookReceiver {
  readonly secret = 'a secret of the tests';
  readonly received: Received[] = [];
  /** Decides about each request; may wait before it does. */
  behave: (notice: Notice) => Behaviour | Promise<Behaviour> = () => 200;
  /** The highest number of requests of one recording that were open at the same time. */
  overlap = 0;
  #open = new Map<string, number>();
  #watchers = new Set<() => void>();
  #server = createServer((request, response) => void this.#answer(request, response));

  /** @param port 0 for any free one @param host the address that it is reached at */
  async start(port = 0, host = '127.0.0.1'): Promise<this> {
    this.#server.listen(port, host);
    await once(this.#server, 'listening');
    return this;
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get url(): string {
    const { address, port } = this.#server.address() as AddressInfo;
    return `http://${address}:${port}/hook?x=1`;
  }

  get webhook(): { url: string; secret: string; events: number[] } {
    return { url: this.url, secret: this.secret, events: [] };
  }

  /** What was answered 200, of one recording when told which. */
  taken(sid?: string): Received[] {
    return this.received.filter((each) => each.behaviour === 200 && (sid === undefined || each.notice.sid === sid));
  }

  /** Resolves when `done` says so; it is asked after every request. */
  async until(done: () => boolean): Promise<void> {
    while (!done())
      await new Promise<void>((resolve) => {
        const watcher = () => {
          this.#watchers.delete(watcher);
          resolve();
        };
        this.#watchers.add(watcher);
      });
  }

  async close(): Promise<void> {
    this.#server.closeAllConnections();
    this.#server.close();
    await once(this.#server, 'close');
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const bytes = Buffer.concat(chunks);
    const hmac = (name: string) => createHmac(name, this.secret).update(bytes).digest('hex');
    const body = bytes.toString('utf8');
    const notice = JSON.parse(body) as Received['notice'];
    const received: Received = {
      method: request.method ?? '',
      url: request.url ?? '',
      body,
      headers: request.headers,
      notice,
      signed:
        request.headers['agora-signature'] === hmac('sha1') && request.headers['agora-signature-v2'] === hmac('sha256'),
      connection: request.socket.remotePort ?? 0,
      behaviour: 'hang',
    };
    this.received.push(received);
    const open = (this.#open.get(notice.sid) ?? 0) + 1;
    this.#open.set(notice.sid, open);
    this.overlap = Math.max(this.overlap, open);
    response.once('close', () => this.#open.set(notice.sid, (this.#open.get(notice.sid) ?? 1) - 1));
    received.behaviour = await this.behave(notice);
    const { behaviour } = received;
    if (behaviour === 'drop') request.socket.destroy();
    else if (behaviour === 'endless') response.writeHead(200).write('and so on');
    else if (behaviour !== 'hang') {
      const location = behaviour >= 300 && behaviour < 400 ? { location: '/elsewhere' } : {};
      response.writeHead(behaviour, location).end(behaviour === 204 ? undefined : `status\n\t${behaviour}`);
    }
    for (const watcher of [...this.#watchers]) watcher();
  }
}
