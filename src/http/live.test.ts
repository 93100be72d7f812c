/** Watching over HTTP: tokens, what players ask for, and pages of other origins. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { APP, basic, buildApi, closeApi, listenApi } from '../../test/support/rest-api.ts';
import { problem } from '../contract/problems.ts';
import type { LiveWish, WatchReply } from '../contract/rest/watch.ts';
import { WatchTokens } from './watch-tokens.ts';

const SID = 'a'.repeat(32);
const RECORDING = `/v1/apps/${APP}/aircheck/recordings/${SID}`;
const BYTES = Buffer.from('0123456789');
let dir: string;
let origin: string;
let clock: ManualClock;
let wishes: [LiveWish, string][];
let files: unknown[][];
let text: string;
let users: { uid: string; kinds: ('audio' | 'video')[] }[] | undefined;
const origins: string[] = [];

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-live-'));
  const path = join(dir, 'x.ts');
  writeFileSync(path, BYTES);
  [wishes, files, users, clock] = [[], [], undefined, new ManualClock()];
  text = '#EXTM3U\n#EXTINF:3,\nlive/all/0.ts\n';
  origins.splice(0);
  const known = (sid: string) => {
    if (sid !== SID) throw problem('recording-unknown');
  };
  buildApi({
    api: {
      live: {
        tokens: new WatchTokens({ keys: ['1'.repeat(64)], clock, lifeS: 600 }),
        origins,
        recordings: {
          users: async (_appid, sid) => {
            known(sid);
            return users;
          },
          playlist: async (_appid, _sid, wish, query) => {
            wishes.push([wish, query]);
            return text;
          },
          file: async (_appid, _sid, ...given) => {
            files.push(given);
            return { path, from: 2, to: 6 };
          },
        },
      },
    },
  });
  origin = await listenApi();
});
afterEach(async () => {
  await closeApi();
  rmSync(dir, { recursive: true, force: true });
});

const ask = (path: string, headers: Record<string, string> = {}) => fetch(origin + path, { headers });
async function watch(body?: unknown, sid = SID) {
  const answer = await fetch(`${origin}${RECORDING.replace(SID, sid)}/watch`, {
    method: 'POST',
    headers: { authorization: basic('id:se:cret') },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });
  return { status: answer.status, body: (await answer.json()) as WatchReply };
}

test('a customer is given an address that anybody can play, for a while', async () => {
  const { status, body } = await watch();
  expect(status).toBe(200);
  const url = `${RECORDING}/live.m3u8?token=${body.token}`;
  expect(body).toEqual({ sid: SID, token: body.token, expiresMs: clock.nowMs() + 600_000, url, users: [] });
  const answer = await ask(body.url!);
  expect([answer.status, await answer.text()]).toEqual([200, text]);
  expect(answer.headers.get('content-type')).toBe('application/vnd.apple.mpegurl');
  expect(answer.headers.get('cache-control')).toBe('private, no-store');
  expect(wishes).toEqual([[{ skips: false }, `token=${body.token}`]]);
  clock.advance(600_000);
  const late = await ask(body.url!);
  expect([late.status, await late.json()]).toEqual([
    401,
    { message: 'This address is good no longer: ask for another one' },
  ]);
});

test('a customer says how long, within limits', async () => {
  expect((await watch({ seconds: 60 })).body.expiresMs).toBe(clock.nowMs() + 60_000);
  for (const seconds of [9, 86_401, 1.5, '60']) expect((await watch({ seconds })).status).toBe(400);
});

test('users who are recorded alone have an address each', async () => {
  users = [{ uid: '7', kinds: ['audio', 'video'] }];
  const { body } = await watch();
  expect(body.url).toBeNull();
  expect(body.users).toEqual([
    { uid: '7', kinds: ['audio', 'video'], url: `${RECORDING}/live.m3u8?token=${body.token}&uid=7` },
  ]);
  await ask(`${body.users[0]!.url}&kind=audio`);
  expect(wishes).toEqual([[{ uid: '7', kind: 'audio', skips: false }, `token=${body.token}&uid=7`]]);
});

test('only customers are given addresses, and only of their recordings', async () => {
  expect((await fetch(`${origin}${RECORDING}/watch`, { method: 'POST' })).status).toBe(401);
  expect((await watch(undefined, 'b'.repeat(32))).status).toBe(404);
});

test('credentials are no token, and a token is no credentials', async () => {
  const { body } = await watch();
  const authorization = basic('id:se:cret');
  expect((await ask(`${RECORDING}/live.m3u8`, { authorization })).status).toBe(401);
  expect((await ask(`${RECORDING}?token=${body.token}`)).status).toBe(401);
  const other = RECORDING.replace(SID, 'b'.repeat(32));
  const answer = await ask(`${other}/live.m3u8?token=${body.token}`);
  expect([answer.status, await answer.json()]).toEqual([401, { message: 'This address does not open the recording' }]);
  expect((await ask(`${RECORDING}/live/all/0.ts?token=${body.token}x`)).status).toBe(401);
  expect([wishes, files]).toEqual([[], []]);
});

test('directives of a player are understood, and nonsense is refused', async () => {
  const { body } = await watch();
  await ask(`${body.url}&_HLS_msn=3&_HLS_part=4&_HLS_skip=YES&_HLS_other=1`);
  expect(wishes[0]![0]).toEqual({ segment: 3, part: 4, skips: true });
  for (const wrong of ['_HLS_part=1', '_HLS_msn=-1', '_HLS_msn=x', '_HLS_msn=1&_HLS_msn=2', 'uid=0', 'kind=x']) {
    const answer = await ask(`${body.url}&${wrong}`);
    expect([answer.status, await answer.json()]).toEqual([400, { code: 2, reason: expect.stringMatching(/^watch: /) }]);
  }
});

describe('a recording that has only just begun', () => {
  const firstOf = async (url: string) => fetch(origin + url, { redirect: 'manual' });
  test('sends a player to the same address until a segment is whole, for a while', async () => {
    text = '#EXTM3U\n#EXT-X-PART:DURATION=0.6,URI="live/all/0.0.ts"\n';
    const { body } = await watch();
    const url = `${body.url}&uid=7&kind=video`;
    let [asked, answer] = [url, await firstOf(url)];
    for (; answer.status === 307; answer = await firstOf(asked))
      asked = new URL(answer.headers.get('location')!, origin + asked).href.slice(origin.length);
    expect([answer.status, await answer.text()]).toEqual([200, text]);
    expect(wishes.map(([wish]) => wish)).toEqual(Array(3).fill({ uid: '7', kind: 'video', skips: false }));
    expect(new Set(wishes.map(([, query]) => query)).size).toBe(1);
    // Whoever waits for a part is answered with what there is.
    expect((await firstOf(`${url}&_HLS_msn=0&_HLS_part=1`)).status).toBe(200);
  });
  test('of a single user names both streams at once', async () => {
    text = '#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1000\nv\n';
    expect((await firstOf((await watch()).body.url!)).status).toBe(200);
  });
});

describe('segments and parts', () => {
  test('are handed over whole, or a span of them', async () => {
    const { body } = await watch();
    const slice = await ask(`${RECORDING}/live/all/12.ts?token=${body.token}`);
    expect([slice.status, await slice.text()]).toEqual([200, '2345']);
    expect(slice.headers.get('content-type')).toBe('video/mp2t');
    const span = await ask(`${RECORDING}/live/video-7/12.3.ts?token=${body.token}`, { range: 'bytes=1-2' });
    expect([span.status, await span.text(), span.headers.get('content-range')]).toEqual([206, '34', 'bytes 1-2/4']);
    expect(files).toEqual([
      ['all', 12, undefined],
      ['video-7', 12, 3],
    ]);
  });
  test('have names of a form', async () => {
    const { body } = await watch();
    for (const name of ['x.ts', '1', '1.2.3.ts', '-1.ts', '1.m4s', '9999999999.ts', '..%2f1.ts'])
      expect((await ask(`${RECORDING}/live/all/${name}?token=${body.token}`)).status, name).toBe(404);
    expect(files).toEqual([]);
  });
});

describe('pages of other origins', () => {
  const allowed = async (from?: string) => {
    const { body } = await watch();
    const { headers } = await ask(body.url!, from === undefined ? {} : { origin: from });
    return [headers.get('access-control-allow-origin'), headers.get('vary')];
  };
  test('may not watch, unless they are named', async () => {
    expect(await allowed('https://a.example')).toEqual([null, null]);
    origins.push('https://a.example');
    expect(await allowed('https://a.example')).toEqual(['https://a.example', 'origin']);
    expect(await allowed('https://b.example')).toEqual([null, 'origin']);
    expect(await allowed()).toEqual([null, 'origin']);
  });
  test('may all watch where that is set, and read why they may not', async () => {
    origins.push('*');
    expect(await allowed('https://b.example')).toEqual(['*', null]);
    const refused = await ask(`${RECORDING}/live.m3u8`, { origin: 'https://b.example' });
    expect([refused.status, refused.headers.get('access-control-allow-origin')]).toEqual([401, '*']);
  });
});
