/**
 * Every reply of our server goes through everything that is known to read such replies, over a real connection.
 */
import { createHmac } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { NOTICE_TYPES, type NoticeType, noticeBody } from '../../src/contract/webhook/notice.ts';
import { Admission } from '../../src/worker/admission.ts';
import { fakeFault, settle } from '../support/fake-ports.ts';
import { ManualClock } from '../support/manual-clock.ts';
import {
  acquire,
  acquireBody,
  ask,
  type Call,
  MP4_TOO,
  NAMES,
  read,
  SLICE,
  START_MS,
  STORAGE,
  setUp,
  start,
  startBody,
  stopBody,
  until,
} from './asking.ts';
import { parseFlatServerWebhook } from './clients/apps.ts';
import { type Handle, type Mode, pathOf } from './clients/calls.ts';
import { basicAuth, exchange } from './clients/exchange.ts';
import { APP, FOREIGN_APP, IDLE_APP } from './wire-api.ts';

describe('before any recording is looked at', () => {
  test.each([
    ['no credentials', { headers: { authorization: '' } }, 401],
    ['wrong credentials', { headers: { authorization: basicAuth('id', 'wrong') } }, 401],
    ['no app of ours', { appid: 'a'.repeat(32) }, 400],
    ['an app of another customer', { appid: FOREIGN_APP }, 400],
    ['an app that may not record', { appid: IDLE_APP }, 400],
    ['a mode there is not', { endpoint: 'start', handle: { mode: 'other' as Mode, resourceId: 'r' } }, 404],
    ['no JSON', { body: '{' }, 400],
    ['no JSON, nor said to be any', { body: '{', headers: { 'content-type': 'text/plain' } }, 400],
    ['an array', { body: [] }, 400],
    ['a uid as number', { body: { cname: 'ch1', uid: 1, clientRequest: {} } }, 400],
    ['a wrong channel name', { body: acquireBody({}, { cname: 'a/b', uid: '1' }) }, 400],
    ['a wrong hour', { body: acquireBody({ resourceExpiredHour: 0 }) }, 400],
    ['a body that is too large', { body: acquireBody({ x: 'x'.repeat(1_100_000) }) }, 413],
  ] as [string, Partial<Call>, number][])('%s', async (_name, call, status) => {
    const api = await setUp();
    expect((await ask(api, { endpoint: 'acquire', body: acquireBody(), ...call })).status).toBe(status);
  });

  test('too many calls', async () => {
    const api = await setUp({ api: { rateLimit: { perS: 1, clock: new ManualClock() } } });
    await acquire(api);
    expect((await ask(api, { endpoint: 'acquire', body: acquireBody() })).status).toBe(429);
  });

  test('too many recordings, a server that closes, and one whose database fails', async () => {
    const busy = await setUp({ recordings: { maxRecordings: 1 } });
    await start(busy);
    expect((await ask(busy, { endpoint: 'acquire', body: acquireBody() })).body['code']).toBe(406);
    const closing = await setUp();
    await closing.recordings.close(0);
    expect((await ask(closing, { endpoint: 'acquire', body: acquireBody() })).body['code']).toBe(501);
    const failing = await setUp();
    failing.world.store.addResource = async () => {
      throw new Error('the database is gone');
    };
    expect((await ask(failing, { endpoint: 'acquire', body: acquireBody() })).body['code']).toBe(500);
  });
});

