import { describe, expect, test } from 'vitest';
import { lintAcquire, lintStart, lintUpdate, lintUpdateLayout } from './meaning.ts';

const codes = (warnings: { code: string; path: string }[]) =>
  warnings.map(({ code, path }) => `${code} ${path.replace('clientRequest.', '')}`);
const ofMix = (recordingConfig: object) => codes(lintStart('mix', { recordingConfig }));
const ofIndividual = (config: object) =>
  codes(lintStart('individual', { recordingConfig: { subscribeUidGroup: 0, ...config } }));
const ofCanvas = (transcodingConfig: object) =>
  ofMix({ transcodingConfig }).map((line) => line.replace('recordingConfig.transcodingConfig.', ''));

const GROUP = { subscribeUidGroup: 0 };

const region = (changes: object = {}) => ({ x_axis: 0, y_axis: 0, width: 1, height: 1, ...changes });
/** Landscape and custom. */
const custom = (...layoutConfig: object[]) => ({ width: 1280, height: 720, mixedVideoLayout: 3, layoutConfig });

describe('what this server offers beside the API', () => {
  const stereo = { left: ['1'], right: ['2'] };
  const SPEAKERS_OF_PICTURES = { aircheck: { speakers: true }, recordingConfig: { ...GROUP, streamTypes: 1 } };
  test.each([
    ['mix', { aircheck: { stereo, onhold: true } }, []],
    ['mix', { aircheck: { stereo }, recordingConfig: { streamTypes: 0 } }, []],
    ['mix', { aircheck: { stereo }, recordingConfig: { streamTypes: 1 } }, ['contradictory aircheck.stereo']],
    ['mix', { aircheck: { mp4: true, manifest: true } }, ['ignored aircheck.mp4', 'ignored aircheck.manifest']],
    ['mix', { aircheck: { speakers: true } }, ['ignored aircheck.speakers']],
    ['individual', { aircheck: { speakers: true }, recordingConfig: GROUP }, []],
    ['individual', SPEAKERS_OF_PICTURES, ['contradictory aircheck.speakers']],
    ['individual', { ...SPEAKERS_OF_PICTURES, aircheck: { speakers: false } }, []],
    ['individual', { aircheck: { stereo, mp4: true }, recordingConfig: GROUP }, ['ignored aircheck.stereo']],
    ['individual', { aircheck: { stereo: {} }, recordingConfig: GROUP }, []],
    ['mix', { aircheck: { retentionDays: 30 }, storageConfig: {} }, []],
    ['mix', { aircheck: { retentionDays: 0 }, storageConfig: { stsToken: 't' } }, []],
    [
      'web',
      { aircheck: { retentionDays: 30 }, storageConfig: { stsToken: 't' } },
      ['contradictory aircheck.retentionDays'],
    ],
  ] as const)('of start in mode %s: %j', (mode, clientRequest, expected) => {
    expect(codes(lintStart(mode, clientRequest))).toEqual(expected);
  });

  test('of update', () => {
    expect(codes(lintUpdate('mix', { aircheck: { stereo } }, { streamTypes: 2 }))).toEqual([]);
    expect(codes(lintUpdate('mix', { aircheck: { stereo } }, { streamTypes: 1 }))).toEqual([
      'contradictory aircheck.stereo',
    ]);
    expect(codes(lintUpdate('individual', { aircheck: { stereo } }))).toEqual(['ignored aircheck.stereo']);
  });
});

describe('a storageConfig without a region', () => {
  test.each([
    ['vendor 1', { vendor: 1 }, ['left-out storageConfig.region']],
    ['vendor 8', { vendor: 8, region: null }, ['left-out storageConfig.region']],
    ['vendor 1 with one', { vendor: 1, region: 0 }, []],
    ['a vendor that has none', { vendor: 11 }, []],
    ['the local folder', { vendor: 1000 }, []],
    ['a vendor nobody knows', { vendor: '1' }, []],
  ])('of %s', (_what, storageConfig, expected) => {
    expect(codes(lintStart('mix', { storageConfig }))).toEqual(expected);
    expect(codes(lintStart('web', { storageConfig }))).toEqual(expected);
    expect(codes(lintUpdate('mix', { storageConfig }))).toEqual([]);
  });

  test('names the one that is taken', () => {
    expect(lintStart('mix', { storageConfig: { vendor: 1 } })[0]?.message).toBe(
      'region is not given, and 0 is taken: us-east-1.',
    );
  });
});

