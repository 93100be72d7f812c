/**
 * What clients in use depend on beyond the tables: the numbered list of contract §6, item by item, on a socket. What
 * this server cannot be asked for, or is proven elsewhere, is said in words.
 */
import { afterEach, describe, expect, test } from 'vitest';
import type { SpooledFile } from '../../src/media/segment.ts';
import { fakeFault, mixPlanOf, settle } from '../support/fake-ports.ts';
import { STORAGE, startBody, stopBody, world } from '../support/rest-api.ts';
import {
  acquired,
  closeApi,
  exchange,
  type Handle,
  hold,
  NAMES,
  sendAndHangUp,
  serve,
  started,
  whileHeld,
} from './error-table-support.ts';

afterEach(closeApi);

const proven = new Set<number>();
/** A test of one item of §6. */
function item(number: number, title: string, run: () => Promise<void>): void {
  proven.add(number);
  test(`§6.${number} ${title}`, async () => {
    await serve();
    await run();
  });
}

const ELSEWHERE: Record<number, string> = {
  17: 'the order of members is nothing to answer for; exact members are in item 1',
  19: 'one server has no second that takes its recordings over',
  21: 'src/http/web-recording.test.ts',
  22: 'src/http/web-recording.test.ts',
  25: 'the embedded channel has recordings beside its users, not among them: src/channel',
  27: 'webhook bodies: src/notify and test/integration/notify.quiet.test.ts',
  29: 'the embedded channel cannot kick a recorder',
};

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
const START_UTC_MS = 1_562_724_971_626.847;
const MP4 = { recordingFileConfig: { avFileType: ['hls', 'mp4'] } };

type Started = Awaited<ReturnType<typeof started>>;
const tellEnded = async ({ recorder }: Started, reason: 'stopped' | 'idle', recorded = true) => {
  recorder.tell({ type: 'ended', reason, recorded, message: '' });
  await settle();
};
/** A synchronous stop that has been taken up, and its answer to come. */
async function stopping(handle: Handle) {
  const { reached, release } = hold('saveState');
  const answer = exchange('stop', { handle });
  await reached;
  release();
  await settle();
  return { answer };
}
async function recordedWithFiles(changes: object = MP4): Promise<Started> {
  const handle = await started(changes);
  world.spool(handle.recorder, slice);
  handle.upload.tell({ type: 'playlistStored', key: 'dir1/a.m3u8', startUtcMs: START_UTC_MS });
  handle.upload.tell({ type: 'wholeFileStored', key: 'dir1/a_0.mp4', startUtcMs: START_UTC_MS + 400 });
  await settle();
  return handle;
}
const entry = { trackType: 'audio_and_video', uid: '0', mixedAllUser: true, isPlayable: true };

item(1, 'numbers are numbers, booleans booleans, uids texts', async () => {
  const handle = await recordedWithFiles();
  const files = [
    { ...entry, fileName: 'dir1/a.m3u8', sliceStartTime: 1_562_724_971 },
    { ...entry, fileName: 'dir1/a_0.mp4', sliceStartTime: 1_562_724_972 },
  ];
  const { resourceId, sid } = handle;
  expect((await exchange('query', { handle })).body).toEqual({
    ...NAMES,
    resourceId,
    sid,
    serverResponse: { status: 5, fileListMode: 'json', fileList: files, sliceStartTime: 1_562_724_971_626 },
  });
  const { answer } = await stopping(handle);
  await tellEnded(handle, 'stopped');
  handle.upload.letFinish();
  expect(await answer).toMatchObject({
    status: 200,
    body: {
      ...NAMES,
      resourceId,
      sid,
      serverResponse: { fileListMode: 'json', fileList: files, uploadingStatus: 'uploaded' },
    },
  });
});

describe.each([
  ['s', 1_562_724_971],
  ['ms', 1_562_724_971_626],
] as const)('files begin in %s', (sliceStartTimeUnit, sliceStartTime) => {
  proven.add(2);
  test('§6.2 in query and stop, and what query has beside its files is in ms always', async () => {
    await serve({ recordings: { sliceStartTimeUnit } });
    const handle = await recordedWithFiles();
    expect((await exchange('query', { handle })).body['serverResponse']).toMatchObject({
      fileList: [{ sliceStartTime }, {}],
      sliceStartTime: 1_562_724_971_626,
    });
    const stopped = await exchange('stop', { handle, body: stopBody({ async_stop: true }) });
    expect(stopped.body['serverResponse']).toMatchObject({ fileList: [{ sliceStartTime }, {}] });
  });
});

