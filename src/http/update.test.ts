import { beforeEach, describe, expect, test } from 'vitest';
import { mixPlanOf, settle } from '../../test/support/fake-ports.ts';
import {
  type Answer,
  acquire,
  BASE,
  buildApi,
  call,
  STORAGE,
  start,
  stopBody,
  world,
} from '../../test/support/rest-api.ts';
import type { SpooledFile } from '../media/segment.ts';

beforeEach(() => buildApi());

type Started = Awaited<ReturnType<typeof start>>;
const update = ({ path }: Started, clientRequest: object): Promise<Answer> =>
  call('POST', path('update'), stopBody(clientRequest));
const updateLayout = ({ path }: Started, clientRequest: object): Promise<Answer> =>
  call('POST', path('updateLayout'), stopBody(clientRequest));
const subscribe = (lists: { audio?: object; video?: object }) => ({
  streamSubscribe: {
    ...(lists.audio && { audioUidList: lists.audio }),
    ...(lists.video && { videoUidList: lists.video }),
  },
});
const documentOf = ({ sid }: Started) => world.store.tasks.get(sid)!.task.document;
const refused = (reason: string | RegExp, status = 400, code = 2) => ({
  status,
  body: { cname: 'ch1', uid: '527841', code, reason: expect.stringMatching(reason) },
});
async function expectUnchanged(recording: Started, act: () => Promise<void>): Promise<void> {
  const before = documentOf(recording);
  await act();
  expect(documentOf(recording)).toEqual(before);
  expect(recording.recorder.changes).toEqual([]);
  expect(recording.upload.storages).toEqual([]);
}