describe('lists of users', () => {
  test.each([
    ['sound only, of two kinds', { subscribeAudioUids: ['1'] }, ['left-out recordingConfig.subscribeAudioUids']],
    [
      'picture only, of two kinds',
      { subscribeVideoUids: ['1'], streamTypes: 2 },
      ['left-out recordingConfig.subscribeVideoUids'],
    ],
    ['sound except some', { unSubscribeAudioUids: ['1'] }, ['left-out recordingConfig.unSubscribeAudioUids']],
    [
      'sound except some, in small letters',
      { unsubscribeAudioUids: ['1'] },
      ['left-out recordingConfig.unsubscribeAudioUids'],
    ],
    [
      'an empty list beside a full one',
      { subscribeAudioUids: ['1'], subscribeVideoUids: [] },
      ['left-out recordingConfig.subscribeAudioUids'],
    ],
    ['both kinds', { subscribeAudioUids: ['1'], unSubscribeVideoUids: ['2'] }, []],
    ['none', {}, []],
    ['an empty one', { subscribeAudioUids: [] }, []],
    ['sound only, where only sound is recorded', { subscribeAudioUids: ['1'], streamTypes: 0 }, []],
    ['picture only, where only pictures are recorded', { subscribeVideoUids: ['1'], streamTypes: 1 }, []],
    [
      'picture, where only sound is recorded',
      { subscribeVideoUids: ['1'], streamTypes: 0 },
      ['contradictory recordingConfig.subscribeVideoUids'],
    ],
    [
      'sound, where only pictures are recorded',
      { unSubscribeAudioUids: ['1'], streamTypes: 1 },
      ['contradictory recordingConfig.unSubscribeAudioUids'],
    ],
    [
      'two spellings',
      { unSubscribeAudioUids: ['1'], unsubscribeAudioUids: ['2'], subscribeVideoUids: ['1'] },
      ['contradictory recordingConfig.unsubscribeAudioUids'],
    ],
    ['everybody', { subscribeAudioUids: ['#allstream#'], subscribeVideoUids: ['#allstream#'] }, []],
    [
      'user accounts',
      { subscribeAudioUids: ['1', 'some user', '0', '4294967296'], subscribeVideoUids: ['2'] },
      [1, 2, 3].map((n) => `uid-not-numeric recordingConfig.subscribeAudioUids[${n}]`),
    ],
  ])('%s', (_what, config, expected) => {
    expect(ofMix(config)).toEqual(expected);
    expect(ofIndividual(config)).toEqual(expected);
  });

  test('the words say what will be missing, and how to have it', () => {
    expect(lintStart('mix', { recordingConfig: { subscribeVideoUids: ['1'] } })[0]?.message).toBe(
      'Only subscribeVideoUids is given, so no sound is recorded at all; subscribeAudioUids ["#allstream#"] would record that of everybody.',
    );
  });

  test.each([
    [
      'one kind',
      { audioUidList: { subscribeAudioUids: ['1'] } },
      undefined,
      ['left-out streamSubscribe.audioUidList.subscribeAudioUids'],
    ],
    ['one kind, of a recording of that kind', { audioUidList: { subscribeAudioUids: ['1'] } }, 0, []],
    [
      'the other kind',
      { videoUidList: { subscribeVideoUids: ['1'] } },
      0,
      ['contradictory streamSubscribe.videoUidList.subscribeVideoUids'],
    ],
    [
      'both kinds',
      { audioUidList: { subscribeAudioUids: ['1'] }, videoUidList: { unsubscribeVideoUids: ['2'] } },
      2,
      [],
    ],
    [
      'a user account',
      { audioUidList: { subscribeAudioUids: ['me'] }, videoUidList: { subscribeVideoUids: ['2'] } },
      2,
      ['uid-not-numeric streamSubscribe.audioUidList.subscribeAudioUids[0]'],
    ],
    ['neither', {}, undefined, []],
  ] as const)('update: %s', (_what, streamSubscribe, streamTypes, expected) => {
    expect(codes(lintUpdate('mix', { streamSubscribe }, { streamTypes }))).toEqual(expected);
  });
});

