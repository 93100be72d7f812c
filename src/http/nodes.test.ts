import { pino } from 'pino';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { APP, basic } from '../../test/support/rest-api.ts';
import { nodesReplySchema } from '../contract/rest/nodes.ts';
import type { Node } from '../store/node-tables.ts';
import { drainRoutes } from './drain.ts';
import { nodesRoute } from './nodes.ts';
import { buildHttp } from './server.ts';

const NODE: Node = {
  ...{ id: 'n1', name: 'one', version: '0.1.0', wire: undefined, nodeUrl: undefined, publicUrl: 'https://one' },
  ...{ state: 'live', capacity: { cores: 2, bytes: 4 }, load: { cores: 0.5, bytes: 1 }, recordings: 1, publishers: 2 },
  ...{ calls: new Map([[APP, 3]]), seenMsAgo: 400 },
};
const customers = [
  { id: 'operator', secret: 's', apps: undefined },
  { id: 'limited', secret: 's', apps: [APP] },
];

const DISK = { bytes: 1, freeBytes: 2, sizeBytes: 3 };

let http: ReturnType<typeof buildHttp>;
let drained: boolean[];
beforeEach(() => {
  drained = [];
  http = buildHttp({ log: pino({ level: 'silent' }) });
  nodesRoute(http, { customers, self: 'n1', list: async () => [NODE], disk: () => DISK });
  drainRoutes(http, { customers, drain: async (draining) => void drained.push(draining) });
});
afterEach(() => http.close());

const ask = (method: 'GET' | 'POST', url: string, pair: string | undefined = 'operator:s') =>
  http.inject({ method, url, headers: pair === '' ? {} : { authorization: basic(pair) } });

test('nodes are listed with what they carry, and without what apps call', async () => {
  const reply = await ask('GET', '/v1/aircheck/nodes');
  const { calls: _, ...rest } = NODE;
  expect(reply.json()).toEqual({ self: 'n1', nodes: [{ ...rest, wire: null, nodeUrl: null }], disk: DISK });
  expect(nodesReplySchema.parse(reply.json()).nodes).toHaveLength(1);
});

test('a server is told to drain, and not to', async () => {
  expect((await ask('POST', '/v1/aircheck/drain')).json()).toEqual({ draining: true });
  expect((await ask('POST', '/v1/aircheck/undrain')).json()).toEqual({ draining: false });
  expect(drained).toEqual([true, false]);
});

test.each([
  ['GET', '/v1/aircheck/nodes'],
  ['POST', '/v1/aircheck/drain'],
  ['POST', '/v1/aircheck/undrain'],
] as const)('%s %s is for those who may use all apps', async (method, url) => {
  expect((await ask(method, url, '')).statusCode).toBe(401);
  expect((await ask(method, url, 'operator:wrong')).statusCode).toBe(401);
  const refused = await ask(method, url, 'limited:s');
  expect([refused.statusCode, refused.json()]).toEqual([
    403,
    { message: 'These credentials are not those of an operator' },
  ]);
  expect(drained).toEqual([]);
});