describe('start', () => {
  test('again, in conflict, with what was not announced, too late', async () => {
    const api = await setUp();
    const { handle } = await start(api);
    const again = await ask(api, { endpoint: 'start', handle, body: startBody() });
    expect(again).toMatchObject({ status: 201, body: { code: 7, sid: handle.sid, resourceId: handle.resourceId } });
    const second = await acquire(api);
    const refused = async (resourceId: string, body: object) =>
      (await ask(api, { endpoint: 'start', handle: { resourceId }, body })).body['code'];
    expect(await refused(second, startBody())).toBe(53);
    const names = { cname: 'ch1', uid: '2' };
    const announced = await acquire(api, { startParameter: { storageConfig: STORAGE, token: 'x' } }, names);
    expect(await refused(announced, { ...startBody(), ...names })).toBe(2);
    expect(await refused('unknown', startBody())).toBe(2);
    expect(await refused(await acquire(api, {}, names), { ...names, clientRequest: {} })).toBe(2);
    const late = await acquire(api, {}, names);
    api.world.clock.advance(300_001);
    expect(await refused(late, { ...startBody(), ...names })).toBe(2);
  });

  test('no recorder to be had, and modes this server has not', async () => {
    const api = await setUp();
    api.world.launchFault = fakeFault('recorder-not-started');
    const refused = async (mode: Mode, scene: number, clientRequest: object) =>
      ask(api, {
        endpoint: 'start',
        handle: { mode, resourceId: await acquire(api, { scene }) },
        body: { ...NAMES, clientRequest },
      });
    expect(await refused('mix', 0, { storageConfig: STORAGE })).toMatchObject({ status: 500, body: { code: 502 } });
    const individual = { storageConfig: STORAGE, recordingConfig: { subscribeUidGroup: 0 } };
    expect((await refused('individual', 0, individual)).status).toBe(500);
    const unknownGroup = { storageConfig: STORAGE, recordingConfig: { subscribeUidGroup: 6 } };
    expect((await refused('individual', 0, unknownGroup)).status).toBe(400);
    expect((await refused('web', 1, { storageConfig: STORAGE })).status).toBe(400);
  });

  test('a machine that cannot carry one more, and an app that has all it may', async () => {
    const allowed = 1;
    let running = 0;
    const admission = { refusalOf: () => (running++ < allowed ? undefined : 'no memory is free'), forget: () => {} };
    const full = await setUp({ recordings: { admission } });
    await start(full);
    const other = { ...NAMES, uid: '2' };
    const startOther = (api: typeof full, resourceId: string) =>
      ask(api, { endpoint: 'start', handle: { resourceId }, body: { ...startBody(), ...other } });
    const refused = await startOther(full, await acquire(full, {}, other));
    expect(refused).toMatchObject({ status: 500, body: { code: 502 } });
    expect(full.world.recorders).toHaveLength(allowed);
    const said = full.world.lines.filter(({ level }) => level === 'error').map(({ text }) => text);
    expect(said).toEqual([expect.stringContaining('no memory is free')]);

    const limited = await setUp({ recordings: { maxRecordings: 1 } });
    const second = await acquire(limited, {}, other);
    await start(limited);
    expect((await startOther(limited, second)).body['code']).toBe(406);
  });

  test('no one for recordings that have ended, however soon they follow each other', async () => {
    const admission = new Admission({
      clock: new ManualClock(),
      limits: { cpuPercent: 100, memoryPercent: 100, spoolFreeBytes: 0 },
      machine: () => ({ cores: 0.2, freeBytes: 4e9, totalBytes: 8e9, freeSpoolBytes: 1e11 }),
      // Each has ended before the next is asked for.
      running: () => new Map(),
      spoolRefusalOf: () => undefined,
      joins: () => false,
    });
    const api = await setUp({ recordings: { admission, maxRecordings: 50 } });
    for (let uid = 1; uid <= 8; uid++) {
      const names = { ...NAMES, uid: `${uid}` };
      const handle = { resourceId: await acquire(api, {}, names) };
      const body = { ...startBody(), ...names };
      expect(await ask(api, { endpoint: 'start', handle, body })).toMatchObject({ status: 200 });
    }
  });

  test('a database that does not answer, and a channel that takes its time', async () => {
    const api = await setUp();
    let asked = false;
    const never = () => {
      asked = true;
      return new Promise<never>(() => {});
    };
    api.world.store.addTask = never;
    const resourceId = await acquire(api);
    const starting = ask(api, { endpoint: 'start', handle: { resourceId }, body: startBody() });
    await until(() => asked);
    api.world.clock.advance(4000);
    expect(await starting).toMatchObject({ status: 500, body: { code: 62 } });

    asked = false;
    const channel = { ...api.world.ports().channel, openFeed: never };
    const slow = await setUp({ recordings: { channel } });
    const handle = { resourceId: await acquire(slow) };
    const late = ask(slow, { endpoint: 'start', handle, body: startBody() });
    await until(() => asked);
    slow.world.clock.advance(4000);
    expect(await late).toMatchObject({ status: 206, body: { code: 65 } });
    expect(await ask(slow, { endpoint: 'start', handle, body: startBody() })).toMatchObject({ status: 201 });
  });
});

