/**
 * The calls of web mode with a push (contract §1.2.7, §1.3, §1.5 Q5, §1.6 S4), and event 100 (§3.4).
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
import { pushPort } from '../app/pushes.ts';
import type { PushStatus } from '../contract/line/push.ts';

beforeEach(() => buildApi({ recordings: { pushes: pushPort(['10.1.0.0/16']) } }));
afterEach(() => closeApi());

const NAMES = { cname: 'ch1', uid: '527841' };
const [FIRST, SECOND] = ['rtmp://live.example.com/app/first-key', 'rtmps://live.example.com/app/second-key'];
const [FIRST_TOLD, SECOND_TOLD] = ['rtmp://live.example.com/app/***', 'rtmps://live.example.com/app/***'];
const outputsOf = (urls: readonly string[]) => urls.map((rtmpUrl) => ({ rtmpUrl }));

/** As in the samples of the contract (§1.2.9). */
const startBody = (urls: readonly string[], page: object = {}) => ({
  ...NAMES,
  clientRequest: {
    token: '007',
    extensionServiceConfig: {
      errorHandlePolicy: 'error_abort',
      extensionServices: [
        {
          serviceName: 'web_recorder_service',
          errorHandlePolicy: 'error_abort',
          serviceParam: {
            url: 'https://example.com',
            audioProfile: 0,
            videoWidth: 1280,
            videoHeight: 720,
            maxRecordingHour: 3,
            maxVideoDuration: 200,
            ...page,
          },
        },
        ...(urls.length > 0
          ? [
              {
                serviceName: 'rtmp_publish_service',
                errorHandlePolicy: 'error_ignore',
                serviceParam: { outputs: outputsOf(urls) },
              },
            ]
          : []),
      ],
    },
    recordingFileConfig: { avFileType: ['hls', 'mp4'] },
    storageConfig: STORAGE,
  },
});

async function started(urls: readonly string[], page: object = {}) {
  const resourceId = await acquire({ scene: 1 });
  const answer = await call('POST', startPath(resourceId, 'web'), startBody(urls, page));
  expect(answer.status).toBe(200);
  await settle();
  const path = (verb: string) => `${BASE}/resourceid/${resourceId}/sid/${answer.body['sid']}/mode/web/${verb}`;
  const recorder = world.recorders.at(-1)!;
  const stateOf = async (verb: 'GET query' | 'POST stop') => {
    const [method, name] = verb.split(' ') as ['GET' | 'POST', string];
    const { body } = await call(method, path(name), method === 'POST' ? stopBody({ async_stop: true }) : undefined);
    return (body['serverResponse'] as { extensionServiceState: unknown[] }).extensionServiceState;
  };
  const tell = (url: string, address: string, status: PushStatus) => {
    const { id } = world.recorders.at(-1)!.targets.find((target) => target.url === url)!;
    world.recorders.at(-1)!.tell({ type: 'pushChanged', id, address, status });
  };
  return {
    recorder,
    stateOf,
    tell,
    update: (clientRequest: object) => call('POST', path('update'), { ...NAMES, clientRequest }),
  };
}
const page = (onhold: boolean, state: string) => ({
  payload: { fileList: [], onhold, state },
  serviceName: 'web_recorder_service',
});
const pushed = (state: string, ...outputs: [rtmpUrl: string, status: PushStatus][]) => ({
  payload: { outputs: outputs.map(([rtmpUrl, status]) => ({ rtmpUrl, status })), state },
  serviceName: 'rtmp_publish_service',
});
const told = () =>
  world.store.notices.flatMap(({ eventType, payload }) => (eventType === 100 ? [payload.details] : []));
const notice = (rtmpUrl: string, status: PushStatus) => ({ msgName: 'rtmp_publish_status', rtmpUrl, status });

