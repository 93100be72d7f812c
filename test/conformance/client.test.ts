/**
 * Our own client against our server, over a real connection: whole recordings, the answers by their schemas, and what
 * is refused.
 */
import { describe, expect, expectTypeOf, onTestFinished, test } from 'vitest';
import { AircheckClient, type ClientOptions, type Remark, type StartRequest } from '../../src/client/index.ts';
import { openApiDocument } from '../../src/contract/openapi.ts';
import { backlogReplySchema } from '../../src/contract/rest/backlog.ts';
import { channelReplySchema } from '../../src/contract/rest/channel.ts';
import { queryReplySchemas } from '../../src/contract/rest/query.ts';
import { recordingReportSchema } from '../../src/contract/rest/recording-report.ts';
import { startRequestSchemas } from '../../src/contract/rest/start.ts';
import { stopReplySchemas } from '../../src/contract/rest/stop.ts';
import { nodesRoute } from '../../src/http/nodes.ts';
import { mixPlanOf, settle } from '../support/fake-ports.ts';
import { APP, type ApiOptions, makeApi } from '../support/rest-api.ts';
import { NAMES, SLICE, START_MS, until } from './asking.ts';

const STORAGE = {
  vendor: 1,
  region: 0,
  bucket: 'bucket',
  accessKey: 'AK',
  secretKey: 'SK',
  fileNamePrefix: ['d1'],
} as const;
const MIX: StartRequest<'mix'> = {
  storageConfig: STORAGE,
  recordingConfig: {
    transcodingConfig: {
      ...{ width: 640, height: 360, mixedVideoLayout: 3 },
      layoutConfig: [{ x_axis: 0, y_axis: 0, width: 0.5, height: 1 }],
    },
  },
  aircheck: { onhold: false },
};

async function setUp(more: Partial<ClientOptions> = {}, options?: ApiOptions) {
  const { world, http } = makeApi(options);
  const node = {
    ...{ id: 'me', name: 'a', version: '1', wire: 1, nodeUrl: undefined, publicUrl: undefined, state: 'live' },
    ...{ capacity: { cores: 2, bytes: 1 }, load: { cores: 0, bytes: 0 }, recordings: 0, publishers: 0 },
    ...{ calls: new Map(), seenMsAgo: 1 },
  } as const;
  nodesRoute(http, {
    customers: [{ id: 'id', secret: 'se:cret', apps: undefined }],
    self: 'me',
    list: async () => [node as never],
  });
  const url = await http.listen({ host: '127.0.0.1', port: 0 });
  onTestFinished(() => http.close());
  const remarks: Remark[] = [];
  const client = new AircheckClient({
    ...{ url, appId: APP, customerId: 'id', customerSecret: 'se:cret', onRemark: (remark) => remarks.push(remark) },
    ...more,
  });
  return { world, client, remarks };
}

describe('a whole recording', () => {
  test('of a composite, from acquire to the report after its end', async () => {
    const { world, client, remarks } = await setUp();
    const recording = await client.record('mix', { ...NAMES, clientRequest: MIX });
    expect(recording).toEqual({
      ...NAMES,
      mode: 'mix',
      sid: expect.stringMatching(/^[0-9a-f]{32}$/),
      resourceId: expect.any(String),
    });
    await settle();
    const [recorder, upload] = [world.recorders[0]!, world.uploads[0]!];
    expect(mixPlanOf(recorder.start).video).toMatchObject({ width: 640, layout: { kind: 'custom' } });

    upload.tell({ type: 'playlistStored', key: 'd1/a.m3u8', startUtcMs: START_MS });
    await settle();
    const state = await client.query(recording);
    expect(queryReplySchemas.mix.parse(state)).toEqual(state);
    expect(state).toMatchObject({ serverResponse: { fileListMode: 'string', fileList: 'd1/a.m3u8' } });
    await client.update(recording, {
      streamSubscribe: { audioUidList: { subscribeAudioUids: ['7'] }, videoUidList: { subscribeVideoUids: ['7'] } },
    });
    await client.updateLayout(recording, { mixedVideoLayout: 1, backgroundColor: '#102030' });
    expect(recorder.changes.length).toBeGreaterThan(1);
    expect(recordingReportSchema.parse(await client.recording(recording.sid))).toMatchObject({ phase: 'recording' });

    const stopping = client.stop(recording);
    await until(() => recorder.stoppedAtUs !== undefined);
    world.spool(recorder, SLICE);
    recorder.tell({ type: 'ended', reason: 'stopped', recorded: true, message: '' });
    await settle();
    upload.letFinish();
    const stopped = await stopping;
    expect(stopReplySchemas.mix.parse(stopped)).toEqual(stopped);
    expect(stopped.serverResponse).toMatchObject({ uploadingStatus: 'uploaded' });
    await expect(client.query(recording)).rejects.toMatchObject({ isGone: true, status: 404 });
    // Whoever comes after the end is told it all the same.
    const report = await client.finish(recording);
    expect(recordingReportSchema.parse(report)).toMatchObject({ sid: recording.sid, phase: 'ended', healthy: true });
    expect(remarks).toEqual([]);
  });

  test.each([
    ['individual', { storageConfig: STORAGE, aircheck: { manifest: true } }],
    [
      'web',
      {
        storageConfig: STORAGE,
        extensionServiceConfig: {
          extensionServices: [
            {
              serviceName: 'web_recorder_service',
              serviceParam: {
                ...{ url: 'https://example.com', audioProfile: 0, videoWidth: 1280, videoHeight: 720 },
                maxRecordingHour: 1,
              },
            },
          ],
        },
      },
    ],
  ] as const)('of mode %s', async (mode, clientRequest) => {
    const { world, client } = await setUp();
    const recording = await client.record(mode, {
      ...NAMES,
      clientRequest: clientRequest as StartRequest<typeof mode>,
    });
    await settle();
    const state = await client.query(recording);
    expect(queryReplySchemas[mode].parse(state)).toEqual(state);
    const stopped = await client.stop(recording, { async_stop: true });
    expect(stopReplySchemas[mode].parse(stopped)).toEqual(stopped);
    expect(world.recorders[0]?.stoppedAtUs).toBeDefined();
  });

  test('in which nobody sent anything: stop says so, and finish tells what is known', async () => {
    const { world, client } = await setUp();
    const recording = await client.record('mix', { ...NAMES, clientRequest: MIX });
    await settle();
    const finished = client.finish(recording);
    await until(() => world.recorders[0]?.stoppedAtUs !== undefined);
    world.recorders[0]?.tell({ type: 'ended', reason: 'stopped', recorded: false, message: '' });
    expect(await finished).toMatchObject({ phase: 'ended', files: [] });
  });
});

