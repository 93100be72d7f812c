import { beforeEach, describe, expect, test } from 'vitest';
import { fakeFault, settle } from '../../test/support/fake-ports.ts';
import {
  APP,
  acquire,
  BASE,
  buildApi,
  call,
  start,
  startBody,
  startPath,
  stopBody,
  world,
} from '../../test/support/rest-api.ts';
import type { SpooledFile } from '../media/segment.ts';

beforeEach(() => buildApi());

const slice: SpooledFile = {
  type: 'slice',
  name: 'x.ts',
  playlist: 'x.m3u8',
  index: 0,
  startUtcMs: 1_562_724_971_626,
  durationUs: 1,
  bytes: 1,
  discontinuity: false,
  starts: [],
  rotations: [],
};

describe('query', () => {
  test('goes with the recording, with exactly the members client libraries allow (HLS)', async () => {
    const { path, recorder, upload, sid } = await start();
    const query = async () => (await call('GET', path('query'))).body['serverResponse'];
    expect(await query()).toEqual({ status: 2, fileListMode: 'string', fileList: '', sliceStartTime: 0 });
    recorder.tell({ type: 'ready' });
    await settle();
    expect(await query()).toMatchObject({ status: 3 });
    recorder.tell({ type: 'joined' });
    await settle();
    expect(await query()).toMatchObject({ status: 4 });
    upload.tell({ type: 'playlistStored', key: `dir1/${sid}_ch1.m3u8`, startUtcMs: 1_562_724_971_626.847 });
    await settle();
    expect(await query()).toEqual({
      status: 5,
      fileListMode: 'string',
      fileList: `dir1/${sid}_ch1.m3u8`,
      sliceStartTime: 1_562_724_971_626,
    });
    // A recorder that took over has a playlist of its own where the server is set so.
    upload.tell({ type: 'playlistStored', key: `dir1/bak0_${sid}_ch1.m3u8`, startUtcMs: 1_562_724_999_000 });
    await settle();
    expect(await query()).toMatchObject({ fileList: `dir1/bak0_${sid}_ch1.m3u8`, sliceStartTime: 1_562_724_971_626 });
  });

  test('lists files when there are MP4s, their times in seconds', async () => {
    const { path, upload, sid, resourceId } = await start({
      recordingFileConfig: { avFileType: ['hls', 'mp4'] },
      recordingConfig: { streamTypes: 0 },
    });
    const empty = await call('GET', path('query'), undefined, { 'content-type': 'application/json' });
    expect(empty.body).toEqual({
      cname: 'ch1',
      uid: '527841',
      resourceId,
      sid,
      serverResponse: { status: 2, fileListMode: 'json', fileList: [], sliceStartTime: 0 },
    });
    upload.tell({ type: 'playlistStored', key: 'dir1/a.m3u8', startUtcMs: 1_562_724_971_626 });
    upload.tell({ type: 'wholeFileStored', key: 'dir1/a_0.mp4', startUtcMs: 1_562_724_972_000 });
    await settle();
    const entry = { trackType: 'audio', uid: '0', mixedAllUser: true, isPlayable: true };
    expect((await call('GET', path('query'), 'null')).body['serverResponse']).toEqual({
      status: 5,
      fileListMode: 'json',
      fileList: [
        { ...entry, fileName: 'dir1/a.m3u8', sliceStartTime: 1_562_724_971 },
        { ...entry, fileName: 'dir1/a_0.mp4', sliceStartTime: 1_562_724_972 },
      ],
      sliceStartTime: 1_562_724_971_626,
    });
  });

  test('an unstarted, foreign, malformed or outlived handle is told apart', async () => {
    const { path, sid, resourceId } = await start();
    const unstarted = await acquire();
    expect((await call('GET', path('query').replace(resourceId, unstarted))).status).toBe(404);
    expect((await call('GET', path('query').replace(sid, 'a'.repeat(32)))).body['code']).toBe(404);
    expect((await call('GET', path('query').replace(sid, 'xyz'))).body['code']).toBe(404);
    expect((await call('GET', path('query').replace(resourceId, 'a.b'))).body['code']).toBe(2);
    expect((await call('GET', path('query').replace('/mix/', '/individual/'))).body['code']).toBe(2);
    world.clock.advance(72 * 3_600_000 + 1);
    expect((await call('GET', path('query'))).body).toMatchObject({
      code: 2,
      reason: 'resourceId exceeded time limit!',
    });
    expect((await call('POST', path('stop'), stopBody())).body).toMatchObject({
      code: 2,
      reason: 'resourceId exceeded time limit!',
    });
  });
});

