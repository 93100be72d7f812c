import type { FastifyInstance, FastifyPluginAsync } from 'fastify';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { RecordingListQuery } from '../contract/rest/recording-list.ts';
import { createLog } from '../observe/log.ts';
import { recordingListRoute } from './recording-list.ts';
import { buildHttp } from './server.ts';

const APPID = 'a'.repeat(32);
let server: FastifyInstance;
let asked: [string, RecordingListQuery][];

beforeEach(async () => {
  asked = [];
  server = buildHttp({ log: createLog('fatal') });
  const list = {
    async page(appid: string, query: RecordingListQuery) {
      asked.push([appid, query]);
      return { recordings: [], next: null };
    },
    of: async () => [],
  };
  const routes: FastifyPluginAsync = async (app) => recordingListRoute(app, { list });
  await server.register(routes, { prefix: '/v1/apps/:appid/aircheck' });
});
afterEach(() => server.close());

const get = (query: string) => server.inject(`/v1/apps/${APPID}/aircheck/recordings${query}`);

test('a page of the newest is what one gets without asking for more', async () => {
  const reply = await get('');
  expect([reply.statusCode, reply.json()]).toEqual([200, { recordings: [], next: null }]);
  expect(asked).toEqual([[APPID, { limit: 50 }]]);
});

test('the query says which', async () => {
  const query = `?mode=mix&state=running&cname=a%20b&search=%25&from=1&until=2&before=17.${'b'.repeat(32)}&limit=200`;
  expect((await get(query)).statusCode).toBe(200);
  const before = `17.${'b'.repeat(32)}`;
  expect(asked).toEqual([
    [APPID, { mode: 'mix', state: 'running', cname: 'a b', search: '%', from: 1, until: 2, before, limit: 200 }],
  ]);
});

test.each([
  ['?mode=tape', /mode must be individual, mix, web$/],
  ['?state=lost', /state must be running, uploading, ended, failed$/],
  ['?cname=', /cname must be a channel name$/],
  ['?cname=a&cname=b', /cname must be/],
  [`?search=${'a'.repeat(201)}`, /search must be a text of 1 to 200 characters$/],
  ['?search=%00', /search must be/],
  ['?from=yesterday', /from must be a moment in Unix milliseconds$/],
  ['?until=-1', /until must be a moment/],
  ['?before=1', /before must be a position/],
  ['?before=1.xyz', /before must be a position/],
  ['?limit=0&mode=', /mode must be .*; limit must be a whole number from 1 to 200$/],
])('%s is refused', async (query, reason) => {
  const reply = await get(query);
  expect(reply.statusCode).toBe(400);
  expect(reply.json()).toMatchObject({ code: 2, reason: expect.stringMatching(reason) });
  expect(asked).toEqual([]);
});