item(3, 'no file yet is a text or a list as fileListMode says', async () => {
  const handle = await started();
  expect((await exchange('query', { handle })).body['serverResponse']).toEqual({
    status: 2,
    fileListMode: 'string',
    fileList: '',
    sliceStartTime: 0,
  });
  await tellEnded(handle, 'idle', false);
  const withMp4 = await started(MP4);
  expect((await exchange('query', { handle: withMp4 })).body['serverResponse']).toEqual({
    status: 2,
    fileListMode: 'json',
    fileList: [],
    sliceStartTime: 0,
  });
});

const SNAPSHOTS = {
  recordingConfig: { subscribeUidGroup: 0 },
  snapshotConfig: { captureInterval: 5, fileType: ['jpg'] },
};
async function alone(
  clientRequest: object,
): Promise<Pick<Started, 'recorder' | 'upload'> & { mode: string; handle: Handle }> {
  const handle = await acquired();
  const body = startBody(clientRequest);
  const { status, body: reply } = await exchange('start', { handle, mode: 'individual', body });
  expect(status).toBe(200);
  await settle();
  const [recorder, upload] = [world.recorders.at(-1)!, world.uploads.at(-1)!];
  return { recorder, upload, mode: 'individual', handle: { ...handle, sid: reply['sid'] as string } };
}

item(4, 'where snapshots are taken query has no fileListMode', async () => {
  const { mode, handle, upload } = await alone(SNAPSHOTS);
  upload.tell({ type: 'snapshotStored', key: 'dir1/a.jpg', startUtcMs: START_UTC_MS });
  await settle();
  expect((await exchange('query', { handle, mode })).body['serverResponse']).toEqual({ status: 5, sliceStartTime: 0 });
});
item(4, 'also beside a recording of streams', async () => {
  const { mode, handle, upload } = await alone({ ...SNAPSHOTS, recordingFileConfig: { avFileType: ['hls'] } });
  upload.tell({ type: 'playlistStored', key: 'dir1/a.m3u8', startUtcMs: START_UTC_MS });
  await settle();
  expect((await exchange('query', { handle, mode })).body['serverResponse']).toEqual({
    status: 5,
    sliceStartTime: 1_562_724_971_626,
  });
});

item(23, 'snapshots are told of by event 45 alone, and a stop before the first is no failure', async () => {
  const { mode, handle, recorder, upload } = await alone(SNAPSHOTS);
  recorder.tell({ type: 'joined' });
  upload.tell({ type: 'snapshotStored', key: 'dir1/a.jpg', startUtcMs: START_UTC_MS });
  await settle();
  const told = world.store.notices.filter(({ eventType }) => eventType === 45);
  expect(told.map(({ payload }) => payload)).toMatchObject([
    { serviceScene: 'rtc_snapshot', details: { msgName: 'recorder_snapshot_file', fileName: 'dir1/a.jpg' } },
  ]);
  const answer = exchange('stop', { handle, mode });
  await settle();
  recorder.tell({ type: 'ended', reason: 'stopped', recorded: false, message: '' });
  await settle();
  upload.letFinish();
  expect(await answer).toMatchObject({ status: 200 });
  expect((await answer).body['serverResponse']).toEqual({ uploadingStatus: 'uploaded' });
});

item(5, 'start twice is 201, with all that a start answers', async () => {
  const { resourceId, sid } = await started();
  const again = await exchange('start', { handle: { resourceId, sid } });
  expect(again.status).toBe(201);
  expect(again.body).toEqual({ ...NAMES, resourceId, sid, code: 7, reason: 'already started' });
});

item(6, 'a new resource id for the same uid conflicts, for another uid it records as well', async () => {
  const first = await started();
  expect(await exchange('start', { handle: await acquired() })).toMatchObject({ status: 400, body: { code: 53 } });
  const names = { cname: 'ch1', uid: '2' };
  const second = await exchange('start', { handle: await acquired({}, names), body: { ...startBody(), uid: '2' } });
  expect(second.status).toBe(200);
  expect(second.body['sid']).not.toBe(first.sid);
});

item(7, 'stop twice is 49 and, once all is over, 404, as is query', async () => {
  const handle = await recordedWithFiles();
  const { answer } = await stopping(handle);
  expect(await exchange('stop', { handle })).toMatchObject({ status: 400, body: { code: 49 } });
  await tellEnded(handle, 'stopped');
  expect(await exchange('stop', { handle })).toMatchObject({ status: 400, body: { code: 49 } });
  handle.upload.letFinish();
  expect((await answer).status).toBe(200);
  await settle();
  for (const call of ['stop', 'query'] as const)
    expect(await exchange(call, { handle })).toMatchObject({ status: 404, body: { code: 404 } });
});
item(7, 'stop after the channel was idle is 49 and then 404', async () => {
  const handle = await recordedWithFiles();
  await tellEnded(handle, 'idle');
  expect(await exchange('stop', { handle })).toMatchObject({ status: 400, body: { code: 49 } });
  handle.upload.letFinish();
  await settle();
  expect(await exchange('stop', { handle })).toMatchObject({ status: 404, body: { code: 404 } });
});