describe('update of subscriptions', () => {
  test('answers in four texts, and reaches the recorder and the store as of the moment of the call', async () => {
    const recording = await start();
    world.clock.advance(5000);
    const { status, body } = await update(recording, subscribe({ audio: { subscribeAudioUids: ['1', '2'] } }));
    const { resourceId, sid } = recording;
    expect({ status, body }).toEqual({ status: 200, body: { cname: 'ch1', uid: '527841', resourceId, sid } });
    const wanted = { audio: { kind: 'only', uids: ['1', '2'] }, video: { kind: 'none' } };
    expect(recording.recorder.changes).toEqual([
      { type: 'changeSubscription', atMonoUs: 5_000_000, subscribe: wanted },
    ]);
    expect(documentOf(recording).plan).toMatchObject({ subscribe: wanted });
  });

  const none = { kind: 'none' };
  test.each([
    [{ audio: { subscribeAudioUids: ['1'] } }, { kind: 'only', uids: ['1'] }, none],
    [{ video: { subscribeVideoUids: ['1'] } }, none, { kind: 'only', uids: ['1'] }],
    [{ audio: { unSubscribeAudioUids: ['1'] } }, { kind: 'except', uids: ['1'] }, none],
    [{ audio: { unsubscribeAudioUids: ['1'] } }, { kind: 'except', uids: ['1'] }, none],
    [{ video: { unsubscribeVideoUids: ['1'] } }, none, { kind: 'except', uids: ['1'] }],
    [
      { audio: { subscribeAudioUids: ['#allstream#'] }, video: { unSubscribeVideoUids: ['2'] } },
      { kind: 'all' },
      { kind: 'except', uids: ['2'] },
    ],
    [
      { audio: { unSubscribeAudioUids: ['#allstream#'] }, video: { subscribeVideoUids: ['#allstream#'] } },
      none,
      { kind: 'all' },
    ],
  ])('%j', async (lists, audio, video) => {
    const recording = await start();
    expect((await update(recording, subscribe(lists))).status).toBe(200);
    expect(documentOf(recording).plan).toMatchObject({ subscribe: { audio, video } });
    expect(recording.recorder.changes).toMatchObject([{ subscribe: { audio, video } }]);
  });

  test('the next update replaces the whole of the one before', async () => {
    const recording = await start({ recordingConfig: { subscribeAudioUids: ['1'], subscribeVideoUids: ['1'] } });
    await update(recording, subscribe({ audio: { subscribeAudioUids: ['2'] }, video: { subscribeVideoUids: ['2'] } }));
    await update(recording, subscribe({ video: { unSubscribeVideoUids: ['3'] } }));
    expect(documentOf(recording).plan).toMatchObject({
      subscribe: { audio: none, video: { kind: 'except', uids: ['3'] } },
    });
    expect(recording.recorder.changes).toHaveLength(2);
  });

  test('a kind that is not recorded stays away', async () => {
    const recording = await start({ recordingConfig: { streamTypes: 0 } });
    const all = { audio: { subscribeAudioUids: ['1'] }, video: { subscribeVideoUids: ['1'] } };
    expect((await update(recording, subscribe(all))).status).toBe(200);
    expect(documentOf(recording).plan).toMatchObject({
      subscribe: { audio: { kind: 'only', uids: ['1'] }, video: none },
    });
  });

  test.each([
    [{}],
    [{ streamSubscribe: {} }],
    [{ streamSubscribe: { audioUidList: {} } }],
    [{ streamSubscribe: null }],
  ])('%j changes nothing and is good', async (clientRequest) => {
    const recording = await start({ recordingConfig: { subscribeAudioUids: ['1'] } });
    await expectUnchanged(recording, async () => {
      expect((await update(recording, clientRequest)).status).toBe(200);
    });
  });

  test('the misspelling of one client library has no effect and is warned of', async () => {
    const recording = await start();
    const { status, headers } = await update(recording, subscribe({ video: { unsunscribeVideoUids: ['1'] } }));
    expect(status).toBe(200);
    expect(headers['x-aircheck-warnings']).toBe('1');
    expect(recording.recorder.changes).toEqual([]);
    expect(documentOf(recording).warnings).toMatchObject([{ code: 'misspelt' }]);
  });

  const exclusive = /^update: subscribe(Audio|Video)Uids and unSubscribe(Audio|Video)Uids exclude each other$/;
  const uids = (count: number) => Array.from({ length: count }, (_, n) => String(n + 1));
  test.each([
    [{ audio: { subscribeAudioUids: [] } }, /^update: subscribeAudioUids must not be empty$/],
    [{ video: { unSubscribeVideoUids: [] } }, /^update: unSubscribeVideoUids must not be empty$/],
    [{ audio: { subscribeAudioUids: ['1'], unSubscribeAudioUids: ['2'] } }, exclusive],
    [{ audio: { subscribeAudioUids: ['1'], unsubscribeAudioUids: ['2'] } }, exclusive],
    [{ video: { subscribeVideoUids: ['1'], unSubscribeVideoUids: ['2'] } }, exclusive],
    [{ audio: { subscribeAudioUids: [1] } }, /^update: subscribeAudioUids type mismatch/],
    [
      { audio: { subscribeAudioUids: '1' } },
      /^update: subscribeAudioUids type mismatch or missing under audioUidList! audioUidList.subscribeAudioUids must be a list$/,
    ],
    [{ audio: { subscribeAudioUids: ['bob'] } }, /^update: subscribeAudioUids must list uids/],
    [{ audio: { subscribeAudioUids: ['1', '#allstream#'] } }, /^update: subscribeAudioUids must list uids/],
    [{ audio: { subscribeAudioUids: uids(33) } }, /^update: subscribeAudioUids may name at most 32 users$/],
  ])('%j is refused and changes nothing', async (lists, reason) => {
    const recording = await start();
    await expectUnchanged(recording, async () => {
      expect(await update(recording, subscribe(lists))).toMatchObject(refused(reason));
    });
    expect((await update(recording, subscribe({ audio: { subscribeAudioUids: uids(32) } }))).status).toBe(200);
  });
});

describe('update of the storage', () => {
  const fresh = { ...STORAGE, accessKey: 'AK2', secretKey: 'SK2', stsToken: 'ST2', stsExpiration: 1_800_000_000 };

  test('renews the credentials, and nothing else', async () => {
    const recording = await start();
    const { status } = await update(recording, { storageConfig: { ...fresh, fileNamePrefix: ['elsewhere'] } });
    expect(status).toBe(200);
    const renewed = { ...fresh, fileNamePrefix: ['dir1'] };
    expect(recording.upload.storages).toEqual([renewed]);
    expect(documentOf(recording).storage).toEqual(renewed);
    expect(recording.recorder.changes).toEqual([]);
  });

  test('goes together with other lists', async () => {
    const recording = await start();
    const both = { ...subscribe({ audio: { subscribeAudioUids: ['1'] } }), storageConfig: fresh };
    expect((await update(recording, both)).status).toBe(200);
    expect(recording.upload.storages).toHaveLength(1);
    expect(recording.recorder.changes).toHaveLength(1);
  });

  test('drops a session token that is not sent again', async () => {
    const recording = await start({ storageConfig: fresh });
    expect((await update(recording, { storageConfig: STORAGE })).status).toBe(200);
    expect(documentOf(recording).storage.stsToken).toBeUndefined();
    expect(recording.upload.storages).toMatchObject([{ accessKey: 'AK', stsToken: undefined }]);
  });

  test.each([
    [{ bucket: 'another' }, /^update: storageConfig\.bucket cannot change/],
    [{ vendor: 1 }, /^update: storageConfig\.vendor cannot change/],
    [{ region: 3 }, /^update: storageConfig\.region cannot change/],
    [{ accessKey: '' }, /^update: accessKey must not be empty$/],
    [
      { secretKey: 5 },
      /^update: secretKey type mismatch or missing under storageConfig! storageConfig.secretKey must be a string$/,
    ],
    [{ vendor: 99 }, /^update: vendor must be one of/],
  ])('%j is refused and changes nothing', async (changes, reason) => {
    const recording = await start();
    await expectUnchanged(recording, async () => {
      const body = { ...subscribe({ audio: { subscribeAudioUids: ['1'] } }), storageConfig: { ...fresh, ...changes } };
      expect(await update(recording, body)).toMatchObject(refused(reason));
    });
  });

  test('credentials never come back in a refusal', async () => {
    const recording = await start();
    const { body } = await update(recording, { storageConfig: { ...fresh, bucket: 'another' } });
    expect(JSON.stringify(body)).not.toMatch(/SK2|AK2|ST2/);
  });
});

