import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { FastifyInstance, FastifyPluginAsync } from 'fastify';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { StoredFile } from '../../store/stored-files.ts';
import { buildHttp } from '../server.ts';
import { fileLinkRoute, filesRoutes } from './files.ts';

const LINK = { url: 'https://store/a', expiresMs: 1 };
const SID = 'c'.repeat(32);
const PLACE = { vendor: 1000, region: 0, bucket: 'b' };
const KNOWN: Record<string, StoredFile> = {
  'a.mp4': { key: 'dir/a.mp4', place: PLACE },
  'a.m3u8': { key: 'dir/a.m3u8', place: PLACE },
  'gone.mp4': { key: 'dir/gone.mp4', place: PLACE },
  'out.mp4': { key: '../out.mp4', place: PLACE },
  'dir.mp4': { key: 'dir', place: PLACE },
  'far.mp4': { key: 'far.mp4', place: { vendor: 1, region: 0, bucket: 'b' } },
  'old.mp4': { key: 'old.mp4', place: null },
};
let folder: string;
let http: FastifyInstance;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'aircheck-files-'));
  mkdirSync(join(folder, 'b/dir'), { recursive: true });
  writeFileSync(join(folder, 'b/dir/a.mp4'), '0123456789');
  writeFileSync(join(folder, 'b/dir/a.m3u8'), '#EXTM3U');
  writeFileSync(join(folder, 'out.mp4'), 'secret');
  writeFileSync(join(folder, 'b/old.mp4'), 'secret');
  http = buildHttp({ log: pino({ level: 'silent' }) });
  const files = {
    of: async (_appid: string, sid: string) => (sid === SID ? { place: PLACE, files: [], more: 0 } : undefined),
    find: async (appid: string, sid: string, name: string) =>
      appid === 'mine' && sid === SID ? KNOWN[name] : undefined,
    calls: async () => [],
  };
  const routes: FastifyPluginAsync = async (app) => {
    filesRoutes(app, { files, localStorageDir: folder });
    fileLinkRoute(app, { link: async () => LINK });
  };
  await http.register(routes, { prefix: '/v1/apps/:appid/aircheck' });
});
afterAll(async () => {
  await http.close();
  rmSync(folder, { recursive: true, force: true });
});

const get = (name: string, headers: Record<string, string> = {}, appid = 'mine') =>
  http.inject({ url: `/v1/apps/${appid}/aircheck/recordings/${SID}/files/${name}`, headers });

test('a file is sent as what it is, and does nothing in a browser that opens it', async () => {
  const reply = await get('a.mp4');
  expect([reply.statusCode, reply.body]).toEqual([200, '0123456789']);
  expect(reply.headers).toMatchObject({
    ...{ 'content-type': 'video/mp4', 'content-length': '10', 'accept-ranges': 'bytes' },
    ...{ 'x-content-type-options': 'nosniff', 'cross-origin-resource-policy': 'same-origin' },
    'content-security-policy': expect.stringContaining('sandbox'),
  });
  expect(reply.headers['content-disposition']).toBeUndefined();
  expect((await get('a.mp4?download')).headers['content-disposition']).toBe('attachment; filename="a.mp4"');
});

test('a part is sent as a part, and one that is not there is refused', async () => {
  const part = await get('a.mp4', { range: 'bytes=2-4' });
  expect([part.statusCode, part.body, part.headers['content-range']]).toEqual([206, '234', 'bytes 2-4/10']);
  expect((await get('a.mp4', { range: 'bytes=-3' })).body).toBe('789');
  expect((await get('a.mp4', { range: 'bytes=20-' })).statusCode).toBe(416);
});

test('a playlist is asked for again each time', async () => {
  const reply = await get('a.m3u8');
  expect(reply.headers).toMatchObject({ 'content-type': 'application/vnd.apple.mpegurl', 'cache-control': 'no-cache' });
});

test.each(['unknown.mp4', 'gone.mp4', 'out.mp4', 'dir.mp4', 'far.mp4', 'old.mp4', '..%2Fout.mp4', 'a.mp4%00'])(
  'there is no %s',
  async (name) => {
    const reply = await get(name);
    expect([reply.statusCode, reply.json()]).toEqual([404, { code: 404, reason: 'no such file' }]);
  },
);

test('a link is told once, to nobody who would keep it, and only with keys that are some', async () => {
  const ask = (body: object) =>
    http.inject({ method: 'POST', url: `/v1/apps/mine/aircheck/recordings/${SID}/files/far.mp4/link`, body });
  const reply = await ask({ keys: { accessKey: 'a', secretKey: 's' } });
  expect([reply.json(), reply.headers['cache-control']]).toEqual([LINK, 'no-store']);
  expect((await ask({ keys: { accessKey: '' } })).statusCode).toBe(400);
});

test('another app has none of it', async () => {
  expect((await get('a.mp4', {}, 'theirs')).statusCode).toBe(404);
});

test('the list says whether this server has the files', async () => {
  const list = (sid: string) => http.inject(`/v1/apps/mine/aircheck/recordings/${sid}/files`);
  expect((await list(SID)).json()).toEqual({ place: PLACE, files: [], more: 0, served: true });
  expect((await list('d'.repeat(32))).json()).toMatchObject({ code: 404, reason: 'no such recording' });
});
