import { expect, test } from 'vitest';
import { mixPlanSchema } from '../line/plan.ts';
import { type MixStart, parseStart, type StartClientRequest } from './start.ts';
import { toMixPlan } from './to-plan.ts';

const SID = 'a'.repeat(32);
const storageConfig = { vendor: 1000, region: 0, bucket: 'b', accessKey: '', secretKey: '' };

function mixOf(request: StartClientRequest): MixStart {
  if (request.mode !== 'mix') throw new TypeError('a mix request was parsed');
  return request;
}

function planOf(recordingConfig: object = {}, more: object = {}) {
  const body = { cname: 'c', uid: '1', clientRequest: { storageConfig, recordingConfig, ...more } };
  const planned = toMixPlan(mixOf(parseStart('mix', body)), {
    sid: SID,
    baseName: `${SID}_c`,
    mp4Limit: { durationMs: 7_200_000, bytes: 2_000_000_000 },
  });
  expect(mixPlanSchema.safeParse(planned.plan).error).toBeUndefined();
  return planned;
}

test('the defaults are those of the contract', () => {
  expect(planOf()).toEqual({
    extinfComma: false,
    plan: {
      mode: 'mix',
      sid: SID,
      baseName: `${SID}_c`,
      video: {
        width: 360,
        height: 640,
        fps: 15,
        bitrateKbps: 500,
        layout: { kind: 'floating' },
        backgroundColor: '#000000',
      },
      audio: { channels: 1, bitrateKbps: 48 },
      subscribe: { audio: { kind: 'all' }, video: { kind: 'all' } },
      files: { hls: true, mp4: false },
      maxIdleMs: 30_000,
      mp4Limit: { durationMs: 7_200_000, bytes: 2_000_000_000 },
    },
  });
});

test.each([
  [0, { channels: 1, bitrateKbps: 48 }],
  [1, { channels: 1, bitrateKbps: 128 }],
  [2, { channels: 2, bitrateKbps: 192 }],
])('audioProfile %i', (audioProfile, audio) => {
  expect(planOf({ audioProfile }).plan.audio).toEqual(audio);
});

test.each([
  [0, 96],
  [1, 192],
  [2, 192],
])('stereo in audioProfile %i', (audioProfile, bitrateKbps) => {
  const { plan } = planOf({ audioProfile }, { aircheck: { stereo: { left: ['1'], right: ['2', '3'] } } });
  expect(plan.audio).toEqual({ channels: 2, bitrateKbps });
  expect(plan.stereo).toEqual({ left: ['1'], right: ['2', '3'], others: 'both' });
});

test.each([
  [{}, { left: [], right: [], others: 'both' }],
  [{ left: ['1'] }, { left: ['1'], right: [], others: 'both' }],
  [
    { left: ['1'], right: ['#allstream#'] },
    { left: ['1'], right: [], others: 'right' },
  ],
  [
    { left: ['#allstream#'], right: ['1'] },
    { left: [], right: ['1'], others: 'left' },
  ],
])('sides %j', (stereo, sides) => {
  expect(planOf({}, { aircheck: { stereo } }).plan.stereo).toEqual(sides);
});

test.each([
  [{ left: ['1', '2'], right: ['2'] }, /2 cannot be on both lists/],
  [{ left: ['#allstream#'], right: ['#allstream#'] }, /cannot be on both lists/],
  [{ left: ['x'] }, /left/],
  [['1'], /stereo/],
])('sides %j are refused', (stereo, reason) => {
  expect(() => planOf({}, { aircheck: { stereo } })).toThrow(reason);
});

test('sides without sound make no sound', () => {
  expect(planOf({ streamTypes: 1 }, { aircheck: { stereo: { left: ['1'] } } }).plan).not.toHaveProperty('audio');
});

test('streamTypes picks sound, picture or both', () => {
  expect(planOf({ streamTypes: 0 }).plan).not.toHaveProperty('video');
  expect(planOf({ streamTypes: 0 }).plan.subscribe).toEqual({ audio: { kind: 'all' }, video: { kind: 'none' } });
  expect(planOf({ streamTypes: 1 }).plan).not.toHaveProperty('audio');
  expect(planOf({ streamTypes: 1 }).plan.subscribe).toEqual({ audio: { kind: 'none' }, video: { kind: 'all' } });
});

