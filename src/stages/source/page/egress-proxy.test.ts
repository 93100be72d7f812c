import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, request, type Server } from 'node:http';
import { type AddressInfo, connect, createServer as createTcpServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { afterEach, beforeEach, expect, onTestFinished, test, vi } from 'vitest';
import { EgressProxy } from './egress-proxy.ts';

let folder: string;
let socketPath: string;
let target: Server;
let port: number;
let proxy: EgressProxy;
/** What came to the target: method, path and the headers' names. */
let came: { line: string; headers: string[] }[];
let refused: string[];
let failed: string[];
let resolved: string[];
/** Where names lead. */
let names: Record<string, string[]>;
/** Names that are answered later. */
let slow: Record<string, PromiseWithResolvers<void>>;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'aircheck-proxy-'));
  socketPath = join(folder, 'proxy.sock');
  [came, refused, failed, resolved] = [[], [], [], []];
  names = { 'public.test': ['127.0.0.1'], 'private.test': ['10.0.0.1'], 'both.test': ['10.0.0.1', '127.0.0.1'] };
  slow = {};
  target = createServer((asked, answer) => {
    came.push({ line: `${asked.method} ${asked.url}`, headers: Object.keys(asked.headers) });
    asked.pipe(answer.writeHead(200, { 'x-seen': 'yes', connection: 'close' }));
  });
  target.on('upgrade', (asked, socket, head) => {
    came.push({ line: `UPGRADE ${asked.url}`, headers: Object.keys(asked.headers) });
    socket.write('HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n');
    socket.write(head);
    socket.pipe(socket);
  });
  await new Promise<void>((done) => target.listen(0, '127.0.0.1', done));
  port = (target.address() as AddressInfo).port;
  proxy = await EgressProxy.start({
    socket: socketPath,
    permits: (address) => address === '127.0.0.1',
    resolve: async (name) => {
      resolved.push(name);
      await slow[name]?.promise;
      return (names[name] ?? []).map((address) => ({ address, family: 4 }));
    },
    onRefused: (where) => refused.push(where),
    onFailed: (where, why) => failed.push(`${where}: ${why}`),
  });
});
afterEach(async () => {
  proxy.close();
  target.closeAllConnections();
  await new Promise((done) => target.close(done));
  rmSync(folder, { recursive: true });
});

/** One request to the proxy, as it stands on the wire; resolves to all that comes back until the connection ends. */
async function raw(words: string): Promise<string> {
  const socket = connect(socketPath);
  socket.write(words);
  return text(socket);
}
const get = (url: string) => raw(`GET ${url} HTTP/1.1\r\nhost: x\r\nconnection: close\r\nproxy-connection: x\r\n\r\n`);
const tunnel = (to: string) =>
  raw(`CONNECT ${to} HTTP/1.1\r\n\r\nGET /inside HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n`);

test('a request is handed on without what concerns the proxy alone', async () => {
  const asked = request({ socketPath, method: 'POST', path: `http://public.test:${port}/a?b=c`, agent: false });
  const answered = new Promise<string>((resolve) => asked.on('response', (answer) => resolve(text(answer))));
  asked.setHeader('proxy-authorization', 'x').end('body');
  expect(await answered).toBe('body');
  expect(came.map(({ line }) => line)).toEqual(['POST /a?b=c']);
  expect(came[0]!.headers).not.toContain('proxy-authorization');
});

test('a tunnel leads to the address that was judged, by one look at its name', async () => {
  expect(await tunnel(`public.test:${port}`)).toMatch(/^HTTP\/1.1 200 [\s\S]*x-seen: yes/);
  expect(came.map(({ line }) => line)).toEqual(['GET /inside']);
  expect(resolved).toEqual(['public.test']);
});

test('of several addresses only those that are allowed are tried', async () => {
  expect(await tunnel(`both.test:${port}`)).toMatch(/^HTTP\/1.1 200 /);
  expect(came).toHaveLength(1);
});

