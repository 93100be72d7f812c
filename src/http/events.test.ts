import type { FastifyInstance, FastifyPluginAsync } from 'fastify';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { noticeOf } from '../../test/support/stored-recording.ts';
import { problem } from '../contract/problems.ts';
import { newSid } from '../kernel/ids.ts';
import { createLog } from '../observe/log.ts';
import type { EventFilter, StoredEvent } from '../store/outbox-tables.ts';
import { eventsRoutes } from './events.ts';
import { buildHttp } from './server.ts';

const APPID = 'a'.repeat(32);
const sid = newSid();
const notice = noticeOf(sid, 0);
const event: StoredEvent = {
  position: 17,
  sid,
  appid: APPID,
  state: 'dead',
  attempts: 4,
  firstTriedMs: 1_000,
  lastAttemptMs: 9_000,
  nextAttemptMs: undefined,
  deliveredMs: undefined,
  lastError: 'the receiver answered 500 instead of 200',
  notice,
};
let server: FastifyInstance;
let asked: [string, EventFilter][];

beforeEach(async () => {
  asked = [];
  server = buildHttp({ log: createLog('fatal') });
  const notifications = {
    async list(appid: string, filter: EventFilter) {
      asked.push([appid, filter]);
      return { events: [event], next: 17 };
    },
    async redeliver(_appid: string, noticeId: string) {
      if (noticeId === 'unknown') throw problem('event-unknown');
      if (noticeId === 'nowhere') throw problem('notifications-not-configured');
      return noticeId === 'good' ? { delivered: true as const } : { delivered: false as const, error: 'away' };
    },
  };
  const routes: FastifyPluginAsync = async (app) => eventsRoutes(app, { notifications });
  await server.register(routes, { prefix: '/v1/apps/:appid/aircheck' });
});
afterEach(() => server.close());

const get = (query: string) => server.inject(`/v1/apps/${APPID}/aircheck/events${query}`);
const redeliver = (noticeId: string) =>
  server.inject({ method: 'POST', url: `/v1/apps/${APPID}/aircheck/events/${noticeId}/redeliver` });

test('events are listed with how far their delivery is', async () => {
  const reply = await get('');
  expect(reply.statusCode).toBe(200);
  expect(reply.json()).toEqual({
    events: [{ position: 17, state: 'dead', attempts: 4, lastAttemptMs: 9_000, lastError: event.lastError, notice }],
    next: 17,
  });
  expect(asked).toEqual([[APPID, { after: 0, limit: 100 }]]);
});

test('the query says which', async () => {
  expect((await get(`?sid=${sid}&after=16&state=dead&limit=1000`)).statusCode).toBe(200);
  expect(asked).toEqual([[APPID, { sid, after: 16, state: 'dead', limit: 1_000 }]]);
});

test.each([
  ['?sid=abc', /sid must be 32 lowercase hexadecimal digits$/],
  ['?after=-1', /after must be a position/],
  ['?after=1.5', /after must be a position/],
  ['?after=1&after=2', /after must be a position/],
  ['?after=99999999999999999999', /after must be a position/],
  ['?state=lost', /state must be pending, delivered, dead, unwanted$/],
  ['?limit=0', /limit must be a whole number from 1 to 1000$/],
  ['?limit=1001', /limit must be a whole number from 1 to 1000$/],
  ['?limit=&sid=', /sid must be .*; limit must be /],
])('%s is refused', async (query, reason) => {
  const reply = await get(query);
  expect(reply.statusCode).toBe(400);
  expect(reply.json()).toMatchObject({ code: 2, reason: expect.stringMatching(reason) });
  expect(asked).toEqual([]);
});

test('sending again says whether it arrived', async () => {
  expect((await redeliver('good')).json()).toEqual({ delivered: true });
  const failed = await redeliver('bad');
  expect([failed.statusCode, failed.json()]).toEqual([200, { delivered: false, error: 'away' }]);
});

test.each([
  ['unknown', 404, 404],
  ['nowhere', 409, 2],
])('sending again what is %s is %i', async (noticeId, status, code) => {
  const reply = await redeliver(noticeId);
  expect([reply.statusCode, reply.json().code]).toEqual([status, code]);
});
