import { execFileSync } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import * as http2 from 'node:http2';
import { type Agent, request } from 'node:https';
import { connect, type Socket } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { connect as connectTls } from 'node:tls';
import type { FastifyInstance } from 'fastify';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ACQUIRE, ACQUIRE_BODY, AUTHORIZATION, listenEdge } from '../../test/support/edge-server.ts';
import { makeCertificates } from '../app/cli/moving/certificates.ts';
import { systemClock } from '../kernel/clock.ts';
import { Fault } from '../kernel/fault.ts';
import { createLog } from '../observe/log.ts';
import { BODY_LIMIT_BYTES, buildHttp, listen } from './server.ts';
import { isPlainBeyondLoopback, readTls, type TlsIdentity } from './tls.ts';

const newIdentity = (): Promise<TlsIdentity> =>
  makeCertificates({ hosts: ['localhost'], nowMs: systemClock.nowMs(), days: 1 });
let tls: TlsIdentity;
let app: FastifyInstance;
let port: number;
beforeAll(async () => {
  tls = await newIdentity();
  ({ app, port } = await listenEdge({ tls }));
});
afterAll(() => app.close());

/** `localhost` is the name the certificate is for; the address is the one the server listens on. */
const target = () => ({ host: '127.0.0.1', servername: 'localhost', port, ca: tls.cert });

type Answer = { status: number; body: unknown; headers: Record<string, unknown> };
async function overHttp1(method: string, path: string, body?: string, headers = {}, agent?: Agent): Promise<Answer> {
  const call = request({ ...target(), method, path, headers: { authorization: AUTHORIZATION, ...headers }, agent });
  // The server may answer, and close, before it has been sent the whole of a body that is too large.
  call.on('error', () => {});
  call.end(body);
  const [response] = await once(call, 'response');
  return { status: response.statusCode, body: JSON.parse(await text(response)), headers: response.headers };
}
async function overHttp2(session: http2.ClientHttp2Session, path: string, body = '', headers = {}): Promise<Answer> {
  const stream = session.request({
    ':method': body === '' ? 'GET' : 'POST',
    ':path': path,
    authorization: AUTHORIZATION,
    ...headers,
  });
  stream.on('error', () => {});
  // A call without a body has ended already.
  if (body !== '') stream.end(body);
  const [answered] = await once(stream, 'response');
  return { status: answered[':status'], body: JSON.parse(await text(stream)), headers: answered };
}
const openHttp2 = async () => {
  const session = http2.connect(`https://localhost:${port}`, target());
  await once(session, 'connect');
  return session;
};

describe('one port of HTTPS', () => {
  test('speaks HTTP/1.1', async () => {
    const made = await overHttp1('POST', ACQUIRE, ACQUIRE_BODY);
    expect(made).toMatchObject({ status: 200, body: { cname: 'ch1', resourceId: 'made' } });
    expect(made.headers['x-request-id']).toBeTruthy();
    expect(await overHttp1('PUT', ACQUIRE, '{')).toMatchObject({
      status: 404,
      body: { message: 'no Route matched with those values' },
    });
  });

  test('speaks HTTP/2, many calls at once', async () => {
    const session = await openHttp2();
    expect(session.alpnProtocol).toBe('h2');
    const calls = Array.from({ length: 20 }, () => overHttp2(session, ACQUIRE, ACQUIRE_BODY));
    for (const made of await Promise.all(calls)) {
      expect(made).toMatchObject({ status: 200, body: { cname: 'ch1', resourceId: 'made' } });
      expect(made.headers['x-request-id']).toBeTruthy();
    }
    session.close();
  });

  test('answers errors of HTTP/2 calls as those of HTTP/1.1, and goes on', async () => {
    const session = await openHttp2();
    expect(await overHttp2(session, ACQUIRE, '{"cname":')).toMatchObject({ status: 400, body: { code: 2 } });
    expect(await overHttp2(session, ACQUIRE, '<a/>', { 'content-type': 'text/xml' })).toMatchObject({ status: 400 });
    expect(await overHttp2(session, '/nowhere')).toMatchObject({ status: 404 });
    expect(await overHttp2(session, `${ACQUIRE}/%zz`)).toMatchObject({ status: 404 });
    expect(await overHttp2(session, ACQUIRE, '{}', { authorization: '' })).toMatchObject({
      status: 401,
      body: { message: 'Unauthorized' },
    });
    const large = ' '.repeat(BODY_LIMIT_BYTES + 1);
    expect(await overHttp2(session, ACQUIRE, large)).toMatchObject({
      status: 413,
      body: { message: 'Request size limit exceeded' },
    });
    expect((await overHttp2(session, ACQUIRE, ACQUIRE_BODY)).status).toBe(200);
    session.close();
  });

  test('outlives callers that do not speak TLS, or go away', async () => {
    const plain = connect(port, '127.0.0.1');
    plain.on('error', () => {});
    plain.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
    await once(plain, 'close');
    const session = await openHttp2();
    session.request({ ':path': ACQUIRE, ':method': 'POST' }).on('error', () => {});
    session.destroy();
    expect((await overHttp1('POST', ACQUIRE, ACQUIRE_BODY)).status).toBe(200);
  });
});