test('query has the push behind the page, and stop has nothing of it', async () => {
  const { recorder, stateOf, tell } = await started([FIRST]);
  expect(await stateOf('GET query')).toEqual([page(false, 'init'), pushed('init', [FIRST, 'connecting'])]);
  recorder.tell({ type: 'joined' });
  for (const status of ['connecting', 'publishing'] as const) tell(FIRST, FIRST_TOLD, status);
  await settle();
  expect(await stateOf('GET query')).toEqual([page(false, 'inProgress'), pushed('inProgress', [FIRST, 'publishing'])]);
  expect((await stateOf('POST stop')).map((service) => (service as { serviceName: string }).serviceName)).toEqual([
    'web_recorder_service',
    'upload_service',
  ]);
  tell(FIRST, FIRST_TOLD, 'disconnected');
  recorder.tell({ type: 'ended', reason: 'stopped', recorded: true, message: '' });
  await settle();
  expect(told().at(-1)).toEqual(notice(FIRST_TOLD, 'disconnected'));
});

test('each change is told, once and without the key', async () => {
  const { recorder, tell } = await started([FIRST, SECOND]);
  recorder.tell({ type: 'joined' });
  tell(FIRST, FIRST_TOLD, 'connecting');
  tell(SECOND, SECOND_TOLD, 'connecting');
  tell(FIRST, FIRST_TOLD, 'publishing');
  tell(FIRST, FIRST_TOLD, 'publishing');
  await settle();
  expect(told()).toEqual([
    notice(FIRST_TOLD, 'connecting'),
    notice(SECOND_TOLD, 'connecting'),
    notice(FIRST_TOLD, 'publishing'),
  ]);
  expect(JSON.stringify([world.store.notices, world.lines])).not.toMatch(/first-key|second-key/);
});

test('the samples of the contract are taken and answered as they are printed', async () => {
  const { recorder, stateOf } = await started(['rtmp://x/y']);
  expect(recorder.start).toMatchObject({
    plan: {
      mode: 'web',
      video: { width: 1280, height: 720, fps: 15, bitrateKbps: 2000 },
      audio: { channels: 1, bitrateKbps: 48 },
      files: { hls: true, mp4: true },
      maxAgeMs: 3 * 3_600_000,
      mp4Limit: { durationMs: 200 * 60_000 },
      onhold: false,
    },
    source: { url: 'https://example.com' },
    pushes: { targets: [{ url: 'rtmp://x/y' }] },
  });
  recorder.tell({ type: 'joined' });
  recorder.tell({ type: 'pushChanged', id: recorder.targets[0]!.id, address: 'rtmp://x/***', status: 'publishing' });
  await settle();
  expect((await stateOf('GET query'))[1]).toEqual({
    payload: { outputs: [{ rtmpUrl: 'rtmp://x/y', status: 'publishing' }], state: 'inProgress' },
    serviceName: 'rtmp_publish_service',
  });
});

test('a start on hold says so of the push too', async () => {
  const { stateOf } = await started([FIRST], { onhold: true });
  expect(await stateOf('GET query')).toEqual([page(true, 'init'), pushed('init', [FIRST, 'onhold'])]);
});

test('a recorder that is lost pushes no more, and the next one goes on', async () => {
  const { recorder, tell, stateOf } = await started([FIRST]);
  recorder.tell({ type: 'joined' });
  tell(FIRST, FIRST_TOLD, 'publishing');
  recorder.exit('SIGKILL');
  await settle();
  expect(told()).toEqual([notice(FIRST_TOLD, 'publishing'), notice(FIRST_TOLD, 'disconnected')]);
  expect(world.recorders[1]!.start).toMatchObject({ generation: 2, pushes: { targets: [{ url: FIRST }] } });
  tell(FIRST, FIRST_TOLD, 'publishing');
  await settle();
  expect(await stateOf('GET query')).toEqual([page(false, 'inProgress'), pushed('inProgress', [FIRST, 'publishing'])]);
});

