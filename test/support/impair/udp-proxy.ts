/**
 * UdpProxy: a bad network on loopback, between one publisher and the server's media port. The publisher sends to the
 * proxy's port; each direction has its impairment. ICE and DTLS get through untouched at first, so that every
 * connection comes about.
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import type { Clock, Timer } from '../../../src/kernel/clock.ts';
import { ImpairedWay, type Impairment, type WayCounters } from './impairment.ts';

const LOOPBACK = '127.0.0.1';
/** How long ICE and DTLS pass untouched, from the first datagram on. */
export const CALM_MS = 2000;

export type UdpProxyOptions = {
  /** The server's media port on loopback. */
  serverPort: number;
  toServer?: Impairment;
  toPublisher?: Impairment;
  /** The same seed gives each direction's datagrams the same fates. */
  seed: number;
  clock: Clock;
};

export class UdpProxy {
  readonly #front: Socket;
  readonly #back: Socket;
  readonly #clock: Clock;
  readonly #ways: { toServer: ImpairedWay; toPublisher: ImpairedWay };
  readonly #line: DueLine;
  #publisher: { address: string; port: number } | undefined;
  #firstMs: number | undefined;
  #zeroMs: number | undefined;

  /**
   * Opens its two ports. Rejects with the system's error when none is free, a RangeError for an impossible impairment.
   */
  static async open(options: UdpProxyOptions): Promise<UdpProxy> {
    const proxy = new UdpProxy(options);
    const opened = [proxy.#front, proxy.#back].map((socket) => once(socket, 'listening'));
    for (const socket of [proxy.#front, proxy.#back]) socket.bind(0, LOOPBACK);
    try {
      await Promise.all(opened);
    } catch (error) {
      proxy.close();
      throw error;
    }
    // The network's complaints about single datagrams: whoever is gone is gone.
    for (const socket of [proxy.#front, proxy.#back]) socket.on('error', () => {});
    return proxy;
  }

  private constructor({ serverPort, toServer = {}, toPublisher = {}, seed, clock }: UdpProxyOptions) {
    this.#clock = clock;
    this.#ways = { toServer: new ImpairedWay(toServer, seed), toPublisher: new ImpairedWay(toPublisher, seed + 1) };
    this.#line = new DueLine(clock);
    const lookup = (name: string, _options: unknown, done: (error: null, address: string, family: number) => void) =>
      done(null, name, 4);
    this.#front = createSocket({ type: 'udp4', lookup });
    this.#back = createSocket({ type: 'udp4', lookup });
    this.#front.on('message', (datagram, from: RemoteInfo) => {
      this.#publisher = { address: from.address, port: from.port };
      this.#carry(this.#ways.toServer, datagram, () => this.#back.send(datagram, serverPort, LOOPBACK));
    });
    this.#back.on('message', (datagram) => {
      const to = this.#publisher;
      if (to) this.#carry(this.#ways.toPublisher, datagram, () => this.#front.send(datagram, to.port, to.address));
    });
  }

  /** Where the publisher is to send. */
  get address(): { address: string; port: number } {
    return { address: LOOPBACK, port: this.#front.address().port };
  }
  /** What became of the datagrams that were impaired so far. */
  get counters(): { toServer: WayCounters; toPublisher: WayCounters } {
    return { toServer: { ...this.#ways.toServer.counters }, toPublisher: { ...this.#ways.toPublisher.counters } };
  }

  /** Says what blackouts count from: now, or `agoMs` milliseconds before. Until it is said there are none. */
  setZero(agoMs = 0): void {
    this.#zeroMs = this.#nowMs() - agoMs;
  }

  /** Drops what is on its way and gives the ports back. */
  close(): void {
    this.#line.close();
    this.#front.close();
    this.#back.close();
  }

  #nowMs(): number {
    return this.#clock.monoUs() / 1000;
  }

  #carry(way: ImpairedWay, datagram: Buffer, send: () => void): void {
    const nowMs = this.#nowMs();
    this.#firstMs ??= nowMs;
    if (nowMs - this.#firstMs < CALM_MS && !isMedia(datagram)) send();
    else for (const dueMs of way.pass(nowMs, datagram.length, this.#zeroMs)) this.#line.add(dueMs, send);
  }
}

/** RTP and RTCP among what shares a port with STUN and DTLS (RFC 7983 §7). */
function isMedia(datagram: Buffer): boolean {
  const first = datagram[0] ?? 0;
  return first >= 128 && first <= 191;
}

/** What is to be done at its time, in order of time; at the same time in the order it was added. */
class DueLine {
  readonly #clock: Clock;
  #waiting: { dueMs: number; run: () => void }[] = [];
  #timer: Timer | undefined;
  #timerDueMs = Number.POSITIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  add(dueMs: number, run: () => void): void {
    let at = this.#waiting.length;
    while (at > 0 && (this.#waiting[at - 1] as { dueMs: number }).dueMs > dueMs) at--;
    this.#waiting.splice(at, 0, { dueMs, run });
    this.#run();
  }

  close(): void {
    this.#timer?.cancel();
    this.#waiting = [];
  }

  #run(): void {
    const nowMs = this.#clock.monoUs() / 1000;
    const later = this.#waiting.findIndex(({ dueMs }) => dueMs > nowMs);
    const due = this.#waiting.splice(0, later < 0 ? this.#waiting.length : later);
    for (const { run } of due) run();
    const next = this.#waiting[0]?.dueMs ?? Number.POSITIVE_INFINITY;
    if (next === this.#timerDueMs) return;
    this.#timer?.cancel();
    this.#timerDueMs = next;
    if (next === Number.POSITIVE_INFINITY) return;
    this.#timer = this.#clock.after(Math.ceil(next - nowMs), () => {
      this.#timerDueMs = Number.POSITIVE_INFINITY;
      this.#run();
    });
  }
}
