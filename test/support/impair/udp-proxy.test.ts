/**
 * The proxy between two sockets of the test, by a held clock.
 */
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ManualClock } from '../manual-clock.ts';
import type { Impairment } from './impairment.ts';
import { CALM_MS, UdpProxy } from './udp-proxy.ts';

const STUN = 0x00;
const DTLS = 22;
const RTP = 0x80;

let clock: ManualClock;
let server: Socket;
let publisher: Socket;
let proxy: UdpProxy | undefined;

beforeEach(async () => {
  clock = new ManualClock();
  server = createSocket('udp4').bind(0, '127.0.0.1');
  publisher = createSocket('udp4').bind(0, '127.0.0.1');
  await Promise.all([once(server, 'listening'), once(publisher, 'listening')]);
});
afterEach(() => {
  proxy?.close();
  proxy = undefined;
  server.close();
  publisher.close();
});

async function open(toServer: Impairment, toPublisher: Impairment = {}): Promise<UdpProxy> {
  proxy = await UdpProxy.open({ serverPort: server.address().port, toServer, toPublisher, seed: 1, clock });
  return proxy;
}
/** Sends a datagram to the proxy; resolves once the proxy has had it, so that time may be moved on. */
async function send(first: number, mark: number): Promise<void> {
  const before = proxy!.counters.toServer.taken;
  publisher.send(Buffer.from([first, mark]), proxy!.address.port, '127.0.0.1');
  await expect.poll(() => proxy!.counters.toServer.taken, { interval: 1 }).toBe(before + 1);
}
async function received(socket: Socket): Promise<{ mark: number | undefined; port: number }> {
  const [datagram, from] = (await once(socket, 'message')) as [Buffer, { port: number }];
  return { mark: datagram[1], port: from.port };
}

describe('the proxy', () => {
  test('carries both ways: the server answers to whom it heard from, the publisher hears the proxy', async () => {
    const at = await open({});
    const heard = received(server);
    publisher.send(Buffer.from([RTP, 1]), at.address.port, '127.0.0.1');
    const { mark, port } = await heard;
    expect(mark).toBe(1);
    const answered = received(publisher);
    server.send(Buffer.from([RTP, 2]), port, '127.0.0.1');
    expect(await answered).toEqual({ mark: 2, port: at.address.port });
  });

  test('lets ICE and DTLS through at first, and impairs them later; media from the first packet on', async () => {
    const at = await open({ loss: 1 });
    const heard: (number | undefined)[] = [];
    server.on('message', (datagram: Buffer) => heard.push(datagram[1]));
    await send(RTP, 1);
    for (const [first, mark] of [
      [STUN, 2],
      [DTLS, 3],
    ] as const) {
      const passed = received(server);
      publisher.send(Buffer.from([first, mark]), at.address.port, '127.0.0.1');
      await passed;
    }
    clock.advance(CALM_MS);
    await send(STUN, 4);
    expect(heard).toEqual([2, 3]);
    expect(at.counters.toServer).toEqual({ taken: 2, lost: 2, duplicated: 0 });
  });

  test('holds datagrams until they are due, in order of their due times', async () => {
    await open({ delayMs: 100 });
    const heard: (number | undefined)[] = [];
    server.on('message', (datagram: Buffer) => heard.push(datagram[1]));
    await send(RTP, 1);
    clock.advance(50);
    await send(RTP, 2);
    clock.advance(49);
    await send(RTP, 3);
    expect(heard).toEqual([]);
    const first = once(server, 'message');
    clock.advance(1);
    await first;
    expect(heard).toEqual([1]);
    const rest = received(server).then(() => received(server));
    clock.advance(1000);
    await rest;
    expect(heard).toEqual([1, 2, 3]);
  });

  test('duplicates arrive twice', async () => {
    await open({ duplicate: 1 });
    const both = received(server).then(async (one) => [one.mark, (await received(server)).mark]);
    await send(RTP, 9);
    expect(await both).toEqual([9, 9]);
  });

  test('a blackout counts from its zero', async () => {
    const at = await open({ blackouts: [{ fromS: 0, toS: 1 }] });
    await send(RTP, 1);
    at.setZero();
    await send(RTP, 2);
    clock.advance(1000);
    await send(RTP, 3);
    expect(at.counters.toServer).toEqual({ taken: 3, lost: 1, duplicated: 0 });
  });
});