const joined = async (): Promise<Started> => {
  const handle = await started(MP4);
  handle.recorder.tell({ type: 'ready' });
  handle.recorder.tell({ type: 'joined' });
  await settle();
  return handle;
};
item(8, 'without a publisher query has status 4 and no file, and then 404', async () => {
  const handle = await joined();
  expect((await exchange('query', { handle })).body['serverResponse']).toMatchObject({ status: 4, fileList: [] });
  await tellEnded(handle, 'idle', false);
  expect(await exchange('query', { handle })).toMatchObject({ status: 404, body: { code: 404 } });
});
item(8, 'without a publisher stop is 206/435', async () => {
  const handle = await joined();
  const { answer } = await stopping(handle);
  await tellEnded(handle, 'stopped', false);
  expect(await answer).toMatchObject({ status: 206, body: { code: 435, reason: 'no recorded data' } });
});

item(9, 'a start that took too long tells its sid when it is repeated', async () => {
  const handle = await acquired();
  const late = await whileHeld('saveState', () => exchange('start', { handle }));
  expect(late).toMatchObject({ status: 206, body: { code: 65 } });
  await settle();
  const sid = world.recorders.at(-1)?.start.plan.sid;
  expect(await exchange('start', { handle })).toMatchObject({ status: 201, body: { code: 7, sid } });
  expect(world.recorders).toHaveLength(1);
});

item(10, 'a uid that a user has: start is good, and the recording gone', async () => {
  world.feedFault = fakeFault('uid-taken');
  const handle = await acquired();
  const { status, body } = await exchange('start', { handle });
  expect(status).toBe(200);
  await settle();
  const sid = body['sid'] as string;
  expect(await exchange('query', { handle: { ...handle, sid } })).toMatchObject({ status: 404, body: { code: 404 } });
});

item(11, 'a bad token: start is good, and the recording gone', async () => {
  world.tokenRefusal = { errorCode: 110, message: 'the token is for another channel' };
  const handle = await acquired();
  const { status, body } = await exchange('start', { handle });
  expect(status).toBe(200);
  await settle();
  const sid = body['sid'] as string;
  expect(await exchange('query', { handle: { ...handle, sid } })).toMatchObject({ status: 404, body: { code: 404 } });
});
item(11, 'a store that can never be reached: start is good, and the recording gone', async () => {
  world.uploadFault = fakeFault('store-unusable');
  const handle = await acquired();
  const { status, body } = await exchange('start', { handle });
  expect(status).toBe(200);
  await settle();
  const recorder = world.recorders[0]!;
  expect(recorder.stoppedAtUs).toBeDefined();
  recorder.tell({ type: 'ended', reason: 'stopped', recorded: false, message: '' });
  await settle();
  const sid = body['sid'] as string;
  expect(await exchange('query', { handle: { ...handle, sid } })).toMatchObject({ status: 404, body: { code: 404 } });
});

item(12, 'an expired handle is refused by every call, and the recording goes on', async () => {
  const handle = await recordedWithFiles();
  world.clock.advance(72 * 3_600_000 + 1);
  for (const call of ['query', 'update', 'updateLayout', 'stop'] as const) {
    const { status, body } = await exchange(call, { handle });
    expect({ status, body }).toEqual({
      status: 400,
      body: { ...NAMES, code: 2, reason: 'resourceId exceeded time limit!' },
    });
  }
  expect(handle.recorder.stoppedAtUs).toBeUndefined();
  await tellEnded(handle, 'idle');
  expect(handle.upload.files).toContainEqual(slice);
  expect(handle.upload.finishing).toBe(true);
});

item(13, 'the mode of the path is the one of start', async () => {
  const handle = await started();
  for (const mode of ['individual', 'web'])
    expect(await exchange('query', { handle, mode })).toMatchObject({ status: 400, body: { code: 2 } });
});

item(14, 'a recording stops though the caller of stop hangs up', async () => {
  const handle = await recordedWithFiles();
  await sendAndHangUp(handle.path('stop'), stopBody(), async () => {
    const { reached, release } = hold('saveState');
    await reached;
    release();
  });
  await settle();
  expect(handle.recorder.stoppedAtUs).toBeDefined();
  expect(await exchange('stop', { handle })).toMatchObject({ status: 400, body: { code: 49 } });
  await tellEnded(handle, 'stopped');
  handle.upload.letFinish();
  await settle();
  expect(world.removed).toEqual([handle.sid]);
  expect(await exchange('stop', { handle })).toMatchObject({ status: 404, body: { code: 404 } });
});