describe('update in other modes', () => {
  const handleOf = async (mode: string) => {
    const resourceId = await acquire(mode === 'web' ? { scene: 1 } : {});
    return `${BASE}/resourceid/${resourceId}/sid/${'a'.repeat(32)}/mode/${mode}/update`;
  };
  test.each([
    [
      'web',
      { webRecordingConfig: { onhold: 'yes' } },
      /^update: onhold type mismatch or missing under webRecordingConfig! webRecordingConfig.onhold must be true or false$/,
    ],
    ['web', { rtmpPublishConfig: { outputs: [] } }, /^update: outputs must have 1 to 4 entries$/],
    [
      'web',
      { rtmpPublishConfig: { outputs: [{ rtmpUrl: 'https://x/y' }] } },
      /^update: outputs\[0\].rtmpUrl must be an rtmp/,
    ],
    [
      'web',
      { rtmpPublishConfig: {} },
      /^update: outputs type mismatch or missing under rtmpPublishConfig! rtmpPublishConfig.outputs is missing$/,
    ],
    ['web', { storageConfig: { ...STORAGE, bucket: '' } }, /^update: bucket must not be empty$/],
    ['individual', subscribe({ audio: { subscribeAudioUids: [] } }), /^update: subscribeAudioUids must not be empty$/],
    ['individual', { storageConfig: { ...STORAGE, vendor: 99 } }, /^update: vendor must be one of/],
  ])('%s: %j is refused', async (mode, clientRequest, reason) => {
    expect(await call('POST', await handleOf(mode), stopBody(clientRequest))).toMatchObject(refused(reason));
  });

  test.each([
    ['web', { webRecordingConfig: { onhold: true }, rtmpPublishConfig: { outputs: [{ rtmpUrl: 'rtmps://x/y' }] } }],
    ['web', { webRecordingConfig: {} }],
    ['individual', subscribe({ video: { subscribeVideoUids: ['1'] } })],
  ])('%s: %j is good, and finds no recording', async (mode, clientRequest) => {
    expect(await call('POST', await handleOf(mode), stopBody(clientRequest))).toMatchObject(
      refused(/^failed to find worker$/, 404, 404),
    );
  });
});

describe('update of what is drawn over pictures', () => {
  const overlays = { hidesWithoutVideo: true, clock: { timeZone: 'UTC', format: 'HH:mm', corner: 'top-right' } };

  test('keeps what is not said, and reaches the recorder whole and the store', async () => {
    const recording = await start({ aircheck: { clock: { format: 'HH:mm' } } });
    world.clock.advance(7000);
    expect((await update(recording, { aircheck: { hideUsersWithoutVideo: true } })).status).toBe(200);
    expect(recording.recorder.changes).toEqual([{ type: 'changeOverlays', atMonoUs: 7_000_000, overlays }]);
    expect((await updateLayout(recording, RED_REGIONS)).status).toBe(200);
    expect(mixPlanOf(documentOf(recording)).video).toMatchObject({ backgroundColor: '#FF0000', overlays });
    expect((await update(recording, { aircheck: { remove: ['clock'] } })).status).toBe(200);
    expect(mixPlanOf(documentOf(recording)).video?.overlays).toEqual({ hidesWithoutVideo: true });
  });

  test('what is wrong in it is refused in words, and changes nothing', async () => {
    const recording = await start({ aircheck: { clock: { format: 'HH:mm' }, hideUsersWithoutVideo: true } });
    await expectUnchanged(recording, async () => {
      const { status, body } = await update(recording, { aircheck: { clock: { timeZone: 'Moon' } } });
      expect({ status, body }).toMatchObject({ status: 400, body: { reason: expect.stringContaining('IANA') } });
    });
  });

  test('has no effect on a recording of sound alone', async () => {
    const recording = await start({ recordingConfig: { streamTypes: 0 } });
    const { status, headers } = await update(recording, { aircheck: { hideUsersWithoutVideo: true } });
    expect({ status, warnings: headers['x-aircheck-warnings'] }).toEqual({ status: 200, warnings: '1' });
    expect(recording.recorder.changes).toEqual([]);
  });
});