describe('a store that can never work', () => {
  const REFUSED = { type: 'storeRefused', message: 'AccessDenied', forGood: true } as const;
  const GONE = { status: 404, body: { code: 404, reason: 'failed to find worker' } };

  test('ends the recording for its callers as soon as that is known', async () => {
    const { path, recorder, upload, sid } = await start();
    world.spool(recorder, slice);
    upload.tell(REFUSED);
    await settle();
    expect(recorder.stoppedAtUs).toBeDefined();
    expect(await call('GET', path('query'))).toMatchObject(GONE);
    expect(await call('POST', path('stop'), stopBody())).toMatchObject(GONE);
    expect(await call('POST', path('update'), stopBody())).toMatchObject(GONE);
    recorder.tell({ type: 'ended', reason: 'stopped', recorded: true, message: '' });
    await settle();
    expect(await call('GET', path('query'))).toMatchObject(GONE);
    expect(world.removed).toEqual([]);
    // The channel and uid are free again.
    const again = await acquire();
    expect((await call('POST', startPath(again), startBody())).status).toBe(200);
    expect((await call('GET', `/v1/apps/${APP}/aircheck/recordings/${sid}`)).status).toBe(200);
  });

  test('is told to a stop that waits', async () => {
    const { path, upload } = await start();
    const waiting = call('POST', path('stop'), stopBody());
    await settle();
    upload.tell(REFUSED);
    expect(await waiting).toMatchObject(GONE);
  });

  test('is one whose client cannot even be made', async () => {
    buildApi();
    world.uploadFault = fakeFault('store-unknown');
    const resourceId = await acquire();
    const { body } = await call('POST', startPath(resourceId), startBody());
    await settle();
    const path = `${BASE}/resourceid/${resourceId}/sid/${body['sid']}/mode/mix/query`;
    expect(await call('GET', path)).toMatchObject(GONE);
  });

  test('is none that took a file before, nor one that may come back', async () => {
    const { path, recorder, upload } = await start();
    upload.tell({ ...REFUSED, forGood: false });
    await settle();
    expect((await call('GET', path('query'))).status).toBe(200);
    upload.tell({ type: 'playlistStored', key: 'dir1/a.m3u8', startUtcMs: 1000 });
    upload.tell(REFUSED);
    await settle();
    expect((await call('GET', path('query'))).body).toMatchObject({ serverResponse: { status: 5 } });
    expect(recorder.stoppedAtUs).toBeUndefined();
  });
});

