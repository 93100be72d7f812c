import { beforeEach, describe, expect, test } from 'vitest';
import { fakeFault, mixPlanOf, settle } from '../../test/support/fake-ports.ts';
import {
  APP,
  acquire,
  BASE,
  basic,
  buildApi,
  call,
  OTHER_APP,
  STORAGE,
  start,
  startBody,
  startPath,
  stopBody,
  world,
} from '../../test/support/rest-api.ts';

beforeEach(() => buildApi());

const stopPathOf = ({ resourceId, sid }: Record<string, unknown>) =>
  `${BASE}/resourceid/${resourceId}/sid/${sid}/mode/mix/stop`;

describe('before any recording is looked at', () => {
  test.each([
    [{ authorization: '' }, 401, 'Unauthorized'],
    [{ authorization: basic('id:wrong') }, 401, 'Invalid authentication credentials'],
    [{ authorization: basic('nobody:se:cret') }, 401, 'Invalid authentication credentials'],
    [{ authorization: basic('no-colon') }, 401, 'Invalid authentication credentials'],
    [{ authorization: 'Bearer abc' }, 401, 'Invalid authentication credentials'],
    [{ authorization: basic('limited:x') }, 400, 'appid is invalid'],
  ])('%o is answered with %i %s', async (headers, status, message) => {
    const answer = await call('POST', `${BASE}/acquire`, '{ not json', headers as Record<string, string>);
    expect(answer).toMatchObject({ status, body: { message } });
    expect(answer.headers['x-request-id']).toBeTruthy();
  });

  test('an unknown app is refused', async () => {
    expect(await call('POST', `/v1/apps/${'a'.repeat(32)}/cloud_recording/acquire`, {})).toMatchObject({
      status: 400,
      body: { message: 'appid is invalid' },
    });
  });

  test.each([
    ['GET', `${BASE}/acquire`],
    ['POST', `${BASE}/nothing`],
    ['POST', `${BASE}/resourceid/r/mode/other/start`],
    ['OPTIONS', `${BASE}/acquire`],
    ['POST', `${BASE}/%zz`],
    ['POST', `${BASE}/resourceid/${'r'.repeat(2000)}/mode/mix/start`],
    ['POST', `/xx${BASE}/acquire`],
  ] as const)('%s %s is no route', async (method, url) => {
    const answer = await call(method, url, undefined, { authorization: '' });
    expect(answer).toMatchObject({ status: 404, body: { message: 'no Route matched with those values' } });
    expect(answer.headers['x-request-id']).toBeTruthy();
  });

  test.each(['Basic', 'basic', 'BASIC', 'Basic  '])(
    'the scheme %j is understood, with or without a space',
    async (scheme) => {
      const authorization = `${scheme}${Buffer.from('id:se:cret').toString('base64')}`;
      expect(
        (await call('POST', `${BASE}/acquire`, { cname: 'a', uid: '1', clientRequest: {} }, { authorization })).status,
      ).toBe(200);
    },
  );

  test.each(['application/json', 'Application/JSON; Charset=utf-8', 'application/json;charset=utf-8', 'text/plain'])(
    'a body of type %s is read',
    async (type) => {
      expect(
        (await call('POST', `${BASE}/acquire`, { cname: 'a', uid: '1', clientRequest: {} }, { 'content-type': type }))
          .status,
      ).toBe(200);
    },
  );

  test.each(['/cn', '/eu', '/ap', '/us', '/na'])('the region %s before the path has no effect', async (region) => {
    expect((await call('POST', `${region}${BASE}/acquire`, { cname: 'a', uid: '1', clientRequest: {} })).status).toBe(
      200,
    );
  });
});

