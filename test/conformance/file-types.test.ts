/**
 * What each mode makes of `avFileType`, and how query and stop list it (stop.txt, contract §1.2.4, §1.5, §1.6, §6.2).
 */
import { afterEach, describe, expect, test } from 'vitest';
import type { IndividualPlan } from '../../src/contract/line/plan.ts';
import type { StartOptions } from '../../src/contract/rest/start.ts';
import type { FileOwner } from '../../src/media/segment.ts';
import { settle } from '../support/fake-ports.ts';
import {
  acquire,
  BASE,
  buildApi,
  call,
  closeApi,
  STORAGE,
  startBody,
  startPath,
  stopBody,
  world,
} from '../support/rest-api.ts';

afterEach(closeApi);

const GROUP = { recordingConfig: { subscribeUidGroup: 0 } };
const HLS_MP4 = { recordingFileConfig: { avFileType: ['hls', 'mp4'] } };
const HLS = { recordingFileConfig: { avFileType: ['hls'] } };
const SNAPSHOTS = { snapshotConfig: { fileType: ['jpg'] } };

type Mode = 'mix' | 'individual';
async function begin(mode: Mode, changes: object) {
  const resourceId = await acquire();
  const { status, body, headers } = await call('POST', startPath(resourceId, mode), startBody(changes));
  await settle();
  const path = (verb: string) => `${BASE}/resourceid/${resourceId}/sid/${body['sid']}/mode/${mode}/${verb}`;
  return { status, body, headers, path, plan: world.recorders.at(-1)?.start.plan };
}

/** A synchronous stop that finds everything stored. */
async function stopped(path: (verb: string) => string): Promise<unknown> {
  const answered = call('POST', path('stop'), stopBody());
  await settle();
  world.recorders.at(-1)?.tell({ type: 'ended', reason: 'stopped', recorded: true, message: '' });
  world.uploads.at(-1)?.letFinish();
  const { status, body } = await answered;
  expect(status).toBe(200);
  return body['serverResponse'];
}

describe('individual mode with MP4', () => {
  test('is accepted, and has an MP4 made of each user', async () => {
    buildApi();
    const { status, plan, headers } = await begin('individual', { ...GROUP, ...HLS_MP4 });
    expect(status).toBe(200);
    expect(plan).toMatchObject({ mode: 'individual', streamMode: 'default', extras: { mp4: true, manifest: false } });
    expect(headers).not.toHaveProperty('x-aircheck-warnings');
  });

  test.each([
    ['by aircheck.mp4', { ...GROUP, aircheck: { mp4: true } }, { mp4: true, manifest: false }],
    ['by both', { ...GROUP, ...HLS_MP4, aircheck: { manifest: true } }, { mp4: true, manifest: true }],
    ['in the other order', { ...GROUP, recordingFileConfig: { avFileType: ['mp4', 'hls'] } }, { mp4: true }],
    ['beside snapshots', { ...GROUP, ...HLS_MP4, ...SNAPSHOTS }, { mp4: true }],
    ['not asked for', { ...GROUP, ...HLS }, { mp4: false, manifest: false }],
    ['where snapshots are all', { ...GROUP, ...SNAPSHOTS, aircheck: { mp4: true } }, { mp4: false, manifest: false }],
  ])('MP4 %s', async (_how, changes, extras) => {
    buildApi();
    expect(await begin('individual', changes)).toMatchObject({ status: 200, plan: { extras } });
  });

  test.each([
    ['both', {}, true],
    ['sound alone', { streamTypes: 0 }, true],
    // `undefined` is as false.
    ['pictures alone', { streamTypes: 1 }, undefined],
  ])('one file of all speakers is made where %s is recorded', async (_what, changes, speakers) => {
    buildApi();
    const config = { recordingConfig: { subscribeUidGroup: 0, ...changes }, aircheck: { speakers: true } };
    const { status, plan } = await begin('individual', config);
    expect(status).toBe(200);
    expect((plan as IndividualPlan).extras.speakers).toBe(speakers);
  });

  const UNSUPPORTED = 'mp4, mp3, fmp4 or hls-fmp4 in avFileType is not supported by individual mode';
  const OTHERS =
    'mp3, fmp4 or hls-fmp4 in avFileType is not supported by individual mode; avFileType must be ["hls"] or ["hls","mp4"]';
  const PAIRS = 'start: avFileType must be ["hls"] or ["hls","mp4"]';
  test.each([
    [['mp4'], PAIRS, {}],
    [['hls', 'hls'], PAIRS, {}],
    [['hls', 'mp4', 'mp4'], PAIRS, {}],
    [['hls', 'mp3'], OTHERS, {}],
    [['hls', 'mp4', 'fmp4'], OTHERS, {}],
    [['hls-fmp4'], OTHERS, {}],
    [['hls', 'mp4'], UNSUPPORTED, { refuseIndividualMp4: true }],
    [['mp4'], UNSUPPORTED, { refuseIndividualMp4: true }],
  ] as [string[], string, StartOptions][])('avFileType %j is refused: %s (%j)', async (avFileType, reason, options) => {
    buildApi({ recordings: { start: options } });
    const { status, body } = await begin('individual', { ...GROUP, recordingFileConfig: { avFileType } });
    expect({ status, code: body['code'], reason: body['reason'] }).toEqual({ status: 400, code: 2, reason });
  });

  test('keeps its lists, and the rule of composites, where MP4 is refused', async () => {
    buildApi({ recordings: { start: { refuseIndividualMp4: true } } });
    expect((await begin('individual', { ...GROUP, ...HLS })).status).toBe(200);
    expect((await begin('mix', HLS_MP4)).body['code']).toBe(53);
  });
});