describe('stop', () => {
  test('answers when everything is stored, a second call in between is told so, and later ones find nothing', async () => {
    const { path, recorder, upload, sid, resourceId } = await start({
      recordingFileConfig: { avFileType: ['hls', 'mp4'] },
    });
    const first = call('POST', path('stop'), stopBody());
    await settle();
    expect(recorder.stoppedAtUs).toBeDefined();
    expect((await call('GET', path('query'))).body['serverResponse']).toMatchObject({ status: 6 });
    expect(await call('POST', path('stop'), stopBody())).toMatchObject({
      status: 400,
      body: { code: 49, reason: 'invalid operation', cname: 'ch1', uid: '527841' },
    });
    world.spool(recorder, slice);
    recorder.tell({ type: 'ended', reason: 'stopped', recorded: true, message: '' });
    await settle();
    expect(upload.files).toEqual([slice]);
    expect((await call('GET', path('query'))).body['serverResponse']).toMatchObject({ status: 7 });
    upload.tell({ type: 'playlistStored', key: 'dir1/a.m3u8', startUtcMs: 1_562_724_971_626 });
    upload.letFinish();
    const { status, body } = await first;
    expect(status).toBe(200);
    expect(body).toEqual({
      cname: 'ch1',
      uid: '527841',
      resourceId,
      sid,
      serverResponse: {
        fileListMode: 'json',
        fileList: [
          {
            fileName: 'dir1/a.m3u8',
            trackType: 'audio_and_video',
            uid: '0',
            mixedAllUser: true,
            isPlayable: true,
            sliceStartTime: 1_562_724_971,
          },
        ],
        uploadingStatus: 'uploaded',
      },
    });
    await settle();
    expect(world.feedsOpen).toBe(0);
    expect(world.removed).toEqual([sid]);
    for (const answer of [await call('POST', path('stop'), stopBody()), await call('GET', path('query'))])
      expect(answer).toMatchObject({ status: 404, body: { code: 404, reason: 'failed to find worker' } });
    expect((await call('POST', startPath(await acquire()), startBody())).status).toBe(200);
  });

  test.each([
    [{ async_stop: true }, 200],
    [{ async_stop: null }, 0],
    [{ async_stop: false }, 0],
  ])('%j', async (clientRequest, at) => {
    const { path } = await start();
    const stopping = call('POST', path('stop'), stopBody(clientRequest));
    const answer = await Promise.race([
      stopping,
      settle()
        .then(settle)
        .then(() => undefined),
    ]);
    expect(answer?.status ?? 0).toBe(at);
    if (answer)
      expect(answer.body['serverResponse']).toEqual({
        fileListMode: 'string',
        fileList: '',
        uploadingStatus: 'unknown',
      });
  });

  test.each([
    ['no names, as stop.txt has it', { clientRequest: {} }],
    ['names that are null', { cname: null, uid: null, clientRequest: {} }],
    ['one of the names', { uid: '527841', clientRequest: {} }],
    ['members that nobody knows', { ...stopBody({ asyncStop: true, reason: ['x'] }), extra: {} }],
  ])('is taken with %s', async (_what, body) => {
    const { path, recorder } = await start();
    const stopping = call('POST', path('stop'), body);
    await settle();
    expect(recorder.stoppedAtUs).toBeDefined();
    recorder.tell({ type: 'ended', reason: 'stopped', recorded: false, message: '' });
    expect(await stopping).toMatchObject({ status: 206, body: { code: 435, cname: 'ch1', uid: '527841' } });
    expect(await call('POST', path('stop'), { clientRequest: {} })).toMatchObject({
      status: 404,
      body: { code: 404, cname: 'ch1', uid: '527841' },
    });
  });

  test('two at once: one is answered when all is stored, the other that it came second', async () => {
    const { path, recorder } = await start();
    const both = [1, 2].map(() => call('POST', path('stop'), stopBody()));
    await settle();
    recorder.tell({ type: 'ended', reason: 'stopped', recorded: false, message: '' });
    const answers = await Promise.all(both);
    expect(answers.map(({ status, body }) => `${status}/${body['code']}`)).toEqual(['206/435', '400/49']);
  });

  test('of a recording that is still starting, as a start that took too long tells its sid when it is repeated', async () => {
    const resourceId = await acquire();
    const stored = Promise.withResolvers<void>();
    const saveState = world.store.saveState.bind(world.store);
    world.store.saveState = async (...args) => {
      await stored.promise;
      return saveState(...args);
    };
    const starting = call('POST', startPath(resourceId), startBody());
    await settle();
    world.clock.advance(4000);
    expect(await starting).toMatchObject({ status: 206, body: { code: 65 } });
    const { status, body } = await call('POST', startPath(resourceId), startBody());
    expect(status).toBe(201);
    const path = (verb: string) => `${BASE}/resourceid/${resourceId}/sid/${body['sid']}/mode/mix/${verb}`;
    const stopping = call('POST', path('stop'), stopBody());
    await settle();
    stored.resolve();
    await settle();
    expect(world.recorders).toHaveLength(1);
    expect(world.recorders[0]!.stoppedAtUs).toBeDefined();
    world.recorders[0]!.tell({ type: 'ended', reason: 'stopped', recorded: false, message: '' });
    expect(await stopping).toMatchObject({ status: 206, body: { code: 435 } });
    await settle();
    expect(world.feedsOpen).toBe(0);
    expect((await call('GET', path('query'))).status).toBe(404);
    // The channel and uid are free again.
    expect((await call('POST', startPath(await acquire()), startBody())).status).toBe(200);
  });

  test('a store that does not answer makes it late, and the files still get there', async () => {
    const { path, recorder, upload } = await start();
    world.spool(recorder, slice);
    const stopping = call('POST', path('stop'), stopBody());
    await settle();
    recorder.tell({ type: 'ended', reason: 'stopped', recorded: true, message: '' });
    await settle();
    world.clock.advance(20_000);
    expect(await stopping).toMatchObject({
      status: 206,
      body: { code: 50, reason: 'upload timeout', cname: 'ch1', uid: '527841' },
    });
    expect(upload.aborted).toBe(false);
    expect((await call('GET', path('query'))).status).toBe(200);
    upload.letFinish();
    await settle();
    expect((await call('GET', path('query'))).status).toBe(404);
  });

  test('nobody ever sent anything', async () => {
    const { path, recorder } = await start();
    const stopping = call('POST', path('stop'), stopBody());
    await settle();
    recorder.tell({ type: 'ended', reason: 'stopped', recorded: false, message: '' });
    expect(await stopping).toMatchObject({ status: 206, body: { code: 435, reason: 'no recorded data' } });
  });

  test.each([
    ['{', /not JSON/],
    [{ cname: 'ch1', uid: '527841' }, /clientRequest is missing/],
    [stopBody({ async_stop: 'yes' }), /^stop: async_stop type mismatch/],
    [{ ...stopBody(), uid: '2' }, /uid is not the one/],
  ])('%j is refused and nothing stops', async (body, reason) => {
    const { path, recorder } = await start();
    expect(await call('POST', path('stop'), body)).toMatchObject({
      status: 400,
      body: { code: 2, reason: expect.stringMatching(reason) },
    });
    expect(recorder.stoppedAtUs).toBeUndefined();
  });

  test('after an idle channel ended the recording, it is exiting and then gone', async () => {
    const { path, recorder, upload } = await start();
    world.spool(recorder, slice);
    recorder.tell({ type: 'ended', reason: 'idle', recorded: true, message: 'nobody there' });
    await settle();
    expect((await call('POST', path('stop'), stopBody())).body['code']).toBe(49);
    upload.letFinish();
    await settle();
    expect((await call('POST', path('stop'), stopBody())).body['code']).toBe(404);
  });
});

test('the participants of a channel are for customers only', async () => {
  const url = `/v1/apps/${APP}/aircheck/channels/my%20room`;
  expect((await call('GET', url)).body).toEqual({ cname: 'my room', participants: [{ uid: '7', in: 'my room' }] });
  expect((await call('GET', url, undefined, { authorization: '' })).status).toBe(401);
});