describe('closing', () => {
  // Whether it ends by a reset or in order is the same here.
  const closeOf = (each: Socket | http2.ClientHttp2Session) => new Promise<void>((done) => each.once('close', done));

  test('is not held up by open sessions, kept-open connections and handshakes that were begun', async () => {
    const { app: closing, port: at } = await listenEdge({ tls });
    const to = { ...target(), port: at };
    const session = http2.connect(`https://localhost:${at}`, to);
    session.on('error', () => {});
    // Neither ended nor answered: the server waits for the rest of its body.
    const waiting = session.request({ ':method': 'POST', ':path': ACQUIRE, authorization: AUTHORIZATION });
    waiting.on('error', () => {});
    waiting.write('{');
    const kept = connectTls({ ...to, ALPNProtocols: ['http/1.1'] });
    const silent = connect(at, '127.0.0.1');
    const all: (Socket | http2.ClientHttp2Session)[] = [kept, silent, session];
    for (const each of all) each.on('error', () => {});
    await Promise.all([once(session, 'connect'), once(kept, 'secureConnect'), once(silent, 'connect')]);
    kept.write(`POST ${ACQUIRE} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n`);

    const closed = Promise.all(all.map(closeOf));
    await closing.close();
    await closed;
  });

  test('of a plain server is as quick', async () => {
    const { app: closing, port: at } = await listenEdge();
    const silent = connect(at, '127.0.0.1');
    const waiting = connect(at, '127.0.0.1');
    for (const each of [silent, waiting]) each.on('error', () => {});
    await Promise.all([once(silent, 'connect'), once(waiting, 'connect')]);
    waiting.write(`POST ${ACQUIRE} HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\n`);
    const closed = Promise.all([silent, waiting].map(closeOf));
    await closing.close();
    await closed;
  });
});

describe('what is not HTTP', () => {
  test.each([
    ['garbage', 'xx\r\n\r\n', 'HTTP/1.1 400 Bad Request'],
    ['a header with a line break', 'GET / HTTP/1.1\r\nHost: a\r\nA\rB: c\r\n\r\n', 'HTTP/1.1 400 Bad Request'],
    ['too long a header', `GET / HTTP/1.1\r\nHost: a\r\nA: ${'a'.repeat(20_000)}\r\n\r\n`, 'HTTP/1.1 431 '],
    ['too long an address', `GET /${'a'.repeat(20_000)} HTTP/1.1\r\nHost: a\r\n\r\n`, 'HTTP/1.1 431 '],
  ])('%s is answered with a status and no more', async (_what, bytes, status) => {
    const { app: plain, port: at } = await listenEdge();
    const socket = connect(at, '127.0.0.1');
    socket.write(bytes);
    const answer = await text(socket);
    expect(answer).toMatch(/\r\nContent-Length: 0\r\n\r\n$/);
    expect(answer.startsWith(status)).toBe(true);
    await plain.close();
  });
});