describe('a start without subscribeUidGroup, or without recordingConfig', () => {
  test.each([
    ['without the group', { recordingConfig: { channelType: 1 } }],
    ['with a group of null', { recordingConfig: { subscribeUidGroup: null } }],
    ['with an empty config', { recordingConfig: {} }],
    ['without the config', {}],
    ['with a config of null', { recordingConfig: null }],
  ])('%s is one of group 0, and warned of', async (_how, changes) => {
    buildApi();
    const { status, plan, headers } = await begin('individual', changes);
    expect(status).toBe(200);
    expect(plan).toMatchObject({ mode: 'individual', maxUsers: 2, records: { audio: true, video: true } });
    expect(headers['x-aircheck-warnings']).toBe('1');
    await closeApi();

    buildApi({ recordings: { start: { requireUidGroup: true } } });
    expect((await begin('individual', changes)).body).toMatchObject({
      code: 2,
      reason: 'start: subscribeUidGroup type mismatch or missing under single mode!',
    });
  });

  test('with a group that is none is refused', async () => {
    buildApi();
    for (const subscribeUidGroup of ['0', 6, 0.5]) {
      const { status, body } = await begin('individual', { recordingConfig: { subscribeUidGroup } });
      expect({ status, code: body['code'] }, `${subscribeUidGroup}`).toEqual({ status: 400, code: 2 });
    }
  });

  test.each([{}, { recordingConfig: null }])('a composite has its defaults: %j', async (changes) => {
    buildApi({ recordings: { start: { requireUidGroup: true } } });
    const { status, plan } = await begin('mix', changes);
    expect(status).toBe(200);
    expect(plan).toMatchObject({ mode: 'mix', video: { width: 360, height: 640, fps: 15 }, audio: { channels: 1 } });
  });
});