test.each(['private.test', '10.0.0.1', '[::1]', '169.254.169.254', '167772161', '0x7f.2'])(
  'nothing is connected to for %s, by whatever kind of request',
  async (host) => {
    expect(await tunnel(`${host}:${port}`)).toMatch(/^HTTP\/1.1 403 /);
    expect(await get(`http://${host}:${port}/`)).toMatch(/^HTTP\/1.1 403 /);
    const upgrade = `GET ws://${host}:${port}/ HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n`;
    expect(await raw(upgrade)).toMatch(/^HTTP\/1.1 403 /);
    expect(refused).toHaveLength(3);
    expect(came).toEqual([]);
  },
);

test('a name that leads elsewhere the next time is judged anew', async () => {
  expect(await get(`http://public.test:${port}/`)).toMatch(/^HTTP\/1.1 200 /);
  names['public.test'] = ['10.0.0.1'];
  expect(await get(`http://public.test:${port}/`)).toMatch(/^HTTP\/1.1 403 /);
  expect(came).toHaveLength(1);
});

test('a WebSocket to an http page goes through', async () => {
  const socket = connect(socketPath);
  socket.write(
    `GET http://public.test:${port}/ws HTTP/1.1\r\nhost: x\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\nhello`,
  );
  let back = '';
  await new Promise<void>((resolve) =>
    socket.on('data', (chunk) => {
      back += chunk.toString();
      if (back.endsWith('hello')) resolve();
    }),
  );
  expect(back).toMatch(/^HTTP\/1.1 101/);
  socket.destroy();
});

test.each(['ftp://public.test/', 'file:///etc/passwd', '/path', 'http://'])('%s is not forwarded', async (url) => {
  expect(await get(url)).toMatch(/^HTTP\/1.1 403 /);
  expect(came).toEqual([]);
});

test.each(['public.test', 'public.test:', ':80', 'public.test:999999', 'a b:80'])('no tunnel to "%s"', async (to) => {
  expect(await tunnel(to)).toMatch(/^HTTP\/1.1 (403|502|400) /);
  expect(came).toEqual([]);
});

test.each([
  ['a tunnel', (to: string) => `CONNECT ${to} HTTP/1.1\r\n\r\n`],
  ['a request', (to: string) => `GET http://${to}/ HTTP/1.1\r\nhost: x\r\n\r\n`],
])('no connection is kept for a page that gave up %s before it was there', async (_, words) => {
  const looking = Promise.withResolvers<void>();
  slow['public.test'] = looking;
  const ended = new Promise<void>((resolve) =>
    target.once('connection', (socket) => socket.once('close', () => resolve())),
  );
  const socket = connect(socketPath);
  socket.write(words(`public.test:${port}`));
  await vi.waitFor(() => expect(resolved).toEqual(['public.test']));
  socket.destroy();
  await get('http://10.0.0.1/');
  looking.resolve();
  await ended;
  expect(came).toEqual([]);
});

test('an answer that no server may give is a bad gateway', async () => {
  const odd = createTcpServer((socket) => {
    socket.on('error', () => {});
    socket.once('data', () => socket.end('HTTP/1.1 099 Odd\r\ncontent-length: 0\r\n\r\n'));
  });
  await new Promise<void>((done) => odd.listen(0, '127.0.0.1', done));
  onTestFinished(() => void odd.close());
  expect(await get(`http://public.test:${(odd.address() as AddressInfo).port}/`)).toMatch(/^HTTP\/1.1 502 /);
});

test('a host that cannot be reached is a bad gateway, and no refusal', async () => {
  await new Promise((done) => target.close(done));
  expect(await tunnel(`public.test:${port}`)).toMatch(/^HTTP\/1.1 502 /);
  expect(refused).toEqual([]);
  expect(failed).toEqual([expect.stringMatching(`^public.test:${port}: connect ECONNREFUSED`)]);
});
