/** The calls about mixes over HTTP, and what a request comes to. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { APP, basic, buildApi, closeApi, listenApi } from '../../test/support/rest-api.ts';
import { problem } from '../contract/problems.ts';
import { type MixReply, type MixRequest, mediaOf, parseMix } from '../contract/rest/mix.ts';

const SID = 'a'.repeat(32);
const BYTES = Buffer.from('0123456789');
let dir: string;
let origin: string;
let asked: MixRequest[] = [];
const REPLY: MixReply = {
  ...{ mixId: 'm', sid: SID, state: 'done', progress: 1, users: ['7'], from: 1, to: 2, request: { users: ['7'] } },
  ...{
    attempts: 1,
    createdMs: 1,
    endedMs: 3,
    bytes: BYTES.length,
    file: '/f',
    error: null,
    warnings: [],
    expiresMs: 4,
  },
};

beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-mixes-'));
  writeFileSync(join(dir, 'm.mp4'), BYTES);
  asked = [];
  const known = (mixId: string) => {
    if (mixId !== 'm') throw problem('mix-unknown');
  };
  buildApi({
    api: {
      mixes: {
        begin: async (_appid, _sid, request) => {
          asked.push(request);
          return { ...REPLY, state: 'queued' };
        },
        list: async () => ({ mixes: [REPLY] }),
        of: async (_appid, _sid, mixId) => {
          known(mixId);
          return REPLY;
        },
        file: async (_appid, _sid, mixId) => {
          known(mixId);
          return { path: join(dir, 'm.mp4'), bytes: BYTES.length, name: 'x.mp4' };
        },
        remove: async (_appid, _sid, mixId) => known(mixId),
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
  fetch(`${origin}/v1/apps/${APP}/aircheck/recordings/${SID}/mixes${path}`, {
    method,
    headers: { authorization: basic('id:se:cret'), ...headers },
    ...(body !== undefined && { body: JSON.stringify(body) }),
  });

test('a mix is begun, listed, asked for, fetched whole and in part, and removed', async () => {
  const body = { users: ['7'], from: 842, to: '2026-05-04T14:07:00+02:00', transcodingConfig: { mixedVideoLayout: 1 } };
  const begun = await call('POST', '', { body });
  expect([begun.status, await begun.json()]).toEqual([201, { ...REPLY, state: 'queued' }]);
  expect(asked).toMatchObject([{ ...body, streamTypes: 2, audioProfile: 1 }]);
  expect(await (await call('GET', '')).json()).toEqual({ mixes: [REPLY] });
  expect(await (await call('GET', '/m')).json()).toEqual(REPLY);
  const file = await call('GET', '/m/file');
  expect([file.status, file.headers.get('content-type'), await file.text()]).toEqual([200, 'video/mp4', '0123456789']);
  expect(file.headers.get('content-disposition')).toBe('attachment; filename="x.mp4"');
  const part = await call('GET', '/m/file', { headers: { range: 'bytes=2-4' } });
  expect([part.status, part.headers.get('content-range'), await part.text()]).toEqual([206, 'bytes 2-4/10', '234']);
  expect((await call('DELETE', '/m')).status).toBe(204);
});

test('nothing said is everybody, whole', async () => {
  expect((await call('POST', '', { body: {} })).status).toBe(201);
  expect(asked).toEqual([{ streamTypes: 2, audioProfile: 1 }]);
});

test.each([
  ['a user that is no uid', { users: ['x'] }, /users/],
  ['nobody', { users: [] }, /users must name somebody/],
  ['a moment without a time zone', { from: '2026-05-04T14:02:00' }, /from/],
  ['an odd side', { transcodingConfig: { width: 641 } }, /width must be even/],
  ['more pixels than there may be', { transcodingConfig: { width: 1920, height: 1920 } }, /1920 x 1080/],
  ['more pictures a second', { transcodingConfig: { fps: 61 } }, /fps/],
  ['a custom layout without regions', { transcodingConfig: { mixedVideoLayout: 3 } }, /layoutConfig is required/],
  [
    'a region beyond the canvas',
    { transcodingConfig: { mixedVideoLayout: 3, layoutConfig: [{ x_axis: 0.6, y_axis: 0, width: 0.5, height: 1 }] } },
    /width type mismatch or missing under layoutConfig/,
  ],
  ['half of the keys', { keys: { accessKey: 'x' } }, /secretKey/],
])('%s is refused in words', async (_, body, words) => {
  const answer = await call('POST', '', { body });
  expect(answer.status).toBe(400);
  expect(((await answer.json()) as { reason: string }).reason).toMatch(words);
  expect(asked).toEqual([]);
});

test('an unknown mix is told, and nobody without credentials learns of any', async () => {
  expect((await call('GET', '/d')).status).toBe(404);
  expect((await call('GET', '/d/file')).status).toBe(404);
  expect((await call('DELETE', '/d')).status).toBe(404);
  expect((await call('GET', '', { headers: { authorization: 'Basic eDp5' } })).status).toBe(401);
  expect((await call('GET', '/m', { headers: { authorization: 'Basic eDp5' } })).status).toBe(401);
});

describe('what a request comes to', () => {
  test('left to itself: 720p in the floating layout, and one channel', () => {
    expect(mediaOf(parseMix({}))).toEqual({
      video: {
        ...{ width: 1280, height: 720, fps: 30, bitrateKbps: 2765, backgroundColor: '#000000' },
        layout: { kind: 'floating' },
      },
      audio: { channels: 1, bitrateKbps: 128 },
      stereo: undefined,
    });
  });

  test('sound alone and picture alone, and who is on which side', () => {
    expect(mediaOf(parseMix({ streamTypes: 0 })).video).toBeUndefined();
    expect(mediaOf(parseMix({ streamTypes: 1, stereo: { left: ['1'] } }))).toMatchObject({
      ...{ audio: undefined, stereo: undefined },
    });
    expect(mediaOf(parseMix({ stereo: { left: ['1'], right: ['#allstream#'] } }))).toMatchObject({
      audio: { channels: 2, bitrateKbps: 192 },
      stereo: { left: ['1'], right: [], others: 'right' },
    });
  });

  test('a canvas with its layout', () => {
    const canvas = { width: 640, height: 360, fps: 15, bitrate: 600, mixedVideoLayout: 2, maxResolutionUid: '7' };
    expect(mediaOf(parseMix({ transcodingConfig: canvas })).video).toEqual({
      ...{ width: 640, height: 360, fps: 15, bitrateKbps: 600, backgroundColor: '#000000' },
      layout: { kind: 'vertical', maxResolutionUid: '7' },
    });
  });
});