describe('update', () => {
  test('adds, replaces and removes; an address that stays goes on', async () => {
    const { recorder, update, stateOf } = await started([FIRST]);
    const { id } = recorder.start.pushes!.targets[0]!;
    await update({ rtmpPublishConfig: { outputs: outputsOf([SECOND, FIRST]) } });
    expect(recorder.changes.at(-1)).toMatchObject({
      type: 'changePushes',
      targets: [{ url: SECOND }, { url: FIRST, id }],
    });
    expect((await stateOf('GET query'))[1]).toEqual(pushed('init', [SECOND, 'connecting'], [FIRST, 'connecting']));
    await update({ rtmpPublishConfig: { outputs: outputsOf([FIRST]) } });
    expect(recorder.changes.at(-1)).toMatchObject({ targets: [{ url: FIRST, id }] });
    // The hold is another thing, and the addresses stay.
    await update({ webRecordingConfig: { onhold: true } });
    expect(recorder.changes.at(-1)).toMatchObject({ type: 'changeHold' });
    expect((await stateOf('GET query'))[1]).toEqual(pushed('init', [FIRST, 'onhold']));
    // A run that begins later begins with what holds by then.
    recorder.exit('SIGKILL');
    await settle();
    expect(world.recorders[1]!.start.pushes).toMatchObject({
      targets: [{ url: FIRST, id }],
      networks: ['10.1.0.0/16'],
    });
  });

  test('has no effect where no push was started', async () => {
    const { recorder, update, stateOf } = await started([]);
    expect((await update({ rtmpPublishConfig: { outputs: outputsOf([FIRST]) } })).status).toBe(200);
    expect(recorder.changes).toEqual([]);
    expect(recorder.start.pushes).toBeUndefined();
    expect(await stateOf('GET query')).toEqual([page(false, 'init')]);
    expect(world.lines.at(-1)?.text).toContain('no rtmp_publish_service was started');
  });
});

describe('an address', () => {
  test.each([
    ['rtmp://127.0.0.1/app/key', /^start: rtmpUrl 127\.0\.0\.1 is a loopback address/],
    ['rtmp://[::ffff:169.254.169.254]/app/key', /is a linkLocal address/],
    [
      'rtmp://10.2.0.1/app/key',
      /is a private address, which this server's operator has not allowed \(pushNetworks\)!$/,
    ],
    ['https://example.com/app/key', /^start: outputs\[0\].rtmpUrl must be an rtmp:\/\/ or rtmps:\/\/ address/],
    ['rtmp://example.com', /^start: outputs\[0\].rtmpUrl must be an rtmp/],
    ['rtmp://me:word@example.com/app/key', /^start: outputs\[0\].rtmpUrl must be an rtmp/],
  ])('that may not be pushed to is refused: %s', async (url, reason) => {
    const answer = await call('POST', startPath(await acquire({ scene: 1 }), 'web'), startBody([url]));
    expect(answer).toMatchObject({ status: 400, body: { code: 2, reason: expect.stringMatching(reason) } });
    expect(world.recorders).toEqual([]);
  });

  test('that the operator allows is taken, at update as at start', async () => {
    const { update } = await started(['rtmp://10.1.2.3/app/key']);
    const answers = [
      await update({ rtmpPublishConfig: { outputs: outputsOf(['rtmp://10.1.2.4/app/key']) } }),
      await update({ rtmpPublishConfig: { outputs: outputsOf(['rtmp://10.2.2.4/app/key']) } }),
    ];
    expect(answers.map(({ status }) => status)).toEqual([200, 400]);
  });

  test.each([
    ['five', ['a', 'b', 'c', 'd', 'e'].map((key) => `rtmp://x/y/${key}`), /1 to 4 entries/],
    ['the same twice', ['rtmp://x/y', 'rtmp://x/y'], /must name each address once/],
  ])('%s are refused', async (_, urls, reason) => {
    const answer = await call('POST', startPath(await acquire({ scene: 1 }), 'web'), startBody(urls));
    expect(answer).toMatchObject({ status: 400, body: { code: 2, reason: expect.stringMatching(reason) } });
  });
});