describe('acquire', () => {
  test('gives out a resource id, in texts only', async () => {
    const { body } = await call('POST', `${BASE}/acquire`, {
      cname: 'ch1',
      uid: '527841',
      clientRequest: { scene: 0, resourceExpiredHour: 24 },
    });
    expect(body).toEqual({ cname: 'ch1', uid: '527841', resourceId: expect.stringMatching(/^[\w-]{200,340}$/) });
  });

  test('takes any number of resource ids to keep away from, as they have no effect', async () => {
    const excludeResourceIds = Array.from({ length: 101 }, (_, n) => `r${n}`);
    expect((await call('POST', `${BASE}/acquire`, stopBody({ excludeResourceIds }))).status).toBe(200);
  });

  test.each([
    ['{ not json', 2, /^api body validate failed! the body is not JSON/],
    ['', 2, /^api body validate failed!/],
    ['null', 2, /^api body validate failed!/],
    ['[]', 2, /^api body validate failed!/],
    [{ uid: '1', clientRequest: {} }, 2, /cname is missing$/],
    [{ cname: 'a', uid: 1, clientRequest: {} }, 2, /^api body validate failed! uid must be a string$/],
    [{ cname: 'a', uid: '0', clientRequest: {} }, 2, /uid must be a string holding a whole number from 1/],
    [{ cname: 'a', uid: '8810546176', clientRequest: {} }, 2, /to 4294967295/],
    [{ cname: 'a', uid: '1' }, 2, /clientRequest is missing$/],
    [
      { cname: 'a', uid: '1', clientRequest: { resourceExpiredHour: 0 } },
      2,
      /^Acquire: invalid resourceExpiredHour value!$/,
    ],
    [
      { cname: 'a', uid: '1', clientRequest: { resourceExpiredHour: 721 } },
      2,
      /^Acquire: invalid resourceExpiredHour value!$/,
    ],
    [{ cname: 'a', uid: '1', clientRequest: { scene: 7 } }, 2, /^Acquire: scene must be one of 0, 1, 2$/],
    [{ cname: 'a/b', uid: '1', clientRequest: {} }, 401, /^invalid_channel_name$/],
    [{ cname: '', uid: '1', clientRequest: {} }, 401, /^invalid_channel_name$/],
    [{ cname: 'x'.repeat(64), uid: '1', clientRequest: {} }, 401, /^invalid_channel_name$/],
  ])('%j is refused with code %i', async (body, code, reason) => {
    const answer = await call('POST', `${BASE}/acquire`, body);
    expect(answer).toMatchObject({ status: 400, body: { code, reason: expect.stringMatching(reason) } });
    expect(Object.keys(answer.body)).toEqual(['code', 'reason']);
  });
});

const BACKGROUND = { uid: '1', image_url: 'https://example.com/a.png' };