describe('layouts', () => {
  test.each([
    ['regions for another layout', { layoutConfig: [region()] }, ['contradictory layoutConfig']],
    ['no regions for another layout', { layoutConfig: [], mixedVideoLayout: 1 }, []],
    [
      'a large window for another layout',
      { maxResolutionUid: '7', mixedVideoLayout: 1 },
      ['contradictory maxResolutionUid'],
    ],
    ['a large window that is not set', { maxResolutionUid: '', mixedVideoLayout: 1 }, []],
    ['a large window of nobody', { mixedVideoLayout: 2 }, ['left-out mixedVideoLayout']],
    ['a large window', { mixedVideoLayout: 2, maxResolutionUid: '7' }, []],
    [
      'a large window of a user account',
      { mixedVideoLayout: 2, maxResolutionUid: 'me' },
      ['uid-not-numeric maxResolutionUid'],
    ],
    ['a picture behind', { backgroundImage: 'https://example.com/a.jpg?at=1.gif' }, []],
    ['a picture of another kind', { backgroundImage: 'https://example.com/a.GIF?x' }, ['left-out backgroundImage']],
    [
      'pictures of users',
      {
        backgroundConfig: [
          { uid: '1', image_url: 'https://example.com/a.png' },
          { uid: '1', image_url: 'https://example.com/b.webp' },
        ],
      },
      ['contradictory backgroundConfig[1].uid', 'left-out backgroundConfig[1].image_url'],
    ],
    ['no picture behind', { backgroundImage: '', defaultUserBackgroundImage: '', backgroundConfig: [] }, []],
    [
      'one user in two regions',
      custom(region({ uid: '1', render_mode: 1 }), region({ uid: '' }), region({ uid: '1', render_mode: 1 }))
        .layoutConfig,
      ['contradictory layoutConfig[2].uid'],
    ],
    ['a frame rate there is not', { fps: 50 }, ['replaced fps']],
    ['frame rates there are', { fps: 60 }, []],
  ])('%s', (_what, config, expected) => {
    const transcodingConfig = Array.isArray(config)
      ? { width: 640, height: 640, mixedVideoLayout: 3, layoutConfig: config }
      : config;
    expect(ofCanvas(transcodingConfig)).toEqual(expected);
  });

  test.each([
    ['a wide region that fills', custom(region()), 32],
    ['a region twice as wide as high', custom(region({ width: 1, height: 8 / 9 })), 28],
    ['the widest counts', custom(region(), region({ height: 0.5 })), 16],
    ['as 9:16 by default', { mixedVideoLayout: 3, layoutConfig: [region({ height: 0.25 })] }, 25],
  ])('%s keeps part of portrait video', (_what, transcodingConfig, percent) => {
    const [warning, ...others] = lintStart('mix', { recordingConfig: { transcodingConfig } });
    expect(others).toEqual([]);
    expect(warning).toMatchObject({
      code: 'may-crop',
      path: 'clientRequest.recordingConfig.transcodingConfig.layoutConfig',
    });
    expect(warning?.message).toContain(`as little as ${percent} % of the height`);
  });

  test.each([
    ['shows all', custom(region({ render_mode: 1 }))],
    ['is high', custom(region({ width: 0.5 }), region({ width: 0.3, x_axis: 0.5 }))],
    ['is on a high canvas', { mixedVideoLayout: 3, layoutConfig: [region({ height: 0.5 })] }],
    ['has no size', custom(region({ height: 0 }), region({ width: '1' }), region({ width: undefined }))],
    ['is not the caller’s', { width: 1280, height: 720, mixedVideoLayout: 1 }],
  ])('nothing is said of a region that %s', (_what, transcodingConfig) => {
    expect(ofCanvas(transcodingConfig)).toEqual([]);
  });

  test('all wide regions are one warning', () => {
    const quarter = (x: number, y: number) => region({ x_axis: x, y_axis: y, width: 0.5, height: 0.5 });
    const grid = custom(quarter(0, 0), { ...quarter(0.5, 0), render_mode: 1 }, quarter(0, 0.5));
    expect(lintStart('mix', { recordingConfig: { transcodingConfig: grid } })).toEqual([
      {
        code: 'may-crop',
        path: 'clientRequest.recordingConfig.transcodingConfig.layoutConfig',
        message:
          'Regions 0, 2 are wide and cut to fill (render_mode 0): of portrait video (9:16) as little as 32 % of the height is seen there; render_mode 1 shows all of it.',
      },
    ]);
  });

  test('updateLayout is judged alike, and on the canvas it is told', () => {
    const layout = { mixedVideoLayout: 3, layoutConfig: [region()], maxResolutionUid: '7' };
    expect(codes(lintUpdateLayout(layout))).toEqual(['contradictory maxResolutionUid']);
    expect(codes(lintUpdateLayout(layout, { width: 1280, height: 720 }))).toEqual([
      'contradictory maxResolutionUid',
      'may-crop layoutConfig',
    ]);
  });
});