describe('sliceStartTime', () => {
  const START_MS = 1_562_724_971_626;
  const owner: FileOwner = { uid: '7', trackType: 'audio_and_video' };
  const one = { isPlayable: true };
  const ofUser = { ...one, trackType: 'audio_and_video', uid: '7', mixedAllUser: false };
  const ofAll = { ...one, trackType: 'audio_and_video', uid: '0', mixedAllUser: true };

  test.each([
    ['individual', 's', 1_562_724_971, ofUser],
    ['individual', 'ms', START_MS, ofUser],
    ['mix', 's', 1_562_724_971, ofAll],
    ['mix', 'ms', START_MS, ofAll],
  ] as const)('of files in %s mode in %s; beside them always in ms', async (mode, unit, start, members) => {
    buildApi({ recordings: { sliceStartTimeUnit: unit } });
    const { path } = await begin(mode, { ...GROUP, ...HLS_MP4 });
    const owned = mode === 'individual' ? { owner } : {};
    const upload = world.uploads.at(-1);
    upload?.tell({ type: 'playlistStored', key: 'dir1/a.m3u8', startUtcMs: START_MS, ...owned });
    upload?.tell({ type: 'wholeFileStored', key: 'dir1/a_0.mp4', startUtcMs: START_MS + 0.4, ...owned });
    await settle();
    const fileList = [
      { ...members, fileName: 'dir1/a.m3u8', sliceStartTime: start },
      { ...members, fileName: 'dir1/a_0.mp4', sliceStartTime: start },
    ];
    const queried = (await call('GET', path('query'))).body['serverResponse'];
    expect(queried).toEqual({ status: 5, fileListMode: 'json', fileList, sliceStartTime: START_MS });
    expect(await stopped(path)).toEqual({ fileListMode: 'json', fileList, uploadingStatus: 'uploaded' });
  });

  test('of the file of all speakers is that of the recording; it is of sound, and of nobody in particular', async () => {
    buildApi();
    const { path } = await begin('individual', { ...GROUP, ...HLS, aircheck: { speakers: true } });
    const file = { key: 'dir1/a_speakers.mka', startUtcMs: START_MS, trackType: 'audio' } as const;
    world.uploads.at(-1)?.tell({ type: 'wholeFileStored', ...file });
    await settle();
    const entry = { ...ofAll, trackType: 'audio', fileName: file.key, sliceStartTime: 1_562_724_971 };
    expect(await stopped(path)).toMatchObject({ fileListMode: 'json', fileList: [entry] });
  });

  test('of the one playlist of a composite stands beside it, in query', async () => {
    buildApi();
    const { path } = await begin('mix', HLS);
    world.uploads.at(-1)?.tell({ type: 'playlistStored', key: 'dir1/a.m3u8', startUtcMs: START_MS });
    await settle();
    const list = { fileListMode: 'string', fileList: 'dir1/a.m3u8' };
    const queried = (await call('GET', path('query'))).body['serverResponse'];
    expect(queried).toEqual({ status: 5, ...list, sliceStartTime: START_MS });
    expect(await stopped(path)).toEqual({ ...list, uploadingStatus: 'uploaded' });
  });

  test.each([SNAPSHOTS, { ...SNAPSHOTS, ...HLS_MP4 }])('is not told of files where snapshots are: %j', async (more) => {
    buildApi();
    const { path } = await begin('individual', { ...GROUP, ...more });
    const queried = (await call('GET', path('query'))).body['serverResponse'];
    expect(queried).toEqual({ status: 2, sliceStartTime: 0 });
    world.uploads.at(-1)?.tell({ type: 'snapshotStored', key: 'dir1/a.jpg', startUtcMs: START_MS });
    expect(await stopped(path)).toEqual({ uploadingStatus: 'uploaded' });
  });
});

describe('services that this server has not', () => {
  const service = (serviceName: string) => ({
    extensionServiceConfig: {
      errorHandlePolicy: 'error_abort',
      extensionServices: [{ serviceName, errorHandlePolicy: 'error_abort', serviceParam: { apiData: {} } }],
    },
  });

  test.each(['aliyun_voice_async_scan', 'yitu_voice_async_scan', 'aliyun_vod_service'])(
    'a composite for %s alone is refused',
    async (name) => {
      buildApi();
      const { status, body } = await begin('mix', { storageConfig: undefined, ...service(name) });
      expect({ status, code: body['code'], reason: body['reason'] }).toEqual({
        status: 400,
        code: 2,
        reason: 'start: storageConfig is missing, and this server offers no extension service in mix mode!',
      });
    },
  );

  test.each(['aliyun_voice_async_scan', 'aliyun_vod_service'])(
    'a composite that is stored is recorded without %s, and warned of',
    async (name) => {
      buildApi();
      const { status, headers } = await begin('mix', { ...service(name), storageConfig: STORAGE });
      expect({ status, warnings: headers['x-aircheck-warnings'] }).toEqual({ status: 200, warnings: '1' });
    },
  );

  test('transcoding after the recording is refused, and its options alone have no effect', async () => {
    buildApi();
    const transcodeOptions = { transConfig: { transMode: 'postponeTranscoding' }, container: { format: 'mp4' } };
    const wanted = { ...GROUP, appsCollection: { combinationPolicy: 'postpone_transcoding' }, transcodeOptions };
    expect((await begin('individual', wanted)).body).toMatchObject({
      code: 2,
      reason: expect.stringMatching(/^start: combinationPolicy "postpone_transcoding" is not offered by this server;/),
    });
    const { status, headers } = await begin('individual', {
      ...wanted,
      appsCollection: { combinationPolicy: 'default' },
    });
    expect({ status, warnings: headers['x-aircheck-warnings'] }).toEqual({ status: 200, warnings: '1' });
  });

  test('scene 2 is taken for 0, and warned of', async () => {
    buildApi();
    const { status, headers } = await call('POST', `${BASE}/acquire`, stopBody({ scene: 2 }));
    expect({ status, warnings: headers['x-aircheck-warnings'] }).toEqual({ status: 200, warnings: '1' });
  });
});
