/**
 * The calls of web mode (contract §1.2.7, §1.5 Q4, §1.6 S4, stop.txt), and what is told meanwhile (§3.4).
 */
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { settle } from '../../test/support/fake-ports.ts';
import {
  acquire,
  BASE,
  buildApi,
  call,
  closeApi,
  STORAGE,
  startPath,
  stopBody,
  world,
} from '../../test/support/rest-api.ts';
import type { SpooledFile } from '../media/segment.ts';

beforeEach(() => buildApi());
afterEach(() => closeApi());

const NAMES = { cname: 'ch1', uid: '527841' };
const PAGE = {
  ...{ url: 'https://user:secret@example.com/a?b=c', audioProfile: 2, videoWidth: 1281, videoHeight: 720 },
  maxRecordingHour: 3,
};

const body = (page: object = {}) => ({
  ...NAMES,
  clientRequest: {
    extensionServiceConfig: {
      extensionServices: [{ serviceName: 'web_recorder_service', serviceParam: { ...PAGE, ...page } }],
    },
    storageConfig: STORAGE,
  },
});

async function started(page: object = {}) {
  const resourceId = await acquire({ scene: 1 });
  const answer = await call('POST', startPath(resourceId, 'web'), body(page));
  expect(answer.status).toBe(200);
  await settle();
  const sid = answer.body['sid'] as string;
  const path = (verb: string) => `${BASE}/resourceid/${resourceId}/sid/${sid}/mode/web/${verb}`;
  const recorder = world.recorders.at(-1)!;
  const query = async () => {
    const { status, body } = await call('GET', path('query'));
    return { status, state: (body['serverResponse'] as { extensionServiceState?: unknown })?.extensionServiceState };
  };
  return { resourceId, sid, path, recorder, upload: world.uploads.at(-1)!, query };
}
const service = (onhold: boolean, state: string, fileList: object[] = []) => ({
  serviceName: 'web_recorder_service',
  payload: { fileList, onhold, state },
});
const SLICE: SpooledFile = {
  ...{ type: 'slice', name: 'a.ts', playlist: 'a.m3u8', index: 0, startUtcMs: 1_562_724_971_626, durationUs: 1 },
  ...{ bytes: 1, discontinuity: false, starts: [], rotations: [] },
};
const told = () => world.store.notices.map(({ eventType }) => eventType);
const update = (path: string, clientRequest: object) => call('POST', path, { ...NAMES, clientRequest });

test('start opens the page that was asked for, by the defaults of the contract', async () => {
  const { recorder } = await started();
  expect(recorder.start.source).toMatchObject({ kind: 'page', url: PAGE.url, mobile: false, readyTimeoutMs: 0 });
  expect(recorder.start.plan).toEqual({
    mode: 'web',
    sid: expect.any(String),
    baseName: expect.stringMatching(/_ch1$/),
    video: { width: 1280, height: 720, fps: 15, bitrateKbps: 2000 },
    audio: { channels: 2, bitrateKbps: 192 },
    files: { hls: true, mp4: false },
    mp4Limit: { durationMs: 7_200_000, bytes: 2_000_000_000 },
    maxAgeMs: 10_800_000,
    onhold: false,
  });
  // A page has no channel.
  expect(world.feedsOpen).toBe(0);
  expect(world.prepared).toEqual([]);
});

test.each([
  [{ videoWidth: 640, videoHeight: 360 }, { bitrateKbps: 1500 }],
  [{ VideoBitrate: 900 }, { bitrateKbps: 900 }],
  [
    { videoBitrate: 8000, videoFps: 60 },
    { bitrateKbps: 8000, fps: 60 },
  ],
])('%j', async (page, video) => {
  const { recorder } = await started(page);
  expect(recorder.start.plan).toMatchObject({ video });
});

test('a machine that cannot record pages refuses start, and says why in its log', async () => {
  await closeApi();
  const sourceOf = () => {
    throw new Error('no source is asked for');
  };
  const refusal = 'recording web pages needs Xvfb: apt-get install xvfb';
  buildApi({ recordings: { pages: { refusal, sourceOf, sweep: () => {} } } });
  const answer = await call('POST', startPath(await acquire({ scene: 1 }), 'web'), body());
  expect(answer).toMatchObject({ status: 500, body: { code: 502 } });
  expect(world.lines.at(-1)?.text).toContain(refusal);
});

describe('query and stop', () => {
  test('have exactly the members of the contract, from init to exit', async () => {
    const { recorder, upload, query, path, sid, resourceId } = await started();
    expect(await query()).toEqual({ status: 200, state: [service(false, 'init')] });
    recorder.tell({ type: 'joined' });
    world.spool(recorder, SLICE);
    upload.tell({ type: 'playlistStored', key: 'dir1/a.m3u8', startUtcMs: 1_562_724_971_626.8 });
    upload.tell({ type: 'wholeFileStored', key: 'dir1/a_0.mp4', startUtcMs: 1_562_724_971_626.8 });
    await settle();
    const files = ['dir1/a.m3u8', 'dir1/a_0.mp4'].map((filename) => ({ filename, sliceStartTime: 1_562_724_971 }));
    expect(await query()).toEqual({ status: 200, state: [service(false, 'inProgress', files)] });
    const stopping = call('POST', path('stop'), stopBody());
    await settle();
    recorder.tell({ type: 'ended', reason: 'stopped', recorded: true, message: '' });
    await settle();
    expect(await query()).toEqual({ status: 200, state: [service(false, 'exit', files)] });
    upload.letFinish('backuped');
    const { status, body } = await stopping;
    expect({ status, body }).toEqual({
      status: 200,
      body: {
        ...{ ...NAMES, resourceId, sid },
        serverResponse: {
          extensionServiceState: [
            service(false, 'exit', files),
            { serviceName: 'upload_service', payload: { uploadingStatus: 'backuped' } },
          ],
        },
      },
    });
    expect((await query()).status).toBe(404);
    expect((await call('POST', path('stop'), stopBody())).status).toBe(404);
  });

  test('an asynchronous stop says what is so at that time', async () => {
    const { recorder, path } = await started();
    recorder.tell({ type: 'joined' });
    await settle();
    const { body } = await call('POST', path('stop'), stopBody({ async_stop: true }));
    expect(body['serverResponse']).toEqual({
      extensionServiceState: [
        service(false, 'inProgress'),
        { serviceName: 'upload_service', payload: { uploadingStatus: 'unknown' } },
      ],
    });
  });
});