describe('overlays of a composite', () => {
  const mix = (aircheck: object, recordingConfig: object = {}) =>
    lintStart('mix', { recordingConfig, aircheck }).map(({ code, path }) => `${code} ${path.split('.').at(-1)}`);

  test.each<[string, object, object, string[]]>([
    ['that are seen', { clock: {}, watermark: { text: 'x' }, activeSpeaker: {} }, {}, []],
    [
      'without a picture',
      { clock: {}, hideUsersWithoutVideo: true },
      { streamTypes: 0 },
      ['contradictory hideUsersWithoutVideo'],
    ],
    ['without a picture', { nameLabels: { names: { 1: 'x' } } }, { streamTypes: 0 }, ['contradictory nameLabels']],
    [
      'of a speaker who is not heard',
      { activeSpeaker: { layout: 'large' } },
      { streamTypes: 1 },
      ['contradictory activeSpeaker'],
    ],
    ['in one corner', { watermark: { text: 'x', position: 'top-right' }, clock: {} }, {}, ['contradictory watermark']],
    ['of a kind that is not shown', { watermark: { image: 'https://x/logo.svg' } }, {}, ['left-out image']],
    ['that do nothing', { activeSpeaker: { highlight: false } }, {}, ['contradictory activeSpeaker']],
    [
      'that are another layout',
      { activeSpeaker: { layout: 'alone' } },
      { transcodingConfig: { mixedVideoLayout: 1 } },
      ['contradictory activeSpeaker'],
    ],
  ])('%s: %j', (_what, aircheck, config, expected) => {
    expect(mix(aircheck, config)).toEqual(expected);
  });

  test('update is judged by what the recording was started with, and updateLayout has none', () => {
    const clientRequest = { aircheck: { activeSpeaker: { layout: 'alone' } } };
    expect(lintUpdate('mix', clientRequest, { streamTypes: 1 }).map(({ code }) => code)).toEqual(['contradictory']);
    expect(lintUpdate('mix', clientRequest)).toEqual([]);
    expect(lintUpdateLayout(clientRequest)).toEqual([
      { code: 'ignored', path: 'clientRequest.aircheck', message: expect.stringContaining('update changes it') },
    ]);
  });
});