item(15, 'oddities of client libraries are taken', async () => {
  // Sums over 1 by what 32-bit floats cannot say, and a body on GET.
  const half = { x_axis: 0.70000005, y_axis: 0, width: 0.30000001, height: 1 };
  const odd = [{ ...half, uid: '', alpha: 0, render_mode: 0 }];
  const handle = await started({
    storageConfig: { ...STORAGE, extensionParams: { ...STORAGE.extensionParams, sse: '', tag: '' } },
    recordingConfig: { transcodingConfig: { mixedVideoLayout: 3, layoutConfig: odd } },
  });
  const plan = mixPlanOf(handle.recorder.start);
  expect(plan.video?.layout).toMatchObject({ kind: 'custom', regions: [{ x: 0.70000005, alpha: 0 }] });
  expect(plan.video?.layout).not.toHaveProperty('regions.0.uid');
  expect((await exchange('query', { handle, body: 'null' })).status).toBe(200);
  expect((await exchange('query', { handle, headers: { 'content-type': 'application/json' } })).status).toBe(200);
  const layout = stopBody({ mixedVideoLayout: 0, maxResolutionUid: '', backgroundColor: '', layoutConfig: [] });
  expect((await exchange('updateLayout', { handle, body: layout })).status).toBe(200);
  expect((await exchange('acquire', { body: stopBody({ scene: 0 }) })).status).toBe(200);
});

item(16, 'a token may be empty or absent', async () => {
  await tellEnded(await started({ token: '' }), 'idle', false);
  expect(world.recorders).toHaveLength(1);
  await started();
  expect(world.recorders).toHaveLength(2);
});

item(18, 'query names the channel and the uid', async () => {
  const handle = await started();
  expect((await exchange('query', { handle })).body).toMatchObject(NAMES);
});

item(20, 'another start after the end is another recording', async () => {
  const first = await started();
  await tellEnded(first, 'idle', false);
  const second = await started();
  expect(second.sid).not.toBe(first.sid);
  expect(second.recorder.start.plan.baseName).not.toBe(first.recorder.start.plan.baseName);
});

item(24, 'every acquire gives out another resource id', async () => {
  const first = await exchange('acquire');
  const second = await exchange('acquire');
  expect(second.body['resourceId']).not.toBe(first.body['resourceId']);
});

item(26, 'acquire, start, update and updateLayout answer in texts only', async () => {
  const acquiring = await exchange('acquire');
  expect(acquiring.body).toEqual({ ...NAMES, resourceId: expect.stringMatching(/^[\w-]{200,340}$/) });
  const handle = { resourceId: acquiring.body['resourceId'] as string, sid: '' };
  const starting = await exchange('start', { handle });
  const sid = expect.stringMatching(/^[0-9a-f]{32}$/);
  expect(starting.body).toEqual({ ...NAMES, resourceId: handle.resourceId, sid });
  await settle();
  const running = { ...handle, sid: starting.body['sid'] as string };
  for (const call of ['update', 'updateLayout'] as const) {
    const { status, body } = await exchange(call, { handle: running });
    expect({ status, body }).toEqual({ status: 200, body: starting.body });
  }
});

item(28, 'a tiny canvas is a canvas', async () => {
  const { recorder } = await started({ recordingConfig: { transcodingConfig: { width: 96, height: 48 } } });
  expect(mixPlanOf(recorder.start).video).toMatchObject({ width: 96, height: 48 });
});

test('every item is proven here, or said where', () => {
  const said = Object.keys(ELSEWHERE).map(Number);
  expect([...proven, ...said].sort((a, b) => a - b)).toEqual(Array.from({ length: 29 }, (_, n) => n + 1));
});

describe('warnings of a request are counted in a header, and nowhere in the body', () => {
  const plain = startBody();
  const misspelt = startBody({
    recordingConfig: { maxIdelTime: 60, transcodingConfig: { backgroudColor: '#FF0000' } },
  });
  test('of a good request', async () => {
    await serve();
    const { headers, body, status } = await exchange('start', { handle: await acquired(), body: misspelt });
    expect(status).toBe(200);
    expect(headers['x-aircheck-warnings']).toBe('2');
    expect(Object.keys(body).sort()).toEqual(['cname', 'resourceId', 'sid', 'uid']);
  });
  test('of a refused request', async () => {
    await serve();
    const body = { ...misspelt, uid: '2' };
    const refused = await exchange('start', { handle: await acquired(), body });
    expect(refused.headers['x-aircheck-warnings']).toBe('2');
    expect(Object.keys(refused.body).sort()).toEqual(['cname', 'code', 'reason', 'uid']);
  });
  test('and of a request without any the header is not there', async () => {
    await serve();
    const handle = await acquired();
    expect((await exchange('start', { handle, body: plain })).headers).not.toHaveProperty('x-aircheck-warnings');
    expect((await exchange('acquire')).headers).not.toHaveProperty('x-aircheck-warnings');
  });
});
