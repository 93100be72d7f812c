import Fastify, { type FastifyInstance } from 'fastify';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { buildRtcToken } from '../channel/whip/token.ts';
import { systemClock } from '../kernel/clock.ts';
import { Fault } from '../kernel/fault.ts';
import { publishPageRoutes } from './publish-page.ts';
import { type WhipOptions, whipRoutes } from './whip.ts';

const OPEN = 'a'.repeat(32);
const LOCKED = 'b'.repeat(32);
const CERTIFICATE = 'c'.repeat(32);
const SDP = { 'content-type': 'application/sdp' };
const FRAGMENT = { 'content-type': 'application/trickle-ice-sdpfrag' };
const OFFER = 'v=0\r\n';

type Calls = { publish: object[]; trickle: unknown[][]; leave: string[] };
let calls: Calls;
let fault: Fault | undefined;
let server: FastifyInstance;

beforeEach(async () => {
  calls = { publish: [], trickle: [], leave: [] };
  fault = undefined;
  const endpoint: WhipOptions['endpoint'] = {
    async publish(request) {
      calls.publish.push(request);
      if (fault) throw fault;
      return { sessionId: 'session1', answer: 'v=0\r\nanswer', etag: '"e1"' };
    },
    trickle(...given) {
      calls.trickle.push(given);
      if (fault) throw fault;
    },
    leave(sessionId) {
      calls.leave.push(sessionId);
      if (fault) throw fault;
    },
    isSentAway(sessionId) {
      if (fault) throw fault;
      return sessionId === 'session1';
    },
  };
  const apps: WhipOptions['apps'] = {
    find(appid) {
      if (appid === OPEN) return { appid, certificate: undefined };
      return appid === LOCKED ? { appid, certificate: CERTIFICATE } : undefined;
    },
  };
  server = Fastify();
  await server.register(whipRoutes, { endpoint, apps, clock: systemClock });
  await server.register(publishPageRoutes);
});
afterEach(() => server.close());

const post = (path: string, headers: Record<string, string> = SDP, payload: string | undefined = OFFER) =>
  server.inject({ method: 'POST', url: path, headers, ...(payload === undefined ? {} : { payload }) });

describe('publishing', () => {
  test('gives 201 with the answer, where the session is, and its ETag', async () => {
    const reply = await post(`/whip/${OPEN}/my%20room%23?uid=4294967295`);
    expect(reply.statusCode).toBe(201);
    expect(reply.headers['content-type']).toMatch(/^application\/sdp/);
    expect(reply.headers['location']).toBe('/whip/sessions/session1');
    expect(reply.headers['etag']).toBe('"e1"');
    expect(reply.headers['access-control-allow-origin']).toBe('*');
    expect(reply.headers['access-control-expose-headers']).toMatch(/Location, ETag, Link/);
    expect(reply.body).toBe('v=0\r\nanswer');
    expect(calls.publish).toEqual([{ appid: OPEN, cname: 'my room#', uid: '4294967295', offer: OFFER }]);
  });

  test.each([
    [404, 'app-unknown', `/whip/${'d'.repeat(32)}/room?uid=1`, SDP],
    [400, 'cname-invalid', `/whip/${OPEN}/r%2Foom?uid=1`, SDP],
    [400, 'cname-invalid', `/whip/${OPEN}/${'r'.repeat(64)}?uid=1`, SDP],
    [400, 'cname-invalid', `/whip/${OPEN}/r%C3%A4ume?uid=1`, SDP],
    [400, 'uid-invalid', `/whip/${OPEN}/room`, SDP],
    [400, 'uid-invalid', `/whip/${OPEN}/room?uid=0`, SDP],
    [400, 'uid-invalid', `/whip/${OPEN}/room?uid=4294967296`, SDP],
    [400, 'uid-invalid', `/whip/${OPEN}/room?uid=1&uid=2`, SDP],
    [400, 'uid-invalid', `/whip/${OPEN}/room?uid=ann`, SDP],
    [415, 'content-type-unsupported', `/whip/${OPEN}/room?uid=1`, { 'content-type': 'application/json' }],
    [415, 'content-type-unsupported', `/whip/${OPEN}/room?uid=1`, {}],
    [401, 'token-refused', `/whip/${LOCKED}/room?uid=1`, SDP],
    [401, 'token-refused', `/whip/${LOCKED}/room?uid=1`, { ...SDP, authorization: 'Bearer 007nonsense' }],
  ] as [number, string, string, Record<string, string>][])('%i %s: %s', async (status, code, path, headers) => {
    const reply = await post(path, headers);
    expect(reply.statusCode).toBe(status);
    expect(reply.headers['content-type']).toMatch(/^application\/problem\+json/);
    const problem = reply.json();
    expect(problem).toMatchObject({ type: 'about:blank', status, code });
    expect(problem.detail).toMatch(/^[A-Z].*\.$/s);
    expect(calls.publish).toEqual([]);
    if (status === 401) expect(reply.headers['www-authenticate']).toMatch(/^Bearer /);
  });

  test.each([
    ['sdp-invalid', 400],
    ['offer-unacceptable', 422],
    ['uid-taken', 409],
    ['channel-closed', 503],
    ['channel-full', 403],
    ['app-full', 403],
    ['server-full', 503],
    ['rtc-port-unavailable', 503],
    ['ice-gathering-timeout', 503],
  ])('what the channel refuses as %s is %i', async (code, status) => {
    fault = new Fault(code, 'because', { blame: 'caller' });
    const reply = await post(`/whip/${OPEN}/room?uid=1`);
    expect([reply.statusCode, reply.json().detail]).toEqual([status, 'Because.']);
  });

  test('a fault of our own tells nothing of our insides', async () => {
    fault = new Fault('answer-incomplete', 'secret matters', { blame: 'self' });
    const reply = await post(`/whip/${OPEN}/room?uid=1`);
    expect(reply.statusCode).toBe(500);
    expect(reply.body).not.toContain('secret');
  });

  test('a token lets in the uid and channel it was made for', async () => {
    const token = buildRtcToken({ appId: LOCKED, certificate: CERTIFICATE, cname: 'room', uid: '7', lifeS: 60 });
    const headers = { ...SDP, authorization: `Bearer ${token}` };
    expect((await post(`/whip/${LOCKED}/room?uid=7`, headers)).statusCode).toBe(201);
    const other = await post(`/whip/${LOCKED}/room?uid=8`, headers);
    expect(other.statusCode).toBe(401);
    expect(other.json().detail).toBe('The token is for uid 7, not for 8.');
    expect((await post(`/whip/${LOCKED}/hall?uid=7`, headers)).json().detail).toMatch(/channel "room"/);
  });

  test('an offer over 256 kB is too large', async () => {
    const reply = await post(`/whip/${OPEN}/room?uid=1`, SDP, 'v'.repeat(257 * 1024));
    expect(reply.statusCode).toBe(413);
    expect(reply.headers['content-type']).toMatch(/problem/);
  });
});