describe('query', () => {
  test.each([
    ['a text', {}],
    ['a list', MP4_TOO],
  ])('all along a recording with %s of files', async (_name, changes) => {
    const api = await setUp();
    const { handle, recorder, upload } = await start(api, changes);
    const status = async (body?: string) => {
      const answer = await ask(api, { endpoint: 'query', handle, ...(body && { body }) });
      return (answer.body['serverResponse'] as { status: number }).status;
    };
    expect(await status()).toBe(2);
    recorder.tell({ type: 'ready' });
    await settle();
    expect(await status('null')).toBe(3);
    recorder.tell({ type: 'joined' });
    await settle();
    expect(await status()).toBe(4);
    upload.tell({ type: 'playlistStored', key: 'dir1/a.m3u8', startUtcMs: START_MS });
    if (changes === MP4_TOO) upload.tell({ type: 'wholeFileStored', key: 'dir1/a_0.mp4', startUtcMs: START_MS });
    await settle();
    expect(await status()).toBe(5);
    const stopping = ask(api, { endpoint: 'stop', handle, body: stopBody() });
    await until(() => recorder.stoppedAtUs !== undefined);
    expect(await status()).toBe(6);
    api.world.spool(recorder, SLICE);
    recorder.tell({ type: 'ended', reason: 'stopped', recorded: true, message: '' });
    await settle();
    expect(await status()).toBe(7);
    upload.letFinish();
    expect((await stopping).status).toBe(200);
    expect((await ask(api, { endpoint: 'query', handle })).status).toBe(404);
  });

  test('times in milliseconds are read as well', async () => {
    const api = await setUp({ recordings: { sliceStartTimeUnit: 'ms' } });
    const { handle, upload } = await start(api, MP4_TOO);
    upload.tell({ type: 'playlistStored', key: 'dir1/a.m3u8', startUtcMs: START_MS });
    await settle();
    const { body } = await ask(api, { endpoint: 'query', handle });
    expect(JSON.stringify(body)).toContain('"sliceStartTime":1562724971626}]');
  });

  test.each([false, true])('handles that lead nowhere, with codes of old: %s', async (legacyErrorCodes) => {
    const api = await setUp({ http: { legacyErrorCodes } });
    const { handle } = await start(api);
    const query = async (changes: Partial<Handle>) =>
      (await ask(api, { endpoint: 'query', handle: { ...handle, ...changes } })).body['code'];
    expect(await query({ resourceId: await acquire(api) })).toBe(404);
    expect(await query({ resourceId: 'unknown' })).toBe(404);
    expect(await query({ resourceId: 'not%20one' })).toBe(legacyErrorCodes ? 1001 : 2);
    expect(await query({ sid: 'a'.repeat(32) })).toBe(404);
    expect(await query({ sid: 'x' })).toBe(404);
    expect(await query({ mode: 'individual' })).toBe(legacyErrorCodes ? 432 : 2);
    expect(await query({ mode: 'web' })).toBe(legacyErrorCodes ? 432 : 2);
    api.world.clock.advance(72 * 3_600_000 + 1);
    expect(await query({})).toBe(2);
  });

  test('a database that does not answer', async () => {
    const api = await setUp();
    const { handle } = await start(api);
    let asked = false;
    api.world.store.findResource = () => {
      asked = true;
      return new Promise(() => {});
    };
    const querying = ask(api, { endpoint: 'query', handle: { ...handle, resourceId: `${handle.resourceId}x` } });
    await until(() => asked);
    api.world.clock.advance(4000);
    expect(await querying).toMatchObject({ status: 504, body: { code: 62 } });
  });
});

describe('update and updateLayout', () => {
  test.each([
    ['update', { streamSubscribe: { audioUidList: { subscribeAudioUids: ['1'] } } }, { streamSubscribe: 1 }],
    ['updateLayout', { mixedVideoLayout: 1 }, { mixedVideoLayout: 9 }],
  ] as const)('%s', async (endpoint, good, bad) => {
    const api = await setUp();
    const { handle, recorder } = await start(api);
    const change = (clientRequest: object) =>
      ask(api, { endpoint, handle, body: { ...NAMES, clientRequest } }).then(({ status, body }) => ({ status, body }));
    expect(await change(good)).toEqual({
      status: 200,
      body: { ...NAMES, resourceId: handle.resourceId, sid: handle.sid },
    });
    expect(await change(bad)).toMatchObject({ status: 400, body: { code: 2 } });
    recorder.tell({ type: 'ended', reason: 'idle', recorded: false, message: '' });
    await settle();
    expect(await change(good)).toMatchObject({ status: 404, body: { code: 404 } });
  });

  test('a mode without layout', async () => {
    const api = await setUp();
    const { handle } = await start(api);
    for (const mode of ['individual', 'web'] as const) {
      const { status } = await ask(api, { endpoint: 'updateLayout', handle: { ...handle, mode }, body: stopBody() });
      expect(status).toBe(400);
    }
  });
});