test('a start that is made twice is one recording', async () => {
  const { world, client } = await setUp();
  const { resourceId } = await client.acquire(NAMES);
  const call = { ...NAMES, resourceId, clientRequest: MIX };
  const first = await client.start('mix', call);
  expect(await client.start('mix', call)).toEqual(first);
  expect(world.recorders).toHaveLength(1);
});

test('what else the server has is read as its schemas say', async () => {
  const entry = { sid: 's', where: 'spool', files: 1, bytes: 2, sinceMs: 3, attempts: 4 } as const;
  const { client } = await setUp(
    {},
    {
      api: {
        participants: (_appid, cname) => [{ uid: '7', joinedAtMs: 1, recorder: false, tracks: [], in: cname }],
        backlog: {
          list: async () => [{ ...entry, lastError: null, nextTryMs: null, waitsFor: null }],
          retry: async () => false,
        },
      },
    },
  );
  expect(channelReplySchema.parse(await client.channel('ä b/c'))).toMatchObject({
    cname: 'ä b/c',
    participants: [{ uid: '7' }],
  });
  const backlog = await client.backlog();
  expect(backlogReplySchema.parse({ backlog })).toEqual({ backlog });
  expect(await client.events({ state: 'dead', after: 5 })).toEqual({ events: [], next: 5 });
  for await (const event of client.allEvents()) expect.unreachable(JSON.stringify(event));
  await expect(client.redeliver('n/1')).rejects.toMatchObject({ status: 404, reason: 'no such event' });
  expect((await client.nodes()).nodes).toMatchObject([{ id: 'me', state: 'live' }]);
});

describe('what is refused', () => {
  test('by the server, with its words', async () => {
    const { client } = await setUp();
    await expect(client.acquire({ cname: 'a/b', uid: '1' })).rejects.toMatchObject({
      ...{ status: 400, code: 401, reason: 'invalid_channel_name', attempts: 1 },
      requestId: expect.stringMatching(/^[0-9a-f-]{36}$/),
    });
    const other = await setUp({ customerSecret: 'wrong' });
    await expect(other.client.acquire(NAMES)).rejects.toMatchObject({ status: 401, code: undefined });
  });

  test('a doubtful request is taken, and remarked on', async () => {
    const { client, remarks } = await setUp();
    const doubtful = { ...MIX, recordingConfig: { ...MIX.recordingConfig, backgroudColor: '#ffffff' } };
    await client.record('mix', { ...NAMES, clientRequest: doubtful as StartRequest<'mix'> });
    expect(remarks).toMatchObject([{ kind: 'warnings', call: 'start', count: 1 }]);
  });
});

test('types of requests are those of the schemas', () => {
  expect(startRequestSchemas.mix.safeParse({ ...NAMES, clientRequest: MIX }).error).toBeUndefined();
  expectTypeOf<{ storageConfig: { vendor: 1000; bucket: string } }>().toExtend<StartRequest<'mix'>>();
  expectTypeOf<StartRequest<'mix'>['storageConfig']['fileNamePrefix']>().toEqualTypeOf<readonly string[] | undefined>();
  expectTypeOf<{ storageConfig: { vendor: 99; bucket: string } }>().not.toExtend<StartRequest<'mix'>>();
  expectTypeOf<{ storageConfig: { vendor: 1 } }>().not.toExtend<StartRequest<'mix'>>();
  expectTypeOf<StartRequest<'mix'>>().not.toExtend<StartRequest<'web'>>();
});

