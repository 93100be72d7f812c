import { createHmac, randomBytes } from 'node:crypto';
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { networkInterfaces } from 'node:os';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { type ConsentRelay, moveCandidates, openConsentRelay, relayOptionsOf } from './consent-relay.ts';
import { isSignedWith } from './stun.ts';

const LOCAL = { iceUfrag: 'ours', icePwd: 'our-password-of-22-chars' };
const PUBLISHER = { iceUfrag: 'theirs', icePwd: 'their-password-of-22-chars' };

/** One end of UDP that keeps what came in. */
class Endpoint {
  readonly socket: Socket;
  readonly #received: { datagram: Buffer; from: RemoteInfo }[] = [];
  #wake = () => {};

  static async open(host: string): Promise<Endpoint> {
    const socket = createSocket(host.includes(':') ? 'udp6' : 'udp4');
    socket.bind(0, host);
    await once(socket, 'listening');
    return new Endpoint(socket);
  }
  private constructor(socket: Socket) {
    this.socket = socket;
    socket.on('message', (datagram, from) => {
      this.#received.push({ datagram, from });
      this.#wake();
    });
  }
  get port(): number {
    return this.socket.address().port;
  }
  /** Resolves when it is on its way: over loopback, datagrams then keep their order, from whomever they are. */
  send(datagram: Buffer, port: number): Promise<void> {
    return new Promise((resolve, reject) =>
      this.socket.send(datagram, port, this.socket.address().address, (error) => (error ? reject(error) : resolve())),
    );
  }
  /** The oldest datagram not yet taken. */
  async take(): Promise<{ datagram: Buffer; from: RemoteInfo }> {
    while (this.#received.length === 0) await new Promise<void>((resolve) => (this.#wake = resolve));
    return this.#received.shift()!;
  }
}

function attribute(type: number, value: Buffer): Buffer {
  const head = Buffer.alloc(4);
  head.writeUInt16BE(type, 0);
  head.writeUInt16BE(value.length, 2);
  return Buffer.concat([head, value, Buffer.alloc(-value.length & 3)]);
}

function bindingRequest(username: string, password: string): Buffer {
  const head = Buffer.from('000100002112a442000000000000000000000000', 'hex');
  randomBytes(12).copy(head, 8);
  const unsigned = Buffer.concat([head, attribute(0x0006, Buffer.from(username))]);
  unsigned.writeUInt16BE(unsigned.length - 20 + 24, 2);
  const signature = createHmac('sha1', password).update(unsigned).digest();
  return Buffer.concat([unsigned, attribute(0x0008, signature)]);
}

const hello = () => bindingRequest('ours:theirs', LOCAL.icePwd);
const check = () => bindingRequest('theirs:ours', PUBLISHER.icePwd);
const rtp = (n: number) => Buffer.from([0x80, 96, 0, n, 1, 2, 3]);

let server: Endpoint;
let publisher: Endpoint;
let stranger: Endpoint;
let relay: ConsentRelay;

// Some machines have no IPv6.
const hosts = Object.values(networkInterfaces())
  .flatMap((addresses) => addresses ?? [])
  .filter(({ internal, address }) => internal && ['127.0.0.1', '::1'].includes(address))
  .map(({ address }) => address);

describe.each(hosts)('on %s', (host) => {
  beforeEach(async () => {
    [server, publisher, stranger] = [await Endpoint.open(host), await Endpoint.open(host), await Endpoint.open(host)];
    relay = await openConsentRelay({
      host,
      server: { address: host, port: server.port },
      local: LOCAL,
      publisher: PUBLISHER,
    });
  });
  afterEach(() => {
    relay.close();
    for (const { socket } of [server, publisher, stranger]) socket.close();
  });

  async function connect(who = publisher): Promise<void> {
    const request = hello();
    await who.send(request, relay.port);
    expect((await server.take()).datagram).toEqual(request);
  }

  test('datagrams go both ways as they are', async () => {
    await connect();
    expect(relay.publisherAddress).toEqual({ address: host, port: publisher.port });
    await publisher.send(rtp(1), relay.port);
    const { datagram, from } = await server.take();
    expect(datagram).toEqual(rtp(1));
    expect(from.port).toBe(relay.port);
    await server.send(rtp(2), relay.port);
    expect((await publisher.take()).datagram).toEqual(rtp(2));
  });

  test("the server's checks are answered in the publisher's name, who does not see them", async () => {
    await connect();
    const request = check();
    await server.send(request, relay.port);
    const { datagram: response } = await server.take();
    expect(response.readUInt16BE(0)).toBe(0x0101);
    expect(response.subarray(4, 20)).toEqual(request.subarray(4, 20));
    expect(response.readUInt16BE(26) ^ 0x2112).toBe(server.port);
    expect(isSignedWith(response, PUBLISHER.icePwd)).toBe(true);
    await server.send(rtp(3), relay.port);
    expect((await publisher.take()).datagram).toEqual(rtp(3));
  });

  test('checks are answered only while the publisher is heard', async () => {
    await connect();
    const [first, second, third] = [check(), check(), check()];
    await server.send(first, relay.port);
    expect((await server.take()).datagram.subarray(8, 20)).toEqual(first.subarray(8, 20));
    await server.send(second, relay.port);
    await publisher.send(rtp(4), relay.port);
    expect((await server.take()).datagram).toEqual(rtp(4));
    await server.send(third, relay.port);
    expect((await server.take()).datagram.subarray(8, 20)).toEqual(third.subarray(8, 20));
  });

  test('nobody is heard before a Binding request that only the publisher can make', async () => {
    await server.send(rtp(5), relay.port);
    await stranger.send(rtp(6), relay.port);
    await stranger.send(bindingRequest('ours:other', LOCAL.icePwd), relay.port);
    await stranger.send(bindingRequest('ours:theirs', 'guessed'), relay.port);
    await server.send(check(), relay.port);
    await connect();
    expect(relay.publisherAddress?.port).toBe(publisher.port);
    await stranger.send(rtp(7), relay.port);
    await publisher.send(rtp(8), relay.port);
    expect((await server.take()).datagram).toEqual(rtp(8));
    await server.send(rtp(9), relay.port);
    expect((await publisher.take()).datagram).toEqual(rtp(9));
  });

  test('the publisher moves with a new Binding request', async () => {
    await connect();
    await connect(stranger);
    await publisher.send(rtp(10), relay.port);
    await stranger.send(rtp(11), relay.port);
    expect((await server.take()).datagram).toEqual(rtp(11));
    await server.send(rtp(12), relay.port);
    expect((await stranger.take()).datagram).toEqual(rtp(12));
  });

  test('its port is free again when it is closed', async () => {
    await connect();
    const { port } = relay;
    relay.close();
    relay.close();
    const successor = createSocket(host.includes(':') ? 'udp6' : 'udp4');
    try {
      successor.bind(port, host);
      await once(successor, 'listening');
      expect(successor.address().port).toBe(port);
    } finally {
      successor.close();
    }
  });
});

test('an address that is not of this machine is named', async () => {
  const attempt = openConsentRelay({
    host: '198.51.100.77',
    server: { address: '198.51.100.77', port: 9 },
    local: LOCAL,
    publisher: PUBLISHER,
  });
  await expect(attempt).rejects.toMatchObject({
    code: 'rtc-port-unavailable',
    message: 'No UDP port of 198.51.100.77 is free for this publisher.',
  });
});

describe('for an answer', () => {
  const answer = (...addresses: string[]) =>
    [
      'm=audio 9 UDP/TLS/RTP/SAVPF 111',
      'a=ice-ufrag:ours',
      `a=ice-pwd:${LOCAL.icePwd}`,
      ...addresses.map((address, n) => `a=candidate:${n + 1} 1 UDP 2114977791 ${address} 7301 typ host`),
      '',
    ].join('\r\n');

  test.each([
    ['127.0.0.1', '127.0.0.1', { host: '127.0.0.1', server: { address: '127.0.0.1', port: 7301 } }],
    ['a name', 'localhost', { host: '127.0.0.1', server: { address: '127.0.0.1', port: 7301 } }],
    ['all of IPv4', '0.0.0.0', { host: '0.0.0.0', server: { address: '127.0.0.1', port: 7301 } }],
    ['all', '::', { host: '::', server: { address: '::1', port: 7301 } }],
  ])('on %s it is found where the media port is', (_what, host, expected) => {
    const found = relayOptionsOf(answer('127.0.0.1', '192.0.2.7'), host, PUBLISHER);
    expect(found).toEqual({ ...expected, local: LOCAL, publisher: PUBLISHER });
  });

  test('every candidate is moved to its port', () => {
    expect(moveCandidates(answer('127.0.0.1', '2001:db8::7'), 40_001)).toBe(
      answer('127.0.0.1', '2001:db8::7').replaceAll('7301', '40001'),
    );
  });

  test('without a transport there is none', () => {
    expect(() => relayOptionsOf(answer(), '127.0.0.1', PUBLISHER)).toThrow('without a transport');
  });
});
