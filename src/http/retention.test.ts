import { afterEach, beforeEach, expect, test } from 'vitest';
import { APP, basic, buildApi, closeApi, listenApi, OTHER_APP, start, world } from '../../test/support/rest-api.ts';
import type { RetentionApi } from './retention.ts';

const SID = 'c'.repeat(32);
let asked: unknown[];
let origin: string;
const noted =
  (what: string) =>
  async (...more: unknown[]) => {
    asked.push([what, ...more]);
    return {} as never;
  };
const retention: RetentionApi = {
  ...{ of: noted('of'), set: noted('set'), deleteNow: noted('deleteNow'), hold: noted('hold') },
  release: noted('release'),
};
beforeEach(async () => {
  asked = [];
  buildApi({ api: { retention } });
  origin = await listenApi();
});
afterEach(() => closeApi());

async function ask(method: string, what: string, body?: unknown, { app = APP, who = 'id:se:cret', sid = SID } = {}) {
  const reply = await fetch(`${origin}/v1/apps/${app}/aircheck/recordings/${sid}/${what}`, {
    method,
    headers: { authorization: basic(who), ...(body !== undefined && { 'content-type': 'application/json' }) },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  return { status: reply.status, text: await reply.text() };
}
const OPERATOR = { id: 'id', isOperator: true };

test('each call asks for what it says, and tells who asks', async () => {
  expect((await ask('GET', 'retention')).status).toBe(200);
  expect((await ask('PUT', 'retention', { days: 3 })).status).toBe(200);
  expect((await ask('PUT', 'legal-hold', { reason: ' case 7 ' })).status).toBe(200);
  expect((await ask('PUT', 'legal-hold')).status).toBe(200);
  expect((await ask('DELETE', 'legal-hold')).status).toBe(200);
  expect((await ask('POST', 'deletion')).status).toBe(202);
  expect((await ask('PUT', 'legal-hold', {}, { app: OTHER_APP, who: 'limited:x' })).status).toBe(200);
  expect(asked).toEqual([
    ['of', APP, SID],
    ['set', APP, SID, { days: 3 }, OPERATOR],
    ['hold', APP, SID, { reason: 'case 7' }, OPERATOR],
    ['hold', APP, SID, {}, OPERATOR],
    ['release', APP, SID, OPERATOR],
    ['deleteNow', APP, SID, {}, OPERATOR],
    ['hold', OTHER_APP, SID, {}, { id: 'limited', isOperator: false }],
  ]);
});

test.each([
  ['no days', 'retention', {}],
  ['days that are none', 'retention', { days: 1.5 }],
  ['days below none', 'retention', { days: -1 }],
  ['more than a hundred years', 'retention', { days: 36_501 }],
  ['half of the keys', 'retention', { days: 3, keys: { accessKey: 'a' } }],
  ['a reason that is a book', 'legal-hold', { reason: 'x'.repeat(501) }],
])('%s is refused', async (_what, what, body) => {
  expect(await ask('PUT', what, body)).toMatchObject({ status: 400, text: expect.stringContaining('"code":2') });
  expect(asked).toEqual([]);
});

test('nobody asks for what is not theirs, nor for what is no recording', async () => {
  expect((await ask('POST', 'deletion', {}, { who: 'limited:x' })).status).toBe(400);
  expect((await ask('POST', 'deletion', {}, { who: 'id:wrong' })).status).toBe(401);
  expect((await ask('POST', 'deletion', {}, { sid: 'x' })).status).toBe(404);
  expect(asked).toEqual([]);
});

test.each([
  ['its app', {}, { days: 90, rule: 'app' }],
  ['itself', { aircheck: { retentionDays: 7 } }, { days: 7, rule: 'recording' }],
  ['itself, for ever', { aircheck: { retentionDays: 0 } }, { days: 0, rule: 'recording' }],
])('a recording is kept as is said by %s', async (_who, members, retention) => {
  await closeApi();
  buildApi({ recordings: { retentionDaysOf: (appid) => (appid === APP ? 90 : 0) } });
  await start(members);
  const [stored] = [...world.store.tasks.values()];
  expect(stored?.task.document.retention).toEqual(retention);
});