describe('start', () => {
  test('a store that takes nothing is warned of beside the answer, in its own words, and a slow one is not waited for', async () => {
    const begin = async () => call('POST', startPath(await acquire()), startBody());
    world.tested = Promise.resolve('bucket b failed: größer\n’x’ (NoSuchBucket, HTTP 404)');
    const told = await begin();
    expect(told).toMatchObject({
      status: 200,
      headers: {
        'x-aircheck-warnings': '1',
        'x-aircheck-store-warning': "bucket b failed: gr er 'x' (NoSuchBucket, HTTP 404)",
      },
    });
    expect(Object.keys(told.body)).toEqual(['cname', 'uid', 'resourceId', 'sid']);
    await call('POST', stopPathOf(told.body), stopBody({ async_stop: true }));
    world.recorders.at(-1)?.tell({ type: 'ended', reason: 'stopped', recorded: false, message: '' });
    await settle();

    world.tested = new Promise(() => {});
    const slow = begin();
    await settle();
    world.clock.advance(1_000);
    const { status, headers } = await slow;
    expect(status).toBe(200);
    expect(headers).not.toHaveProperty('x-aircheck-store-warning');
  });

  test('answers with four texts and launches one recorder from the moment of the call', async () => {
    world.clock.advance(5000);
    const { sid, resourceId, recorder } = await start({ recordingFileConfig: { avFileType: ['hls', 'mp4'] } });
    expect(sid).toMatch(/^[0-9a-f]{32}$/);
    expect(recorder.start).toMatchObject({
      zeroMonoUs: 5_000_000,
      zeroUtcMs: world.clock.nowMs(),
      spoolDir: `/spool/${sid}/1`,
      plan: { sid, baseName: `${sid}_ch1`, files: { hls: true, mp4: true } },
    });
    expect(await call('POST', startPath(resourceId), startBody())).toMatchObject({
      status: 201,
      body: { code: 7, reason: 'already started', cname: 'ch1', uid: '527841', resourceId, sid },
    });
    expect(world.recorders).toHaveLength(1);
  });

  test('a resource id is good for one start and for five minutes', async () => {
    const { resourceId, path } = await start();
    await call('POST', path('stop'), stopBody({ async_stop: true }));
    expect(await call('POST', startPath(resourceId), startBody())).toMatchObject({
      status: 400,
      body: { code: 2, reason: expect.stringContaining('used before') },
    });
    const late = await acquire({}, { cname: 'ch1', uid: '2' });
    world.clock.advance(300_001);
    expect(await call('POST', startPath(late), { ...startBody(), uid: '2' })).toMatchObject({
      status: 400,
      body: { code: 2, reason: 'resourceId exceeded time limit!' },
    });
  });

  test('the same start again, before the database has answered the first, is told of the same recording', async () => {
    const resourceId = await acquire();
    const findRunning = world.store.findRunning.bind(world.store);
    const answered = Promise.withResolvers<void>();
    world.store.findRunning = async (...names) => {
      await answered.promise;
      return findRunning(...names);
    };
    const answers = [1, 2, 3].map(() => call('POST', startPath(resourceId), startBody()));
    await settle();
    answered.resolve();
    const [first, ...others] = await Promise.all(answers);
    const sid = first?.body['sid'];
    expect(first).toMatchObject({ status: 200, body: { resourceId, sid: expect.any(String) } });
    for (const other of others) expect(other).toMatchObject({ status: 201, body: { code: 7, resourceId, sid } });
    expect(world.recorders).toHaveLength(1);
  });

  test('a second task under one uid conflicts; another uid does not', async () => {
    await start();
    expect(await call('POST', startPath(await acquire()), startBody())).toMatchObject({
      status: 400,
      body: { code: 53, reason: 'task conflict', cname: 'ch1', uid: '527841' },
    });
    const other = await acquire({}, { cname: 'ch1', uid: '2' });
    expect((await call('POST', startPath(other), { ...startBody(), uid: '2' })).status).toBe(200);
  });

  test('what acquire announced must come', async () => {
    const announced = { storageConfig: STORAGE, recordingConfig: { channelType: 1, streamTypes: 2 } };
    const wrong = await acquire({ startParameter: announced });
    expect(await call('POST', startPath(wrong), startBody())).toMatchObject({
      status: 400,
      body: { code: 2, reason: 'request_hash mismatch! clientRequest must be what acquire had as startParameter' },
    });
    const reordered = { recordingConfig: { streamTypes: 2, channelType: 1 }, storageConfig: STORAGE };
    expect((await call('POST', startPath(wrong), { ...startBody(), clientRequest: reordered })).status).toBe(200);
  });

  test.each([
    [{ cname: 'other', uid: '527841', clientRequest: { storageConfig: STORAGE } }, /cname is not the one/],
    [{ cname: 'ch1', uid: '9', clientRequest: { storageConfig: STORAGE } }, /uid is not the one/],
    [stopBody({}), /^services not selected! mode mix needs storageConfig$/],
    [
      stopBody({ recordingConfig: {} }),
      /^start: storageConfig type mismatch or missing under clientRequest! clientRequest.storageConfig is missing$/,
    ],
    [
      startBody({ recordingConfig: { maxIdleTime: 4 } }),
      /^start: maxIdleTime must be a whole number from 5 to 2592000$/,
    ],
    [
      startBody({ recordingConfig: { streamTypes: '2' } }),
      /^start: streamTypes type mismatch or missing under recordingConfig! recordingConfig.streamTypes must be a number: 0, 1, 2$/,
    ],
    [startBody({ recordingConfig: { decryptionMode: 1 } }), /^start: secret is required/],
    [
      startBody({ recordingConfig: { decryptionMode: 7, secret: 's', salt: 'short' } }),
      /^start: salt must be the base64/,
    ],
    [startBody({ recordingConfig: { decryptionMode: 1, secret: 's' } }), /^start: decryptionMode other than 0/],
    [startBody({ recordingConfig: { transcodingConfig: { width: 1920, height: 1920 } } }), /^start: width x height/],
    [startBody({ recordingConfig: { transcodingConfig: { bitrate: 6501 } } }), /^start: bitrate must be/],
    [
      startBody({ recordingConfig: { transcodingConfig: { backgroundColor: 'red' } } }),
      /^start: backgroundColor must be "#RRGGBB"$/,
    ],
    [
      startBody({ recordingConfig: { transcodingConfig: { mixedVideoLayout: 3 } } }),
      /^start: layoutConfig is required/,
    ],
    [
      startBody({
        recordingConfig: {
          transcodingConfig: { mixedVideoLayout: 3, layoutConfig: [{ x_axis: 0, y_axis: 0, height: 1 }] },
        },
      }),
      /^start: width type mismatch or missing under layoutConfig! layoutConfig\[0\].width is missing$/,
    ],
    [
      startBody({
        recordingConfig: {
          transcodingConfig: { mixedVideoLayout: 3, layoutConfig: [{ x_axis: 0.6, y_axis: 0, width: 0.5, height: 1 }] },
        },
      }),
      /^start: width type mismatch or missing under layoutConfig! layoutConfig\[0\].width: x_axis \+ width is over 1$/,
    ],
    [startBody({ recordingConfig: { subscribeAudioUids: ['1'], unSubscribeAudioUids: ['2'] } }), /exclude each other/],
    [startBody({ recordingConfig: { subscribeVideoUids: ['bob'] } }), /^start: subscribeVideoUids must list uids/],
    [startBody({ recordingFileConfig: { avFileType: ['mp4'] } }), /^start: avFileType must be/],
    [
      startBody({ recordingConfig: { transcodingConfig: { backgroundImage: 'ftp://x' } } }),
      /^start: backgroundImage must be an http:\/\/ or https:\/\/ address$/,
    ],
    [
      startBody({ recordingConfig: { transcodingConfig: { maxResolutionUid: 'bob' } } }),
      /^start: maxResolutionUid must be a string holding a whole number from 1 to 4294967295$/,
    ],
    [
      startBody({
        recordingConfig: { transcodingConfig: { backgroundConfig: [BACKGROUND, { uid: '2', image_url: 'x' }] } },
      }),
      /^start: backgroundConfig\[1\].image_url must be an http/,
    ],
    [startBody({ aircheck: { nameLabels: { names: { 7: '' } } } }), /^start: names.7 must not be empty$/],
    [
      startBody({ aircheck: { stereo: { left: ['7'], right: ['7'] } } }),
      /^start: 7 cannot be on both lists, left and right; who is on neither is heard on both sides$/,
    ],
    [
      startBody({ token: 'x'.repeat(5000) }),
      /^start: token type mismatch or missing under clientRequest! clientRequest.token must have at most 4096 characters$/,
    ],
    [
      startBody({ storageConfig: { ...STORAGE, secretKey: 5 } }),
      /^start: secretKey type mismatch or missing under storageConfig! storageConfig.secretKey must be a string$/,
    ],
    [startBody({ storageConfig: { ...STORAGE, vendor: 99 } }), /^start: vendor/],
    [startBody({ storageConfig: { ...STORAGE, bucket: '' } }), /^start: bucket/],
  ])('%j is refused', async (body, reason) => {
    const answer = await call('POST', startPath(await acquire()), body);
    expect(answer).toMatchObject({
      status: 400,
      body: { code: 2, reason: expect.stringMatching(reason), cname: body.cname, uid: body.uid },
    });
    expect(world.recorders).toHaveLength(0);
  });

  test('a resource id of nobody, of another app, or of a web task is refused', async () => {
    const made = await acquire();
    const web = await acquire({ scene: 1 }, { cname: 'ch1', uid: '527841' });
    for (const [url, reason] of [
      [startPath('unknown'), 'not one that acquire gave out'],
      [startPath('a%2eb'), 'not one that acquire gave out'],
      [startPath(made).replace(APP, OTHER_APP), 'does not belong to this appid'],
      [startPath(web), 'does not fit scene 1'],
      [startPath(made, 'web'), 'does not fit scene 0'],
    ] as const)
      expect(await call('POST', url, startBody())).toMatchObject({
        status: 400,
        body: { code: 2, reason: expect.stringContaining(reason) },
      });
  });

  test('a web page that is not named is no service', async () => {
    const web = await acquire({ scene: 1 });
    expect((await call('POST', startPath(web, 'web'), startBody())).body['reason']).toBe(
      'services not selected! mode web needs extensionServiceConfig with a web_recorder_service',
    );
  });

  test('no recorder to be had is said at once', async () => {
    world.launchFault = fakeFault('recorder-not-started');
    expect(await call('POST', startPath(await acquire()), startBody())).toMatchObject({
      status: 500,
      body: { code: 502, cname: 'ch1' },
    });
    await settle();
    expect(world.feedsOpen).toBe(0);
    world.launchFault = undefined;
    expect((await call('POST', startPath(await acquire()), startBody())).status).toBe(200);
  });

  test.each(['uid', 'token'])('a %s that is refused makes a task that is soon gone', async (which) => {
    if (which === 'uid') world.feedFault = fakeFault('uid-taken');
    else world.tokenRefusal = { errorCode: 109, message: 'the token has expired' };
    const resourceId = await acquire();
    const { status, body } = await call('POST', startPath(resourceId), startBody());
    expect(status).toBe(200);
    await settle();
    const url = `${BASE}/resourceid/${resourceId}/sid/${body['sid']}/mode/mix/query`;
    expect(await call('GET', url)).toMatchObject({
      status: 404,
      body: { code: 404, reason: 'failed to find worker', cname: 'ch1', uid: '527841' },
    });
  });

  test('nulls, unknown members and empty texts of client libraries are taken', async () => {
    const storageConfig = {
      ...STORAGE,
      stsToken: null,
      extensionParams: { endpoint: 's3.example.com', sse: '', tag: '' },
    };
    const transcodingConfig = {
      width: 721,
      height: 1280,
      fps: 50,
      backgroudColor: '#FF0000',
      maxResolutionUid: '',
      mixedVideoLayout: 0,
    };
    const { recorder } = await start({
      token: '',
      storageConfig,
      recordingConfig: { transcodingConfig, subscribeAudioUids: null, privateParams: '{"correctEXTINF":true}' },
    });
    expect(mixPlanOf(recorder.start).video).toMatchObject({
      width: 720,
      height: 1280,
      fps: 15,
      bitrateKbps: 500,
      backgroundColor: '#000000',
    });
    expect(world.uploads.at(-1)?.options.extinfComma).toBe(true);
  });
});