describe('calls beyond the recording API', () => {
  /** Operations that have a call of another name, or none, and why. */
  const OTHERWISE: Record<string, keyof AircheckClient | 'no JSON' | 'of publishers' | 'of operators' | 'of browsers'> =
    {
      ...{
        beginCut: 'cut',
        cut: 'cutOf',
        beginMix: 'mix',
        mix: 'mixOf',
        report: 'recording',
        previewRemoval: 'previewRemoval',
      },
      ...{ file: 'no JSON', cutFile: 'no JSON', mixFile: 'no JSON', thumbnail: 'no JSON', changes: 'no JSON' },
      ...{ livePlaylist: 'no JSON', liveFile: 'no JSON', health: 'no JSON', metrics: 'no JSON' },
      ...{ publish: 'of publishers', trickle: 'of publishers', unpublish: 'of publishers', stays: 'of publishers' },
      ...{ drain: 'of operators', undrain: 'of operators', ncsIpV1: 'of operators', ncsIpV2: 'of operators' },
      ...{ signIn: 'of browsers', signedIn: 'of browsers', signOut: 'of browsers' },
    };
  const operations = Object.entries(openApiDocument().paths ?? {}).flatMap(([path, methods]) =>
    Object.entries(methods).flatMap(([method, operation]) => {
      const { operationId = '' } = operation as { operationId?: string };
      return operationId === '' ? [] : [{ operationId, method: method.toUpperCase(), path }];
    }),
  );

  test('each that the server has is there, or is known to be none', () => {
    const isThere = (name: string) => name in AircheckClient.prototype;
    const missing = operations
      .map(({ operationId }) => operationId)
      .filter((id) => !isThere(OTHERWISE[id] ?? id) && !/^(no|of) /.test(OTHERWISE[id] ?? ''));
    expect([...new Set(missing)]).toEqual([]);
    const known = new Set(operations.map(({ operationId }) => operationId));
    expect(Object.keys(OTHERWISE).filter((id) => !known.has(id))).toEqual([]);
  });

  const [SID, ID] = ['a'.repeat(32), 'b'.repeat(32)];
  test.each<[operationId: string, call: (client: AircheckClient) => Promise<unknown>, body?: unknown]>([
    ['files', (client) => client.files(SID)],
    [
      'fileLink',
      (client) => client.fileLink(SID, 'a b/c.mp4', { keys: { accessKey: 'A', secretKey: 'S' } }),
      { keys: { accessKey: 'A', secretKey: 'S' } },
    ],
    ['calls', (client) => client.calls(SID)],
    ['beginCut', (client) => client.cut(SID, { from: 1, to: 2 }), { from: 1, to: 2 }],
    ['cut', (client) => client.cutOf(SID, ID)],
    ['cut', (client) => client.cutDone(SID, ID)],
    ['removeCut', (client) => client.removeCut(SID, ID)],
    ['beginMix', (client) => client.mix(SID, { users: ['7'] }), { users: ['7'] }],
    ['mix', (client) => client.mixed(SID, ID)],
    ['mixes', (client) => client.mixes(SID)],
    ['removeMix', (client) => client.removeMix(SID, ID)],
    ['retention', (client) => client.retention(SID)],
    ['setRetention', (client) => client.setRetention(SID, { days: 3 }), { days: 3 }],
    ['holdRecording', (client) => client.holdRecording(SID), {}],
    ['releaseRecording', (client) => client.releaseRecording(SID)],
    ['deleteFiles', (client) => client.deleteFiles(SID), {}],
    ['removals', (client) => client.removals(SID)],
    ['previewRemoval', (client) => client.previewRemoval(SID, '7')],
    ['removePerson', (client) => client.removePerson(SID, { uid: '7' }), { uid: '7' }],
    ['channels', (client) => client.channels()],
    ['channel', (client) => client.channel('a room/#1')],
    ['retryBacklog', (client) => client.retryBacklog(SID)],
  ])('%s goes to its own path, by its method', async (operationId, call, body) => {
    const sent: { method: string | undefined; path: string; body: unknown }[] = [];
    const good = { channels: [], mixes: [], calls: [], file: '/made', state: 'done' };
    const client = new AircheckClient({
      ...{ url: 'https://record.example.com', appId: APP, customerId: 'id', customerSecret: 'secret', deadlineMs: 0 },
      async fetch(url, { method = 'GET', body: text }) {
        sent.push({
          method,
          path: new URL(url).pathname,
          body: text === undefined ? undefined : JSON.parse(String(text)),
        });
        const status = /^(beginCut|beginMix)$/.test(operationId)
          ? 201
          : method === 'DELETE' && /Cut|Mix/.test(operationId)
            ? 204
            : 200;
        return new Response(status === 204 ? null : JSON.stringify(good), { status });
      },
    });
    const answer = await call(client);
    const { method, path } = operations.find((each) => each.operationId === operationId)!;
    expect(sent).toEqual([
      { method, path: expect.stringMatching(new RegExp(`^${path.replace(/\{\w+\}/g, '[^/]+')}$`)), body },
    ]);
    if (/^(beginCut|cut|beginMix|mix)$/.test(operationId))
      expect(answer).toMatchObject({ file: 'https://record.example.com/made' });
  });
});