describe('members of another mode', () => {
  test.each([
    [
      'individual',
      { recordingConfig: { ...GROUP, transcodingConfig: { width: 1 }, audioProfile: 1 } },
      ['ignored recordingConfig.transcodingConfig', 'ignored recordingConfig.audioProfile'],
    ],
    [
      'individual',
      { recordingConfig: { ...GROUP, streamMode: 'original' } },
      ['contradictory recordingConfig.streamMode'],
    ],
    ['individual', { recordingConfig: { ...GROUP, streamMode: 'original', streamTypes: 0 } }, []],
    ['mix', { recordingConfig: { streamMode: 'standard' } }, ['ignored recordingConfig.streamMode']],
    ['mix', { recordingConfig: { streamMode: 'default' } }, []],
    ['mix', { snapshotConfig: { fileType: ['jpg'] } }, ['ignored snapshotConfig']],
    ['mix', { extensionServiceConfig: { extensionServices: [] } }, ['ignored extensionServiceConfig']],
    ['mix', { extensionServiceConfig: {} }, []],
    ['web', { recordingConfig: { streamTypes: 0 }, token: '007' }, ['ignored recordingConfig']],
    ['web', { recordingConfig: {}, token: '007' }, []],
    [
      'mix',
      { recordingConfig: { streamTypes: 0, transcodingConfig: { width: 1280, fps: 3 } } },
      ['contradictory recordingConfig.transcodingConfig'],
    ],
    ['mix', { recordingConfig: { videoStreamType: 1 } }, []],
    ['mix', { recordingConfig: { privateParams: 'correctEXTINF' } }, ['ignored recordingConfig.privateParams']],
    ['mix', { recordingConfig: { privateParams: '{"correctEXTINF":true}' } }, []],
    ['individual', { appsCollection: { combinationPolicy: 'postpone_transcoding' } }, []],
    ['individual', { storageConfig: {} }, ['replaced recordingConfig']],
    ['individual', { storageConfig: {}, recordingConfig: null }, ['replaced recordingConfig']],
    ['individual', { storageConfig: {}, recordingConfig: {} }, ['left-out recordingConfig.subscribeUidGroup']],
    ['individual', { recordingConfig: { subscribeUidGroup: null } }, ['left-out recordingConfig.subscribeUidGroup']],
    ['individual', { recordingConfig: { subscribeUidGroup: 0 } }, []],
    ['mix', { storageConfig: {} }, []],
    ['mix', { storageConfig: {}, recordingConfig: {} }, []],
    ['web', { storageConfig: {} }, []],
    [
      'mix',
      { extensionServiceConfig: { extensionServices: [{ serviceName: 'aliyun_vod_service' }] } },
      ['ignored extensionServiceConfig'],
    ],
    [
      'individual',
      { appsCollection: { combinationPolicy: 'default' }, transcodeOptions: { audio: {}, container: {} } },
      [],
    ],
    ['individual', { transcodeOptions: { container: { format: 'mp4' } } }, ['ignored transcodeOptions']],
  ] as const)('%s: %j', (mode, clientRequest, expected) => {
    expect(codes(lintStart(mode, clientRequest))).toEqual(expected);
  });

  test('postponed transcoding, which acquire announces', () => {
    expect(codes(lintAcquire({ scene: 2 }))).toEqual(['replaced scene']);
    for (const sent of [{}, { scene: 0 }, { scene: 1 }, undefined, 'x']) expect(lintAcquire(sent)).toEqual([]);
  });

  test('the two spellings of a page’s bitrate', () => {
    const web = (serviceParam: object) =>
      codes(
        lintStart('web', {
          extensionServiceConfig: { extensionServices: [{ serviceName: 'web_recorder_service', serviceParam }] },
        }),
      );
    expect(web({ videoBitrate: 1000, VideoBitrate: 1000 })).toEqual([]);
    expect(web({ videoBitrate: 1000, VideoBitrate: 2000 })).toEqual([
      'contradictory extensionServiceConfig.extensionServices[0].serviceParam.VideoBitrate',
    ]);
  });

  test('anything may have been sent', () => {
    const odd = [undefined, null, 1, 'x', [], [1]];
    const holders = [
      (value: unknown) => value,
      (value: unknown) => ({ recordingConfig: value, streamSubscribe: value, extensionServiceConfig: value }),
      (value: unknown) => ({
        recordingConfig: {
          transcodingConfig: value,
          subscribeAudioUids: value,
          streamTypes: value,
          privateParams: value,
        },
        streamSubscribe: { audioUidList: value },
        extensionServiceConfig: { extensionServices: value },
        transcodeOptions: value,
        layoutConfig: value,
      }),
      (value: unknown) => ({
        recordingConfig: {
          transcodingConfig: { mixedVideoLayout: 3, layoutConfig: [value], fps: value, width: value },
        },
        streamSubscribe: { audioUidList: { subscribeAudioUids: [value] } },
        extensionServiceConfig: { extensionServices: [value] },
        mixedVideoLayout: value,
      }),
    ];
    for (const value of odd)
      for (const holder of holders) {
        for (const mode of ['individual', 'mix', 'web'] as const) lintStart(mode, holder(value));
        lintUpdate('mix', holder(value));
        lintUpdateLayout(holder(value), { width: 2, height: 2 });
      }
  });
});

test('of a store that an update names, what cannot change any more is told of, unless it is the same', () => {
  const storage = { fileNamePrefix: ['dir1'], extensionParams: { endpoint: 'https://s3.example.com' } };
  const of = (storageConfig: object) => codes(lintUpdate('mix', { storageConfig }, { storage }));
  expect(of({ accessKey: 'AK2', fileNamePrefix: ['dir1'], extensionParams: { ...storage.extensionParams } })).toEqual(
    [],
  );
  expect(of({ accessKey: 'AK2' })).toEqual([]);
  expect(of({ fileNamePrefix: ['dir2'], extensionParams: { endpoint: 'https://other.example.com' } })).toEqual([
    'ignored storageConfig.fileNamePrefix',
    'ignored storageConfig.extensionParams',
  ]);
  expect(codes(lintUpdate('web', { storageConfig: { fileNamePrefix: ['dir2'] } }))).toEqual([]);
});