describe('stop', () => {
  test('without waiting, and again', async () => {
    for (const changes of [{}, MP4_TOO]) {
      const api = await setUp();
      const { handle } = await start(api, changes);
      const stop = () => ask(api, { endpoint: 'stop', handle, body: stopBody({ async_stop: true }) });
      expect((await stop()).status).toBe(200);
      expect(await stop()).toMatchObject({ status: 400, body: { code: 49 } });
      expect((await ask(api, { endpoint: 'start', handle, body: startBody() })).status).toBe(400);
    }
  });

  test('nothing recorded, and too late', async () => {
    const api = await setUp();
    const { handle, recorder } = await start(api);
    const stopping = ask(api, { endpoint: 'stop', handle, body: stopBody() });
    await until(() => recorder.stoppedAtUs !== undefined);
    recorder.tell({ type: 'ended', reason: 'stopped', recorded: false, message: '' });
    expect(await stopping).toMatchObject({ status: 206, body: { code: 435 } });

    const next = await start(api);
    api.world.spool(next.recorder, SLICE);
    const late = ask(api, { endpoint: 'stop', handle: next.handle, body: stopBody() });
    await until(() => next.recorder.stoppedAtUs !== undefined);
    next.recorder.tell({ type: 'ended', reason: 'stopped', recorded: true, message: '' });
    await settle();
    api.world.clock.advance(20_000);
    expect(await late).toMatchObject({ status: 206, body: { code: 50 } });
  });

  test.each([
    ['no JSON', '{'],
    ['no clientRequest', NAMES],
    ['a flag as text', stopBody({ async_stop: 'yes' })],
    ['another uid', { ...stopBody(), uid: '2' }],
  ])('%s', async (_name, body) => {
    const api = await setUp();
    const { handle } = await start(api);
    expect((await ask(api, { endpoint: 'stop', handle, body })).status).toBe(400);
  });
});

test('a GET whose body comes in chunks is answered like any other', async () => {
  const api = await setUp();
  const { handle } = await start(api);
  const answered = await exchange({
    method: 'GET',
    url: `${api.client.baseUrl}${pathOf(APP, 'query', handle)}`,
    headers: { authorization: basicAuth('id', 'se:cret'), 'content-type': 'application/json' },
    body: 'null',
    chunked: true,
  });
  expect(read('query', 'mix', answered).body).toMatchObject({ sid: handle.sid });
});

describe('webhooks are taken by flat-server', () => {
  const take = (body: string) =>
    parseFlatServerWebhook(body, 'secret', createHmac('sha256', 'secret').update(body).digest('hex'));

  test('those of a whole recording', async () => {
    const api = await setUp();
    const { handle, recorder, upload } = await start(api, MP4_TOO);
    recorder.tell({ type: 'ready' });
    recorder.tell({ type: 'joined' });
    upload.tell({ type: 'playlistStored', key: 'dir1/a.m3u8', startUtcMs: START_MS });
    await settle();
    const stopping = ask(api, { endpoint: 'stop', handle, body: stopBody() });
    await until(() => recorder.stoppedAtUs !== undefined);
    api.world.spool(recorder, SLICE);
    recorder.tell({ type: 'ended', reason: 'stopped', recorded: true, message: '' });
    await settle();
    upload.letFinish();
    await stopping;
    await settle();
    const { notices } = api.world.store;
    expect(notices.map(({ eventType }) => eventType)).toEqual(expect.arrayContaining([4, 31, 11]));
    for (const notice of notices) expect(take(noticeBody(notice, 1_596_555_306_283)).payload.sid).toBe(handle.sid);
  });

  test('those beyond the contract have numbers that the contract leaves free', () => {
    // Contract §3.4, with those that are known by name or number alone.
    const taken = [
      ...[1, 2, 3, 4, 11, 12, 13, 30, 31, 32, 33, 34, 40, 41, 42, 43, 44, 45, 46, 47, 60, 61, 70, 71, 72, 73],
      ...[80, 81, 90, 100, 110, 111, 112, 113, 1001],
    ];
    const own = Object.entries(NOTICE_TYPES).filter(([, { details }]) =>
      details.shape.msgName.value.startsWith('aircheck_'),
    );
    expect(own).not.toEqual([]);
    expect(own.map(([type]) => Number(type)).filter((type) => taken.includes(type))).toEqual([]);
  });

  test.each(Object.keys(NOTICE_TYPES).map(Number))('type %i, with a name that JSON may escape', (type) => {
    const eventType = type as NoticeType;
    const details = { msgName: 'x', fileName: 'dir/ü/1.jpg', errorMsg: 'a/b "ü" \u2028 \ud83d\ude00' };
    const payload = {
      ...{
        cname: 'a<b>&',
        uid: '1',
        sid: 's',
        sequence: 0,
        sendts: 1,
        serviceType: NOTICE_TYPES[eventType].serviceType,
      },
      ...{ serviceScene: 'mix_record' as const, details },
    };
    const body = noticeBody({ noticeId: 'n', productId: 3, eventType, sid: 's', payload }, 1);
    expect(take(body)).toMatchObject({ eventType, payload: { details } });
  });
});