const region = { uid: '1', x_axis: 0.1, y_axis: 0.2, width: 0.3, height: 0.4, alpha: 0.5, render_mode: 1 };
const RED_REGIONS = { mixedVideoLayout: 3, backgroundColor: '#FF0000', layoutConfig: [region] };

describe('updateLayout', () => {
  const custom = {
    kind: 'custom',
    regions: [{ uid: '1', x: 0.1, y: 0.2, width: 0.3, height: 0.4, alpha: 0.5, render: 'fit' }],
  };

  test('answers in four texts, and reaches the recorder and the store as of the moment of the call', async () => {
    const recording = await start();
    world.clock.advance(7000);
    const { status, body } = await updateLayout(recording, RED_REGIONS);
    const { resourceId, sid } = recording;
    expect({ status, body }).toEqual({ status: 200, body: { cname: 'ch1', uid: '527841', resourceId, sid } });
    expect(recording.recorder.changes).toEqual([
      { type: 'changeLayout', atMonoUs: 7_000_000, layout: custom, backgroundColor: '#FF0000' },
    ]);
    expect(mixPlanOf(documentOf(recording)).video).toMatchObject({ layout: custom, backgroundColor: '#FF0000' });
  });

  test('replaces everything: what is not sent goes back to its default', async () => {
    const recording = await start({ recordingConfig: { transcodingConfig: { width: 720, fps: 24, ...RED_REGIONS } } });
    expect((await updateLayout(recording, {})).status).toBe(200);
    const layout = { kind: 'floating' };
    expect(recording.recorder.changes).toMatchObject([{ layout, backgroundColor: '#000000' }]);
    // Size and rate are not a layout's, and stay.
    expect(mixPlanOf(documentOf(recording)).video).toEqual({
      width: 720,
      height: 640,
      fps: 24,
      bitrateKbps: 500,
      layout,
      backgroundColor: '#000000',
    });
  });

  test.each([
    [{ mixedVideoLayout: 1 }, { kind: 'bestFit' }],
    [
      { mixedVideoLayout: 2, maxResolutionUid: '7' },
      { kind: 'vertical', maxResolutionUid: '7' },
    ],
    [{ mixedVideoLayout: 2, maxResolutionUid: '' }, { kind: 'vertical' }],
    [{ mixedVideoLayout: 0, layoutConfig: [region] }, { kind: 'floating' }],
    [
      { mixedVideoLayout: 3, layoutConfig: [{ uid: '', x_axis: 0, y_axis: 0, width: 1, height: 1, alpha: 0 }] },
      { kind: 'custom', regions: [{ x: 0, y: 0, width: 1, height: 1, alpha: 0, render: 'crop' }] },
    ],
  ])('%j', async (clientRequest, layout) => {
    const recording = await start();
    expect((await updateLayout(recording, clientRequest)).status).toBe(200);
    expect(recording.recorder.changes).toEqual([
      { type: 'changeLayout', atMonoUs: 0, layout, backgroundColor: '#000000' },
    ]);
  });

  test('size, rate and bitrate in it have no effect and are warned of', async () => {
    const recording = await start();
    const { status, headers } = await updateLayout(recording, { width: 1280, fps: 30 });
    expect(status).toBe(200);
    expect(headers['x-aircheck-warnings']).toBe('2');
    expect(mixPlanOf(documentOf(recording)).video).toMatchObject({ width: 360, fps: 15 });
    expect(documentOf(recording).warnings).toHaveLength(2);
  });

  const regions = (...changes: object[]) => ({
    mixedVideoLayout: 3,
    layoutConfig: changes.map((change) => ({ ...region, ...change })),
  });
  const mismatch = (field: string, rule: string) =>
    new RegExp(
      `^updateLayout: ${field} type mismatch or missing under layoutConfig! layoutConfig\\[\\d\\]\\.${field}.*${rule}$`,
    );
  const INVALID: [object, RegExp][] = [
    [{ mixedVideoLayout: 3 }, /^updateLayout: layoutConfig is required when mixedVideoLayout is 3$/],
    [{ mixedVideoLayout: 3, layoutConfig: [] }, /^updateLayout: layoutConfig is required/],
    [{ mixedVideoLayout: 4 }, /^updateLayout: mixedVideoLayout must be one of 0, 1, 2, 3$/],
    [
      { mixedVideoLayout: '1' },
      /^updateLayout: mixedVideoLayout type mismatch or missing under clientRequest! clientRequest.mixedVideoLayout must be a number: 0, 1, 2, 3$/,
    ],
    [{ backgroundColor: 'red' }, /^updateLayout: backgroundColor must be "#RRGGBB"$/],
    [{ maxResolutionUid: 'bob' }, /^updateLayout: maxResolutionUid must be a string holding a whole number from 1/],
    [regions({ width: 1.5 }), mismatch('width', 'must be a number from 0 to 1')],
    [regions({ width: '0.5' }), mismatch('width', 'must be a number')],
    [regions({ height: undefined }), mismatch('height', 'is missing')],
    [regions({}, { x_axis: -0.1 }), mismatch('x_axis', 'must be a number from 0 to 1')],
    [regions({ y_axis: 0.7 }), mismatch('height', 'is over 1')],
    [regions({ x_axis: 0.8 }), mismatch('width', 'is over 1')],
    [regions({ alpha: 2 }), mismatch('alpha', 'must be a number from 0 to 1')],
    [regions(...Array.from({ length: 18 }, () => ({}))), /^updateLayout: layoutConfig may have at most 17 entries$/],
  ];
  test.each(INVALID)('%j is refused and changes nothing', async (clientRequest, reason) => {
    const recording = await start();
    await expectUnchanged(recording, async () => {
      expect(await updateLayout(recording, clientRequest)).toMatchObject(refused(reason));
    });
  });

  test.each(INVALID)('%j had a code of its own until 2026', async (clientRequest, reason) => {
    buildApi({ http: { legacyErrorCodes: true } });
    const recording = await start();
    expect(await updateLayout(recording, clientRequest)).toMatchObject(refused(reason, 400, 1028));
  });

  test.each([
    ['individual', 0],
    ['web', 1],
  ])('%s has no layout', async (mode, scene) => {
    const resourceId = await acquire({ scene });
    const url = `${BASE}/resourceid/${resourceId}/sid/${'a'.repeat(32)}/mode/${mode}/updateLayout`;
    expect(await call('POST', url, stopBody())).toMatchObject(refused(`^updateLayout: mode ${mode} has no layout!$`));
  });
});