describe('the certificate', () => {
  const folder = mkdtempSync(join(tmpdir(), 'aircheck-tls-'));
  afterAll(() => rmSync(folder, { recursive: true }));
  const put = (name: string, content: string | Buffer) => {
    const path = join(folder, name);
    writeFileSync(path, content);
    return path;
  };
  const why = (build: () => unknown) => {
    try {
      build();
    } catch (error) {
      if (error instanceof Fault) return `${error.code}: ${error.message}`;
      throw error;
    }
    return 'fine';
  };

  test('and its key are read from files', () => {
    const certFile = put('cert.pem', tls.cert);
    const keyFile = put('key.pem', tls.key);
    expect(String(readTls({ certFile, keyFile }).cert)).toBe(tls.cert);
    const missing = join(folder, 'missing.pem');
    expect(why(() => readTls({ certFile: missing, keyFile }))).toMatch(
      /^tls-unreadable: the TLS certificate .*missing\.pem cannot be read: ENOENT/,
    );
    expect(why(() => readTls({ certFile, keyFile: folder }))).toMatch(
      /^tls-unreadable: the TLS private key .* cannot be read: EISDIR/,
    );
    expect(why(() => readTls({ certFile: keyFile, keyFile }))).toMatch(/^tls-invalid: the TLS certificate is not/);
  });

  test('must be one, with a key, and the two a pair', async () => {
    const { key } = await newIdentity();
    const build = (identity: TlsIdentity) => why(() => buildHttp({ log: app.log, tls: identity }));
    expect(build({ ...tls, cert: '' })).toMatch(/^tls-invalid: the TLS certificate is not/);
    expect(build({ ...tls, cert: 'text' })).toMatch(/^tls-invalid: the TLS certificate is not/);
    expect(build({ ...tls, key: tls.cert })).toMatch(/^tls-invalid: the TLS private key is not/);
    expect(build({ ...tls, key })).toMatch(
      /^tls-invalid: the TLS certificate and private key cannot be used together: .*mismatch/,
    );
    expect(build(tls)).toBe('fine');
  });
});

test.each([
  ['127.0.0.1', false, false],
  ['127.8.9.1', false, false],
  ['localhost', false, false],
  ['LOCALHOST', false, false],
  ['::1', false, false],
  ['[::1]', false, false],
  ['::ffff:127.0.0.1', false, false],
  ['0.0.0.0', false, true],
  ['::', false, true],
  ['192.0.2.1', false, true],
  ['127.example.com', false, true],
  ['0.0.0.0', true, false],
])('%s with TLS %s: passwords in the clear: %s', (host, withTls, expected) => {
  expect(isPlainBeyondLoopback({ host, tls: withTls })).toBe(expected);
});

test('a port that another has is refused with the settings that name it', async () => {
  const second = buildHttp({ log: createLog('silent') });
  await expect(listen(second, { host: '127.0.0.1', port })).rejects.toMatchObject({
    code: 'port-unusable',
    message: expect.stringMatching(`TCP 127.0.0.1:${port}: .*EADDRINUSE.* Set AIRCHECK_HOST and AIRCHECK_PORT`),
  });
  await second.close();
});

test('a server is loaded without what checks schemas for Fastify: its calls have their own', () => {
  const script = `
    const { buildHttp } = await import('./server.ts');
    buildHttp({ log: { child() {}, fatal() {}, error() {}, warn() {}, info() {}, debug() {}, trace() {} } });
    const { cache } = (await import('node:module')).createRequire(import.meta.filename);
    console.log(Object.keys(cache).join('\\n'));`;
  const loaded = String(
    execFileSync(process.execPath, ['--input-type=module', '-e', script], { cwd: import.meta.dirname }),
  );
  expect(loaded).toContain('/node_modules/fastify/');
  expect(loaded).not.toMatch(/node_modules\/(ajv|@fastify\/(ajv|fast-json-stringify)-compiler)\//);
});