describe('a session', () => {
  const session = '/whip/sessions/session1';

  test('is ended by DELETE', async () => {
    const reply = await server.inject({ method: 'DELETE', url: session });
    expect(reply.statusCode).toBe(200);
    expect(calls.leave).toEqual(['session1']);
    fault = new Fault('session-unknown', 'gone', { blame: 'caller' });
    expect((await server.inject({ method: 'DELETE', url: session })).statusCode).toBe(404);
  });

  test('takes candidates by PATCH', async () => {
    const reply = await server.inject({
      method: 'PATCH',
      url: session,
      headers: { ...FRAGMENT, 'if-match': '"e1"' },
      payload: 'a=candidate:x',
    });
    expect(reply.statusCode).toBe(204);
    expect(calls.trickle).toEqual([['session1', '"e1"', 'a=candidate:x']]);
  });

  test.each([
    ['etag-missing', 428],
    ['etag-mismatch', 412],
    ['ice-restart-unsupported', 422],
    ['sdp-invalid', 400],
    ['session-unknown', 404],
  ])('%s is %i', async (code, status) => {
    fault = new Fault(code, 'because', { blame: 'caller' });
    const reply = await server.inject({ method: 'PATCH', url: session, headers: FRAGMENT, payload: 'a=x' });
    expect(reply.statusCode).toBe(status);
  });

  test('a PATCH of another type is 415', async () => {
    const reply = await server.inject({ method: 'PATCH', url: session, headers: SDP, payload: 'a=x' });
    expect(reply.statusCode).toBe(415);
    expect(calls.trickle).toEqual([]);
  });

  test.each(['GET', 'HEAD', 'PUT', 'POST'] as const)('%s is 405', async (method) => {
    const reply = await server.inject({ method, url: session });
    expect([reply.statusCode, reply.headers['allow']]).toEqual([405, 'OPTIONS, DELETE, PATCH']);
  });
});

test('a publisher learns that its session is to move, and that there is no such session', async () => {
  const ask = (id: string) => server.inject({ url: `/whip/sessions/${id}/stays` });
  const reply = await ask('session1');
  expect([reply.json(), reply.headers['access-control-allow-origin']]).toEqual([{ stays: false }, '*']);
  expect((await ask('session2')).json()).toEqual({ stays: true });
  fault = new Fault('session-unknown', 'because', { blame: 'caller' });
  expect((await ask('session1')).statusCode).toBe(404);
});

test.each(['GET', 'HEAD', 'PUT', 'DELETE'] as const)('%s on the endpoint is 405', async (method) => {
  const reply = await server.inject({ method, url: `/whip/${OPEN}/room` });
  expect([reply.statusCode, reply.headers['allow']]).toEqual([405, 'OPTIONS, POST']);
});

test('pages of other origins may ask, and learn what is taken', async () => {
  const reply = await server.inject({
    method: 'OPTIONS',
    url: `/whip/${OPEN}/room?uid=1`,
    headers: { origin: 'https://example.com', 'access-control-request-method': 'POST' },
  });
  expect(reply.statusCode).toBe(204);
  expect(reply.headers['access-control-allow-origin']).toBe('*');
  expect(reply.headers['access-control-allow-methods']).toContain('POST');
  expect(reply.headers['access-control-allow-headers']).toMatch(/Authorization, Content-Type, If-Match/);
  expect(reply.headers['accept-post']).toBe('application/sdp');
  const session = await server.inject({ method: 'OPTIONS', url: '/whip/sessions/session1' });
  expect(session.headers['access-control-allow-methods']).toBe('OPTIONS, DELETE, PATCH');
});

test('the publish page and all it names are served', async () => {
  const page = await server.inject('/publish');
  expect(page.statusCode).toBe(200);
  const named = [...page.body.matchAll(/(?:src|href)="(publish\/[^"]+)"/g)].map((m) => m[1]!);
  const script = await server.inject('/publish/publish.js');
  const imported = [...script.body.matchAll(/from '\.\/([^']+)'/g)].map((m) => `publish/${m[1]}`);
  expect(named.length + imported.length).toBe(4);
  for (const path of [...named, ...imported, 'publish/ticker.js'])
    expect((await server.inject(`/${path}`)).statusCode, path).toBe(200);
});
