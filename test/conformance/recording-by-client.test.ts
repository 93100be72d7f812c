/**
 * Each client library's fake runs whole recordings against our server, over a real connection.
 */
import { describe, expect, test } from 'vitest';
import { mixPlanOf, settle } from '../support/fake-ports.ts';
import { NAMES, SLICE, START_MS, setUp, until } from './asking.ts';
import type { Handle, Mode, StartCall } from './clients/calls.ts';
import { GoClient } from './clients/go-client.ts';
import { JavaClient } from './clients/java-client.ts';
import { NodeClient } from './clients/node-client.ts';
import { PythonClient } from './clients/python-client.ts';

describe.each([
  ['Node', NodeClient],
  ['Python', PythonClient],
  ['Java', JavaClient],
  ['Go', GoClient],
] as const)('a whole recording with the %s client', (name, Client) => {
  const calls = (mode: Mode, resourceId: string): StartCall => ({
    ...NAMES,
    mode,
    resourceId,
    storage: {
      vendor: 1,
      region: 0,
      bucket: 'bucket',
      accessKey: 'AK',
      secretKey: 'SK',
      prefix: ['d1'],
      withParams: true,
    },
  });
  const text = (outcome: unknown, member: string) => (outcome as { body: Record<string, string> }).body[member]!;
  const region = (x: number, width: number) => ({ x, y: 0, width, height: 1 });

  test.each([
    ['HLS', undefined, 'hls'],
    ['HLS and MP4', ['hls', 'mp4'], 'hls and mp4'],
  ])('%s', async (_name, fileTypes, readAs) => {
    const api = await setUp();
    const client = new Client(api.client);
    const acquired = await client.acquire({ ...NAMES, mode: 'mix', resourceExpiredHour: 24 });
    expect(acquired.kind).toBe('success');
    const resourceId = text(acquired, 'resourceId');
    const started = await client.start({
      ...calls('mix', resourceId),
      channelType: 1,
      audio: { subscribe: ['#allstream#'] },
      // The Python client's name for this one is no name of the contract, and has no effect.
      video: { unsubscribe: ['7'] },
      canvas: {
        width: 640,
        height: 360,
        fps: 15,
        bitrate: 500,
        layout: 3,
        backgroundColor: '#112233',
        regions: [region(0.1, 0.3), region(1 / 3, 2 / 3), { ...region(0.7, 0.3), uid: '9', fit: true }],
      },
      ...(fileTypes && { fileTypes }),
    });
    expect(started).toMatchObject({ kind: 'success', body: { ...NAMES, resourceId } });
    await settle();
    const handle: Handle = { ...NAMES, mode: 'mix', resourceId, sid: text(started, 'sid') };
    const [recorder, upload] = [api.world.recorders[0]!, api.world.uploads[0]!];
    const { video, subscribe } = mixPlanOf(recorder.start);
    expect(video?.layout).toMatchObject({
      kind: 'custom',
      regions: [{ x: 0.1 }, { x: expect.closeTo(1 / 3, 6) }, { uid: '9', render: 'fit' }],
    });
    expect(subscribe.audio).toEqual({ kind: 'all' });
    expect(subscribe.video).toEqual(name === 'Python' ? { kind: 'none' } : { kind: 'except', uids: ['7'] });

    // Python hands over what came, and tells no kinds apart.
    const taken = { kind: 'success', ...(name !== 'Python' && { readAs }) };
    expect(await client.query(handle)).toMatchObject(taken);
    upload.tell({ type: 'playlistStored', key: 'd1/a.m3u8', startUtcMs: START_MS });
    await settle();
    expect(await client.query(handle)).toMatchObject(taken);
    const same = { kind: 'success', body: { ...NAMES, resourceId, sid: handle.sid } };
    expect(await client.update(handle, { audio: { subscribe: ['1'] }, video: { subscribe: ['1'] } })).toEqual(same);
    expect(await client.updateLayout(handle, { layout: 3, regions: [region(0.3, 0.7)] })).toEqual(same);
    expect(recorder.changes.length).toBeGreaterThan(0);

    const stopping = client.stop(handle);
    await until(() => recorder.stoppedAtUs !== undefined);
    api.world.spool(recorder, SLICE);
    recorder.tell({ type: 'ended', reason: 'stopped', recorded: true, message: '' });
    await settle();
    upload.letFinish();
    expect(await stopping).toMatchObject({
      kind: 'success',
      body: { resourceId, sid: handle.sid, serverResponse: { uploadingStatus: 'uploaded' } },
    });
    expect(await client.query(handle)).toMatchObject({ kind: 'refused', status: 404 });
    expect(await client.stop(handle)).toMatchObject({ kind: 'refused', status: 404 });
  });

  test.each([
    ['streams', {}, 'recording'],
    ['snapshots', { snapshotIntervalS: 5 }, 'snapshot'],
  ])('every user alone: %s', async (what, more, readAs) => {
    const api = await setUp();
    const client = new Client(api.client);
    const resourceId = text(await client.acquire({ ...NAMES, mode: 'individual' }), 'resourceId');
    const started = await client.start({ ...calls('individual', resourceId), uidGroup: 1, ...more });
    expect(started).toMatchObject({ kind: 'success', body: { ...NAMES, resourceId } });
    await settle();
    const handle: Handle = { ...NAMES, mode: 'individual', resourceId, sid: text(started, 'sid') };
    const [recorder, upload] = [api.world.recorders[0]!, api.world.uploads[0]!];
    expect(recorder.start.plan).toMatchObject({ mode: 'individual', maxUsers: 7 });
    const taken = { kind: 'success', ...(name !== 'Python' && { readAs }) };
    expect(await client.query(handle)).toMatchObject(taken);
    if (what === 'streams') {
      const owner = { uid: '7', trackType: 'video' } as const;
      upload.tell({ type: 'playlistStored', key: 'd1/v.m3u8', startUtcMs: START_MS, owner, playable: false });
    } else upload.tell({ type: 'snapshotStored', key: 'd1/v.jpg', startUtcMs: START_MS });
    await settle();
    const file = { fileName: 'd1/v.m3u8', trackType: 'video', uid: '7', mixedAllUser: false, isPlayable: false };
    expect(await client.query(handle)).toMatchObject({
      ...taken,
      body: {
        serverResponse:
          what === 'streams'
            ? { status: 5, fileListMode: 'json', fileList: [{ ...file, sliceStartTime: Math.floor(START_MS / 1000) }] }
            : { status: 5, sliceStartTime: 0 },
      },
    });
    const stopping = client.stop(handle);
    await until(() => recorder.stoppedAtUs !== undefined);
    recorder.tell({ type: 'ended', reason: 'stopped', recorded: true, message: '' });
    await settle();
    upload.letFinish();
    expect(await stopping).toMatchObject({
      kind: 'success',
      body: { serverResponse: { uploadingStatus: 'uploaded', ...(what === 'streams' && { fileList: [file] }) } },
    });
  });

  test('a second start is what it takes it for', async () => {
    const api = await setUp();
    const client = new Client(api.client);
    const resourceId = text(await client.acquire({ ...NAMES, mode: 'mix' }), 'resourceId');
    const first = await client.start(calls('mix', resourceId));
    const second = await client.start(calls('mix', resourceId));
    if (name === 'Go') expect(second).toEqual({ kind: 'refused', status: 201, code: 7, reason: 'already started' });
    else expect(text(second, 'sid')).toBe(text(first, 'sid'));
    expect(api.world.recorders).toHaveLength(1);
  });

  test('a web page: recorded at its bitrate, and pushed', async () => {
    const api = await setUp();
    const client = new Client(api.client);
    const mode = 'web';
    const sizes = { width: 1280, height: 720, bitrate: 900, maxHours: 3 };
    const page = { url: 'https://example.com', ...sizes, rtmpUrl: 'rtmp://x/y' };
    const acquired = await client.acquire({ ...NAMES, mode });
    const started = await client.start({ ...calls(mode, text(acquired, 'resourceId')), page });
    expect(started).toMatchObject({ kind: 'success' });
    const [recorder] = api.world.recorders;
    expect(recorder?.start).toMatchObject({
      plan: { mode, video: { width: 1280, height: 720, bitrateKbps: 900 }, maxAgeMs: 3 * 3_600_000 },
      source: { kind: 'page', url: 'https://example.com' },
      pushes: { targets: [{ url: 'rtmp://x/y' }] },
    });
  });

  test('refusals reach the caller', async () => {
    const api = await setUp();
    const client = new Client(api.client);
    const handle: Handle = { ...NAMES, mode: 'mix', resourceId: 'unknown', sid: 'a'.repeat(32) };
    const start = await client.start(calls('mix', 'unknown'));
    expect(start).toMatchObject({ kind: 'refused', status: 400, reason: expect.stringContaining('resourceId') });
    if (name !== 'Java') expect(start).toMatchObject({ code: 2 });
    for (const outcome of [
      await client.query(handle),
      await client.stop(handle),
      await client.update(handle, { audio: { subscribe: ['1'] } }),
      await client.updateLayout(handle, { layout: 1 }),
    ]) {
      const reason = expect.stringContaining('failed to find worker');
      expect(outcome).toMatchObject({ kind: 'refused', status: 404, reason });
      if (name !== 'Java') expect(outcome).toMatchObject({ code: 404 });
    }
    const stranger = new Client({ ...api.client, customerSecret: 'wrong' });
    expect(await stranger.query(handle)).toMatchObject({
      kind: 'refused',
      status: 401,
      reason: expect.stringContaining('Invalid authentication credentials'),
    });
  });
});