describe('update', () => {
  test('pauses the recording and goes on with it', async () => {
    const { recorder, query, path } = await started({ onhold: true });
    expect(recorder.start.plan).toMatchObject({ onhold: true });
    recorder.tell({ type: 'joined' });
    await settle();
    expect((await query()).state).toEqual([service(true, 'inProgress')]);
    expect((await update(path('update'), { webRecordingConfig: { onhold: false } })).status).toBe(200);
    expect((await query()).state).toEqual([service(false, 'inProgress')]);
    // As in the contract, what is left out is false.
    await update(path('update'), { webRecordingConfig: { onhold: true } });
    await update(path('update'), { webRecordingConfig: {} });
    expect(recorder.changes.map((change) => change.type === 'changeHold' && change.onhold)).toEqual([
      false,
      true,
      false,
    ]);
  });

  test('of the store alone leaves the pause as it is', async () => {
    const { recorder, query, path } = await started({ onhold: true });
    const answer = await update(path('update'), { storageConfig: { ...STORAGE, accessKey: 'new' } });
    expect(answer.status).toBe(200);
    expect(recorder.changes).toEqual([]);
    expect((await query()).state).toEqual([service(true, 'init')]);
  });
});

describe('events', () => {
  test('of a recording in good order', async () => {
    const { recorder, upload, path } = await started();
    recorder.tell({ type: 'joined' });
    recorder.tell({ type: 'pageReloaded', reason: 'loadTimeout', message: 'late' });
    recorder.tell({ type: 'pageReloaded', reason: 'audioSilence', message: 'silent' });
    recorder.tell({ type: 'pageReloaded', reason: 'crashed', message: 'it crashed' });
    world.spool(recorder, SLICE);
    upload.tell({ type: 'playlistStored', key: 'a.m3u8', startUtcMs: 1000.5 });
    await call('POST', path('stop'), stopBody({ async_stop: true }));
    recorder.tell({ type: 'ended', reason: 'stopped', recorded: true, message: '' });
    await settle();
    upload.letFinish();
    await settle();
    expect(told().filter((type) => type !== 30)).toEqual([70, 73, 73, 1, 4, 71, 31, 11]);
    const reloads = world.store.notices.flatMap(({ payload: { details } }) => details['reason'] ?? []);
    expect(reloads).toEqual(['page_load_timeout', 'audio_silence']);
    const detailsOf = (type: number) =>
      world.store.notices.find(({ eventType }) => eventType === type)?.payload.details;
    expect(detailsOf(71)).toMatchObject({ code: 0, fileList: [{ filename: 'a.m3u8', sliceStartTime: 1000 }] });
    expect(detailsOf(1)).toMatchObject({ module: 6, errorLevel: 4, errorMsg: 'it crashed' });
    expect(detailsOf(31)).toEqual({ msgName: 'uploaded', status: 0 });
    expect(new Set(world.store.notices.map(({ payload }) => payload.serviceScene))).toEqual(new Set(['web_record']));
  });

  test.each([
    ['aged', 1, [71, 11], 0],
    ['pageLate', 4, [1, 71, 11], 1],
    ['pageUnreachable', 5, [1, 71, 11], 1],
  ] as const)('%s is code %i of 71, and ends the recording at once', async (reason, code, types, exitStatus) => {
    const { recorder, upload } = await started();
    recorder.tell({ type: 'ended', reason, recorded: false, message: 'why it is so' });
    await settle();
    upload.letFinish();
    await settle();
    expect(world.recorders).toHaveLength(1);
    expect(told()).toEqual(types);
    const details = world.store.notices.map(({ payload }) => payload.details);
    expect(details.at(-2)).toMatchObject({ code, details: 'why it is so' });
    expect(details.at(-1)).toMatchObject({ exitStatus });
  });

  test('a recorder that is lost is followed by one that opens the page again; three lost are the end', async () => {
    const { recorder, upload } = await started();
    recorder.tell({ type: 'joined' });
    recorder.exit('SIGKILL');
    await settle();
    expect(world.recorders[1]!.start).toMatchObject({ generation: 2, source: { kind: 'page', url: PAGE.url } });
    for (const n of [1, 2]) {
      world.recorders[n]!.exit('SIGKILL');
      await settle();
    }
    upload.letFinish();
    await settle();
    expect(told().filter((type) => type !== 30)).toEqual([70, 12, 12, 1, 71, 11]);
    expect(world.store.notices.at(-2)?.payload.details).toMatchObject({ code: 6 });
  });
});
