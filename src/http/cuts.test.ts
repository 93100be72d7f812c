/** The calls about cuts over HTTP, and spans of files. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { APP, basic, buildApi, closeApi, listenApi } from '../../test/support/rest-api.ts';
import { problem } from '../contract/problems.ts';
import type { CutReply, CutRequest } from '../contract/rest/cut.ts';
import { spanOf } from './byte-range.ts';

const SID = 'a'.repeat(32);
const BYTES = Buffer.from('0123456789');
let dir: string;
let origin: string;
let asked: CutRequest[] = [];
const REPLY: CutReply = {
  ...{ cutId: 'c', sid: SID, state: 'done', progress: 1, from: 1, to: 2, startUtcMs: 3, bytes: BYTES.length },
  ...{ file: '/f', error: null, expiresMs: 4 },
};

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-cuts-'));
  writeFileSync(join(dir, 'c.mp4'), BYTES);
  asked = [];
  const known = (cutId: string) => {
    if (cutId !== 'c') throw problem('cut-unknown');
  };
  buildApi({
    api: {
      cuts: {
        begin: async (_appid, _sid, request) => {
          asked.push(request);
          return REPLY;
        },
        of: (_appid, _sid, cutId) => {
          known(cutId);
          return REPLY;
        },
        file: (_appid, _sid, cutId) => {
          known(cutId);
          return { path: join(dir, 'c.mp4'), bytes: BYTES.length, name: 'x.mp4' };
        },
        remove: async (_appid, _sid, cutId) => known(cutId),
      },
    },
  });
  origin = await listenApi();
});
afterEach(async () => {
  await closeApi();
  rmSync(dir, { recursive: true, force: true });
});

const call = (method: string, path: string, { body, headers }: { body?: unknown; headers?: object } = {}) =>
  fetch(`${origin}/v1/apps/${APP}/aircheck/recordings/${SID}/cuts${path}`, {
    method,
    headers: { authorization: basic('id:se:cret'), ...headers },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });

test('a cut is begun, asked for, fetched and removed', async () => {
  const begun = await call('POST', '', { body: { from: 842, to: '2026-05-04T14:07:00+02:00', uid: '7' } });
  expect([begun.status, await begun.json()]).toEqual([201, REPLY]);
  expect(asked).toEqual([{ from: 842, to: '2026-05-04T14:07:00+02:00', uid: '7' }]);
  expect(await (await call('GET', '/c')).json()).toEqual(REPLY);
  const file = await call('GET', '/c/file');
  expect([file.status, file.headers.get('content-type'), await file.text()]).toEqual([200, 'video/mp4', '0123456789']);
  expect(file.headers.get('content-disposition')).toBe('attachment; filename="x.mp4"');
  expect((await call('DELETE', '/c')).status).toBe(204);
});

test('a span of its bytes is a part of it', async () => {
  const part = await call('GET', '/c/file', { headers: { range: 'bytes=2-4' } });
  expect([part.status, part.headers.get('content-range'), await part.text()]).toEqual([206, 'bytes 2-4/10', '234']);
  const none = await call('GET', '/c/file', { headers: { range: 'bytes=10-' } });
  expect([none.status, ((await none.json()) as { code: number }).code]).toEqual([416, 2]);
});

test.each([
  ['bytes=0-', 0, 10],
  ['bytes=0-99', 0, 10],
  ['bytes=-3', 7, 10],
  ['bytes=-30', 0, 10],
  ['bytes=1-2,5-6', 1, 3],
])('%s', (header, from, to) => {
  expect(spanOf(header, 10)).toEqual({ from, to });
});
test.each([undefined, '', 'lines=1-2', 'bytes=-', 'bytes=x'])('%j asks for all', (header) => {
  expect(spanOf(header, 10)).toBeUndefined();
});

test.each([
  ['nothing', undefined],
  ['a moment without a time zone', { from: '2026-05-04T14:02:00', to: 5 }],
  ['a negative moment', { from: -1, to: 5 }],
  ['no end', { from: 1 }],
  ['half of the keys', { from: 1, to: 2, keys: { accessKey: 'x' } }],
])('%s is refused in words', async (_, body) => {
  const answer = await call('POST', '', { body });
  expect(answer.status).toBe(400);
  expect(((await answer.json()) as { reason: string }).reason).toMatch(/from|to|secretKey|clientRequest|body/);
  expect(asked).toEqual([]);
});

test('an unknown cut is told, and nobody without credentials learns of any', async () => {
  expect((await call('GET', '/d')).status).toBe(404);
  expect((await call('GET', '/d/file')).status).toBe(404);
  expect((await call('DELETE', '/d')).status).toBe(404);
  expect((await call('GET', '/c', { headers: { authorization: 'Basic eDp5' } })).status).toBe(401);
});