test.each([
  [{ subscribeAudioUids: ['1'] }, { audio: { kind: 'only', uids: ['1'] }, video: { kind: 'none' } }],
  [{ subscribeVideoUids: ['1', '2'] }, { audio: { kind: 'none' }, video: { kind: 'only', uids: ['1', '2'] } }],
  [
    { subscribeAudioUids: ['#allstream#'], unSubscribeVideoUids: ['3'] },
    { audio: { kind: 'all' }, video: { kind: 'except', uids: ['3'] } },
  ],
  [
    { unsubscribeAudioUids: ['3'], subscribeVideoUids: ['#allstream#'] },
    { audio: { kind: 'except', uids: ['3'] }, video: { kind: 'all' } },
  ],
  [
    { subscribeAudioUids: [], subscribeVideoUids: [] },
    { audio: { kind: 'all' }, video: { kind: 'all' } },
  ],
  // A list for a kind that is not recorded says nothing about the other.
  [
    { streamTypes: 0, subscribeVideoUids: ['1'] },
    { audio: { kind: 'all' }, video: { kind: 'none' } },
  ],
])('%j', (config, subscribe) => {
  expect(planOf(config).plan.subscribe).toEqual(subscribe);
});

test('layouts', () => {
  const layoutOf = (transcodingConfig: object) => planOf({ transcodingConfig }).plan.video?.layout;
  expect(layoutOf({ mixedVideoLayout: 1 })).toEqual({ kind: 'bestFit' });
  expect(layoutOf({ mixedVideoLayout: 2 })).toEqual({ kind: 'vertical' });
  expect(layoutOf({ mixedVideoLayout: 2, maxResolutionUid: '9' })).toEqual({ kind: 'vertical', maxResolutionUid: '9' });
  const layoutConfig = [
    { uid: '123', x_axis: 0, y_axis: 0, width: 0.5, height: 1, alpha: 0.5, render_mode: 1 },
    // Client libraries send 32-bit floats and an empty uid.
    { uid: '', x_axis: 0.3, y_axis: 0, width: 0.7000001, height: 1 },
  ];
  expect(layoutOf({ mixedVideoLayout: 3, layoutConfig })).toEqual({
    kind: 'custom',
    regions: [
      { uid: '123', x: 0, y: 0, width: 0.5, height: 1, alpha: 0.5, render: 'fit' },
      { x: 0.3, y: 0, width: 0.7, height: 1, alpha: 1, render: 'crop' },
    ],
  });
});

test('odd sides lose a pixel, integral floats are taken, and an unknown frame rate becomes 15', () => {
  const video = (transcodingConfig: object) => planOf({ transcodingConfig }).plan.video;
  expect(video({ width: 641.0, height: 361, fps: 25 })).toMatchObject({ width: 640, height: 360, fps: 15 });
  for (const fps of [1, 7, 10, 15, 24, 30, 60]) expect(video({ fps })?.fps).toBe(fps);
});

test.each([
  ['{"correctEXTINF":true}', true],
  ['{"correctEXTINF":1}', false],
  ['null', false],
  ['{', false],
  ['', false],
])('privateParams %s ask for the comma of EXTINF: %s', (privateParams, extinfComma) => {
  expect(planOf({ privateParams })).toMatchObject({ extinfComma });
});

test('images are planned where there are any', () => {
  const video = (transcodingConfig: object) => planOf({ transcodingConfig }).plan.video;
  const none = { backgroundImage: '', defaultUserBackgroundImage: '', backgroundConfig: [] };
  expect(video(none)).not.toHaveProperty('backgrounds');
  expect(video({ backgroundImage: 'http://x/y.jpg' })?.backgrounds).toEqual({ canvas: 'http://x/y.jpg', users: [] });
  const backgroundConfig = [
    { uid: '1', image_url: 'http://x/1.png' },
    { uid: '2', image_url: 'http://x/2.bmp', render_mode: 1 },
  ];
  expect(video({ defaultUserBackgroundImage: 'http://x/u.png', backgroundConfig })?.backgrounds).toEqual({
    defaultUser: 'http://x/u.png',
    users: [
      { uid: '1', url: 'http://x/1.png', render: 'crop' },
      { uid: '2', url: 'http://x/2.bmp', render: 'fit' },
    ],
  });
});

test('the low stream is planned where it is asked for; the high one needs no word', () => {
  expect(planOf({ videoStreamType: 1 })).toMatchObject({ plan: { videoStreamType: 1 } });
  expect(planOf({ videoStreamType: 0 }).plan).not.toHaveProperty('videoStreamType');
});

test.each([
  ['left out', {}],
  ['empty', { streamMode: '' }],
])('a streamMode that is %s is the default one', (_how, given) => {
  const recordingConfig = { subscribeUidGroup: 0, ...given };
  const body = { cname: 'c', uid: '1', clientRequest: { storageConfig, recordingConfig } };
  expect(parseStart('individual', body)).toMatchObject({ recordingConfig: { streamMode: 'default' } });
});
