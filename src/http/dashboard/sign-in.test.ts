import type { FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { APP, makeApi, OTHER_APP } from '../../../test/support/rest-api.ts';
import { openTestDatabase } from '../../../test/support/test-database.ts';
import type { Database } from '../../store/database.ts';
import { SessionTables } from '../../store/session-tables.ts';
import type { CustomerAccount } from '../auth.ts';
import { buildHttp } from '../server.ts';
import { WindowCounts } from '../window-counts.ts';
import { Sessions } from './sessions.ts';
import { signInRoutes } from './sign-in.ts';

const OURS = { 'x-aircheck-dashboard': '1' };
const SESSION = '/v1/aircheck/session';
const CUSTOMERS: CustomerAccount[] = [
  { id: 'id', secret: 'se:cret', apps: undefined },
  { id: 'limited', secret: 'x', apps: [OTHER_APP] },
];
let database: Database;
let http: FastifyInstance;
beforeAll(async () => {
  database = await openTestDatabase();
}, 180_000);
afterAll(() => database?.close());
beforeEach(() => {
  http = serverOf(CUSTOMERS);
});

/** A server with these customers on the database of all tests: another node, or the same one later. */
function serverOf(customers: CustomerAccount[]): FastifyInstance {
  const sessions = new Sessions({ tables: new SessionTables(database), customers });
  const api = makeApi({ api: { customers, signedIn: (request) => sessions.customerOf(request) } });
  const counts = new WindowCounts(new ManualClock());
  signInRoutes(api.http, { sessions, customers, appids: () => [APP, OTHER_APP], version: '1', counts });
  return api.http;
}

const signIn = (id = 'id', secret = 'se:cret', headers: Record<string, string> = {}) =>
  http.inject({
    ...{ method: 'POST', url: SESSION, headers: { ...OURS, ...headers } },
    payload: { customerId: id, customerSecret: secret },
  });
async function cookieOf(id?: string, secret?: string): Promise<string> {
  const reply = await signIn(id, secret);
  expect(reply.statusCode).toBe(200);
  return String(reply.headers['set-cookie']).split(';')[0] ?? '';
}
const list = (cookie: string, appid = APP, server = http) =>
  server.inject({ url: `/v1/apps/${appid}/aircheck/recordings`, headers: { cookie } });
const acquire = (cookie: string, headers: Record<string, string>) =>
  http.inject({
    ...{ method: 'POST', url: `/v1/apps/${APP}/cloud_recording/acquire`, headers: { cookie, ...headers } },
    payload: { cname: 'ch1', uid: '1', clientRequest: {} },
  });

test('a sign-in tells who is in, and gives a cookie that no script reads and no other site sends', async () => {
  const reply = await signIn();
  expect(reply.json()).toEqual({ customer: 'id', apps: [APP, OTHER_APP], operator: true, version: '1' });
  expect(reply.headers['set-cookie']).toMatch(/^aircheck=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict$/);
  expect(reply.headers['cache-control']).toBe('no-store');
});

test('under TLS the cookie is sent over nothing else', async () => {
  const reply = await signIn('id', 'se:cret', { 'x-forwarded-proto': 'https' });
  expect(reply.headers['set-cookie']).toMatch(
    /^__Host-aircheck=[\w-]{43}; Path=\/; HttpOnly; SameSite=Strict; Secure$/,
  );
});

test('the database holds nothing that lets anybody in', async () => {
  const cookie = await cookieOf();
  const rows = JSON.stringify(await database.query('select * from sessions'));
  expect(rows).toContain('token_hash');
  expect(rows).not.toContain(cookie.split('=')[1]);
  expect(rows).not.toContain('se:cret');
});

test('a wrong secret is refused, without a browser asking over the page', async () => {
  const reply = await signIn('id', 'wrong');
  expect([reply.statusCode, reply.headers['www-authenticate'], reply.headers['set-cookie']]).toEqual([
    401,
    undefined,
    undefined,
  ]);
  expect((await signIn('id', '')).statusCode).toBe(400);
});

test('attempts are few, for one customer as for one address', async () => {
  for (let n = 0; n < 10; n++) expect((await signIn('guess', `${n}`)).statusCode).toBe(401);
  expect((await signIn('guess', 'more')).statusCode).toBe(429);
  expect((await signIn()).statusCode).toBe(200);
  for (let n = 0; n < 90; n++) await signIn(`other ${n}`, 'x');
  expect((await signIn()).statusCode).toBe(429);
});

test('whoever is signed in reads, and calls from the dashboard itself', async () => {
  const cookie = await cookieOf();
  expect((await list(cookie)).json()).toEqual({ recordings: [], next: null });
  expect((await acquire(cookie, OURS)).statusCode).toBe(200);
  expect((await acquire(cookie, { ...OURS, 'sec-fetch-site': 'same-origin' })).statusCode).toBe(200);
});

test.each([
  ['without the header that other origins cannot send', {}],
  ['of another site', { ...OURS, 'sec-fetch-site': 'cross-site' }],
  ['of another host of the same site', { ...OURS, 'sec-fetch-site': 'same-site' }],
])('a call %s changes nothing', async (_what, headers) => {
  const reply = await acquire(await cookieOf(), headers as Record<string, string>);
  expect([reply.statusCode, reply.json()]).toEqual([401, { message: 'Sign in first' }]);
  expect(reply.headers['www-authenticate']).toBeUndefined();
});

test('nobody can be signed in, or out, by another site', async () => {
  const from = { 'sec-fetch-site': 'cross-site' };
  expect((await signIn('id', 'se:cret', from)).statusCode).toBe(401);
  const cookie = await cookieOf();
  expect(
    (await http.inject({ method: 'DELETE', url: SESSION, headers: { ...OURS, ...from, cookie } })).statusCode,
  ).toBe(401);
  expect((await list(cookie)).statusCode).toBe(200);
});

test('a customer sees the apps it may use, and no others', async () => {
  const reply = await signIn('limited', 'x');
  expect(reply.json()).toEqual({ customer: 'limited', apps: [OTHER_APP], operator: false, version: '1' });
  const cookie = String(reply.headers['set-cookie']).split(';')[0] ?? '';
  expect((await list(cookie, OTHER_APP)).statusCode).toBe(200);
  expect((await list(cookie)).json()).toEqual({ message: 'appid is invalid' });
});

test('a session is over when it is ended, here and at other nodes', async () => {
  const cookie = await cookieOf();
  const other = serverOf(CUSTOMERS);
  expect((await list(cookie, APP, other)).statusCode).toBe(200);
  const out = await http.inject({ method: 'DELETE', url: SESSION, headers: { ...OURS, cookie } });
  expect([out.statusCode, out.headers['set-cookie']]).toEqual([200, expect.stringMatching(/^aircheck=;.*Max-Age=0$/)]);
  expect((await list(cookie, APP, other)).statusCode).toBe(401);
  expect((await list(cookie)).statusCode).toBe(401);
});

test('a session is over after its time, when the secret is another, and when the customer is gone', async () => {
  const cookie = await cookieOf();
  expect((await list(cookie, APP, serverOf([{ id: 'id', secret: 'new', apps: undefined }]))).statusCode).toBe(401);
  expect((await list(cookie, APP, serverOf([]))).statusCode).toBe(401);
  expect((await list(cookie)).statusCode).toBe(200);
  await database.query(`update sessions set expires_at = now() - interval '1 second'`);
  expect((await list(cookie)).json()).toEqual({ message: 'Sign in first' });
});

test('a new sign-in ends what the browser had before', async () => {
  const cookie = await cookieOf();
  const reply = await signIn('id', 'se:cret', { cookie });
  expect(reply.headers['set-cookie']).not.toContain(cookie);
  expect((await list(cookie)).statusCode).toBe(401);
});

test('a made-up cookie lets nobody in, and a client without one is asked for credentials', async () => {
  expect((await list(`aircheck=${'A'.repeat(43)}`)).json()).toEqual({ message: 'Sign in first' });
  const bare = await list('');
  expect([bare.statusCode, bare.headers['www-authenticate']]).toEqual([401, 'Basic realm="aircheck"']);
  expect((await http.inject(SESSION)).json()).toEqual({ message: 'Sign in first' });
});

test('a server without a dashboard takes no cookies', async () => {
  const cookie = await cookieOf();
  expect((await list(cookie, APP, makeApi().http)).json()).toEqual({ message: 'Unauthorized' });
  expect(buildHttp({ log: pino({ level: 'silent' }) })).toBeDefined();
});
