import { beforeEach, expect, test } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { APP, basic, makeApi, OTHER_APP } from '../../test/support/rest-api.ts';
import { problem } from '../contract/problems.ts';

const JPEG = Buffer.from([0xff, 0xd8, 1, 2, 3, 0xff, 0xd9]);
const TAKEN_MS = Date.UTC(2026, 4, 3, 2, 1, 0);
const PATH = `/v1/apps/${APP}/aircheck/channels/${encodeURIComponent('a room/#1')}/thumbnails/7`;
let asked: string[][];
let http: ReturnType<typeof makeApi>['http'];
beforeEach(() => {
  asked = [];
  http = serve({});
});
function serve(more: NonNullable<Parameters<typeof makeApi>[0]>['api']) {
  return makeApi({
    api: {
      thumbnails: {
        async of(...who) {
          asked.push(who);
          if (who[2] !== '7') throw problem('thumbnail-unknown');
          return { jpeg: JPEG, etag: '"one"', takenMs: TAKEN_MS };
        },
      },
      ...more,
    },
  }).http;
}
const get = (url = PATH, headers: Record<string, string> = { authorization: basic('id:se:cret') }) =>
  http.inject({ url, headers });

test('a thumbnail is a JPEG that nobody keeps, and no page of another origin shows', async () => {
  const reply = await get();
  expect([reply.statusCode, reply.rawPayload]).toEqual([200, JPEG]);
  expect(reply.headers).toMatchObject({
    'content-type': 'image/jpeg',
    etag: '"one"',
    'last-modified': 'Sun, 03 May 2026 02:01:00 GMT',
    'cache-control': 'private, no-store',
    'cross-origin-resource-policy': 'same-origin',
    'x-content-type-options': 'nosniff',
  });
  expect(reply.headers['content-security-policy']).toContain("default-src 'none'");
  expect(asked).toEqual([[APP, 'a room/#1', '7']]);
});

test.each([
  ['"one"', 304],
  ['W/"one", "two"', 304],
  ['*', 304],
  ['"two"', 200],
])('who knows %s is answered %i', async (tag, status) => {
  const reply = await get(PATH, { authorization: basic('id:se:cret'), 'if-none-match': tag });
  expect([reply.statusCode, reply.headers['etag'], reply.rawPayload.length > 0]).toEqual([
    status,
    '"one"',
    status === 200,
  ]);
});

test('of who has no picture there is none', async () => {
  const reply = await get(`${PATH}0`);
  expect([reply.statusCode, reply.json()]).toEqual([404, { code: 404, reason: 'there is no picture of this user' }]);
});

test('it is for those who may use the app', async () => {
  expect((await get(PATH, {})).statusCode).toBe(401);
  expect((await get(PATH, { authorization: basic('limited:x') })).json()).toEqual({ message: 'appid is invalid' });
  const own = PATH.replace(APP, OTHER_APP);
  expect((await get(own, { authorization: basic('limited:x') })).statusCode).toBe(200);
  expect(asked).toEqual([[OTHER_APP, 'a room/#1', '7']]);
});

test('a signed-in browser sees it', async () => {
  http = serve({ signedIn: async () => ({ id: 'somebody', secret: 's', apps: [APP] }) });
  expect((await get(PATH, { cookie: 'aircheck=x' })).statusCode).toBe(200);
});

test('many may be fetched without taking calls from the app, and not without end', async () => {
  http = serve({ rateLimit: { perS: 1, clock: new ManualClock() } });
  const replies = await Promise.all(Array.from({ length: 30 }, () => get()));
  const count = (status: number) => replies.filter(({ statusCode }) => statusCode === status).length;
  expect([count(200), count(429)]).toEqual([20, 10]);
  expect((await get(`/v1/apps/${APP}/aircheck/channels/room`)).statusCode).toBe(200);
});
