import { afterEach, beforeEach, expect, test } from 'vitest';
import { APP, basic, buildApi, closeApi, listenApi } from '../../test/support/rest-api.ts';
import type { RemovalReply } from '../contract/rest/removal.ts';
import type { RemovalsApi } from './removals.ts';

const SID = 'c'.repeat(32);
let asked: unknown[];
let origin: string;
let state: RemovalReply['state'];
const noted =
  (what: string) =>
  async (...more: unknown[]) => {
    asked.push([what, ...more]);
    return { state } as never;
  };
const removals: RemovalsApi = { list: noted('list'), preview: noted('preview'), order: noted('order') };
beforeEach(async () => {
  asked = [];
  state = 'removing';
  buildApi({ api: { removals } });
  origin = await listenApi();
});
afterEach(() => closeApi());

async function ask(method: string, what: string, body?: unknown, { who = 'id:se:cret', sid = SID } = {}) {
  const reply = await fetch(`${origin}/v1/apps/${APP}/aircheck/recordings/${sid}/removals${what}`, {
    method,
    headers: { authorization: basic(who), ...(body !== undefined && { 'content-type': 'application/json' }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  return { status: reply.status, text: await reply.text() };
}

test('each call asks for what it says, and tells who asks', async () => {
  const keys = { accessKey: 'a', secretKey: 'b' };
  expect((await ask('GET', '')).status).toBe(200);
  expect((await ask('GET', '/preview?uid=42')).status).toBe(200);
  expect((await ask('POST', '', { uid: '42', keys })).status).toBe(202);
  state = 'removed';
  expect((await ask('POST', '', { uid: '42' })).status).toBe(200);
  expect(asked).toEqual([
    ['list', APP, SID],
    ['preview', APP, SID, '42'],
    ['order', APP, SID, { uid: '42', keys }, 'id'],
    ['order', APP, SID, { uid: '42' }, 'id'],
  ]);
});

test.each([
  ['no uid', 'POST', '', {}],
  ['a uid that is a number', 'POST', '', { uid: 42 }],
  ['the uid of nobody', 'POST', '', { uid: '0' }],
  ['half of the keys', 'POST', '', { uid: '42', keys: { accessKey: 'a' } }],
  ['a preview of nobody', 'GET', '/preview', undefined],
  ['a preview of two', 'GET', '/preview?uid=1&uid=2', undefined],
])('%s is refused', async (_what, method, path, body) => {
  expect(await ask(method, path, body)).toMatchObject({ status: 400, text: expect.stringContaining('"code":2') });
  expect(asked).toEqual([]);
});

test('nobody asks for what is not theirs, nor for what is no recording', async () => {
  expect((await ask('POST', '', { uid: '42' }, { who: 'limited:x' })).status).toBe(400);
  expect((await ask('POST', '', { uid: '42' }, { who: 'id:wrong' })).status).toBe(401);
  expect((await ask('GET', '', undefined, { sid: 'x' })).status).toBe(404);
  expect(asked).toEqual([]);
});
