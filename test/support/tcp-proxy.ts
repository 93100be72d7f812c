/** A TCP proxy on this machine that can be cut like a cable: nothing comes through, and no end hears of it. */

import type { AddressInfo } from 'node:net';
import { connect, createServer, type Server, type Socket } from 'node:net';

export class TcpProxy {
  readonly #server: Server;
  readonly #pairs = new Set<readonly [Socket, Socket]>();
  #isCut = false;

  /** Listens on a free port, for connections to this one. */
  static async open(port: number): Promise<TcpProxy> {
    const proxy = new TcpProxy(port);
    await new Promise<void>((resolve) => proxy.#server.listen(0, '127.0.0.1', resolve));
    return proxy;
  }

  private constructor(port: number) {
    this.#server = createServer((from) => {
      const to = connect(port, '127.0.0.1');
      const pair = [from, to] as const;
      this.#pairs.add(pair);
      for (const [one, other] of [pair, [to, from] as const]) {
        one.on('data', (bytes) => {
          if (!this.#isCut) other.write(bytes);
        });
        one.on('error', () => {});
        one.on('close', () => {
          this.#pairs.delete(pair);
          if (!this.#isCut) other.destroy();
        });
      }
    });
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  /** From now on whatever is sent is lost. */
  cut(): void {
    this.#isCut = true;
  }

  /** New connections work again; those from before are reset, as a network does that has forgotten them. */
  mend(): void {
    this.#isCut = false;
    for (const pair of this.#pairs) for (const socket of pair) socket.destroy();
  }

  close(): void {
    this.mend();
    this.#server.close();
  }
}