describe.each([
  ['update', subscribe({ audio: { subscribeAudioUids: ['1'] } })],
  ['updateLayout', { mixedVideoLayout: 1 }],
] as const)('%s of what is not running', (verb, clientRequest) => {
  const body = stopBody(clientRequest);
  const gone = refused(/^failed to find worker$/, 404, 404);

  test('is not found while it stops, while it uploads, and after', async () => {
    const { path, recorder, upload } = await start();
    await call('POST', path('stop'), stopBody({ async_stop: true }));
    expect(await call('POST', path(verb), body)).toMatchObject(gone);
    const slice: SpooledFile = {
      type: 'slice',
      name: 'x.ts',
      playlist: 'x.m3u8',
      index: 0,
      startUtcMs: 0,
      durationUs: 1,
      bytes: 1,
      discontinuity: false,
      starts: [],
      rotations: [],
    };
    world.spooled.set(recorder.start.plan.sid, [{ dir: '/spool', file: slice }]);
    recorder.tell({ type: 'ended', reason: 'stopped', recorded: true, message: '' });
    await settle();
    expect(await call('POST', path(verb), body)).toMatchObject(gone);
    upload.letFinish();
    await settle();
    expect(await call('POST', path(verb), body)).toMatchObject(gone);
    expect(recorder.changes).toEqual([]);
  });

  test('reaches a recorder that is not ready yet', async () => {
    const { path, recorder } = await start();
    expect((await call('POST', path(verb), body)).status).toBe(200);
    expect(recorder.changes).toHaveLength(1);
  });

  test('changes nothing when it cannot be stored', async () => {
    const { path, recorder } = await start();
    world.store.broken = true;
    expect(await call('POST', path(verb), body)).toMatchObject(refused(/^internal_error$/, 500, 500));
    expect(recorder.changes).toEqual([]);
  });
});
