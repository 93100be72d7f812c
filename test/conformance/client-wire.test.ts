/**
 * What the fakes of the client libraries put on the wire, byte by byte where that matters, how often they ask and how
 * long they wait (contract §6.15, §8.1).
 */
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, describe, expect, test, vi } from 'vitest';
import type { ClientOptions, Handle, RecordingClient, StartCall } from './clients/calls.ts';
import { GoClient, goTriesAgain } from './clients/go-client.ts';
import { JavaClient } from './clients/java-client.ts';
import { NodeClient } from './clients/node-client.ts';
import { dumps, PythonClient } from './clients/python-client.ts';

const HANDLE = {
  cname: 'ch1',
  uid: '527841',
  resourceId: 'JyvK8nXHuV1BE64GDkAaBG',
  sid: '38f8e3cfdc474cd56fc1ceba380d7e1a',
};
const HLS = { status: 5, fileListMode: 'string', fileList: 'dir1/38f8_ch1.m3u8', sliceStartTime: 1562724971626 };

type Heard = { method: string; url: string; headers: IncomingMessage['headers']; body: string };
/** Answers as told, in turn, and with the last for ever; never at all when told nothing. */
async function script(...replies: [status: number, body: unknown][]) {
  const heard: Heard[] = [];
  const server = createServer(async (request, response) => {
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const { method = '', url = '', headers } = request;
    heard.push({ method, url, headers, body: Buffer.concat(chunks).toString() });
    const reply = replies[Math.min(heard.length, replies.length) - 1];
    if (reply) response.writeHead(reply[0], { 'content-type': 'application/json' }).end(JSON.stringify(reply[1]));
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const pauses: number[] = [];
  const options: ClientOptions = {
    baseUrl: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    appid: 'app',
    customerId: 'id',
    customerSecret: 'secret',
    pause: async (ms) => void pauses.push(ms),
  };
  const end = async () => {
    server.closeAllConnections();
    server.close();
    await once(server, 'close');
  };
  return { heard, pauses, options, [Symbol.asyncDispose]: end };
}

const STORAGE = {
  vendor: 1,
  region: 0,
  bucket: 'b',
  accessKey: 'AK',
  secretKey: 'SK',
  prefix: ['d1'],
  withParams: true,
};
const START: StartCall = {
  cname: 'a<b>&ü',
  uid: '1',
  mode: 'mix',
  resourceId: 'r',
  storage: STORAGE,
  video: { unsubscribe: ['7'] },
  canvas: {
    width: 640,
    height: 360,
    fps: 15,
    bitrate: 500,
    layout: 3,
    regions: [{ x: 0.1, y: 0, width: 1 / 3, height: 1 }],
  },
};
const TASK: Handle = { ...HANDLE, mode: 'mix' };

describe('what each client puts on the wire', () => {
  const CLIENTS = { Node: NodeClient, Python: PythonClient, Java: JavaClient, Go: GoClient };
  async function sent(name: keyof typeof CLIENTS, act: (client: RecordingClient) => Promise<unknown>): Promise<Heard> {
    await using server = await script([200, { ...HANDLE, serverResponse: HLS }]);
    await act(new CLIENTS[name](server.options));
    return server.heard[0] as Heard;
  }

  test.each([
    ['Node', 'application/json', ''],
    ['Python', undefined, ''],
    ['Java', 'application/json', 'null'],
    ['Go', 'application/json;charset=utf-8', ''],
  ] as const)('%s queries with content type %s and the body %j', async (name, type, body) => {
    const heard = await sent(name, (client) => client.query(TASK));
    expect(heard).toMatchObject({
      method: 'GET',
      url: `/v1/apps/app/cloud_recording/resourceid/${HANDLE.resourceId}/sid/${HANDLE.sid}/mode/mix/query`,
      body,
    });
    expect(heard.headers['content-type']).toBe(type);
    expect(heard.headers.authorization).toBe('Basic aWQ6c2VjcmV0');
    expect(heard.headers['content-length']).toBe(body ? '4' : undefined);
  });

  test('Go sends what it cannot leave out, in its own print', async () => {
    expect((await sent('Go', (client) => client.acquire({ cname: 'c', uid: '1', mode: 'mix' }))).body).toBe(
      '{"cname":"c","uid":"1","clientRequest":{"scene":0}}',
    );
    const { body } = await sent('Go', (client) => client.start(START));
    expect(body).toContain('"cname":"a\\u003cb\\u003e\\u0026ü"');
    expect(body).toContain('"extensionParams":{"sse":"","tag":""}');
    expect(body).toContain(
      '"layoutConfig":[{"uid":"","x_axis":0.1,"y_axis":0,"width":0.33333334,"height":1,"render_mode":0}]',
    );
    expect(body).toContain('"unSubscribeVideoUids":["7"]');
    const layout = await sent('Go', (client) =>
      client.updateLayout(TASK, { regions: [{ x: 0, y: 0, width: 1, height: 1 }] }),
    );
    expect(JSON.parse(layout.body)['clientRequest']).toEqual({
      mixedVideoLayout: 0,
      layoutConfig: [{ uid: '', x_axis: 0, y_axis: 0, width: 1, height: 1, alpha: 0, render_mode: 0 }],
    });
  });

  test('Java prints floats with a point, and a capital V', async () => {
    const { body } = await sent('Java', (client) => client.start(START));
    expect(body).toContain('"x_axis":0.1,"y_axis":0.0,"width":0.33333334,"height":1.0,"alpha":1.0');
    const page = { url: 'https://x', width: 1280, height: 720, bitrate: 900, maxHours: 1 };
    for (const name of ['Java', 'Go'] as const)
      expect((await sent(name, (client) => client.start({ ...START, mode: 'web', page }))).body).toContain(
        '"VideoBitrate":900',
      );
  });

  test('Python spells in its own way, and in ASCII', async () => {
    const { body } = await sent('Python', (client) =>
      client.start({ ...START, mode: 'individual', audio: { unsubscribe: ['8'] } }),
    );
    expect(body).toContain('"unsunscribeVideoUids": ["7"]');
    expect(body).toContain('"unsubscribeAudioUids": ["8"]');
    expect(body).toContain('"transcodeOptions": {"audio": {}}');
    expect(body).toContain('"cname": "a<b>&\\u00fc"');
    expect(dumps({ a: [1, 'x'], b: undefined })).toBe('{"a": [1, "x"]}');
  });

  test.each(['Node', 'Python', 'Java', 'Go'] as const)('%s updates and stops under its own names', async (name) => {
    const update = JSON.parse(
      (await sent(name, (client) => client.update(TASK, { audio: { subscribe: ['1'] } }))).body,
    );
    expect(update).toEqual({
      cname: 'ch1',
      uid: '527841',
      clientRequest: { streamSubscribe: { audioUidList: { subscribeAudioUids: ['1'] } } },
    });
    const stopped = await sent(name, (client) => client.stop(TASK, true));
    expect(JSON.parse(stopped.body)['clientRequest']).toEqual({ async_stop: true });
  });
});

describe('how often each client asks, and how long it waits', () => {
  afterEach(() => vi.restoreAllMocks());
  const REFUSED = { code: 502, reason: 'Failed to allocate worker' };

  test('Go repeats every call three times, and loses what the server said', async () => {
    await using server = await script([500, REFUSED]);
    const go = new GoClient(server.options);
    expect(await go.stop(TASK)).toEqual({ kind: 'lost', status: 500 });
    expect(server.heard).toHaveLength(3);
    expect(server.pauses).toEqual([1000, 2000]);
    expect([200, 201, 206, 399, 400, 498, 499, 500].filter(goTriesAgain)).toEqual([206, 399, 499, 500]);
  });

  test('Go told 206 to a stop asks again, and takes the answer to that', async () => {
    await using server = await script([206, { code: 50, reason: 'upload timeout' }], [400, { code: 49, reason: 'x' }]);
    expect(await new GoClient(server.options).stop(TASK)).toEqual({
      kind: 'refused',
      status: 400,
      code: 49,
      reason: 'x',
    });
    expect(server.heard).toHaveLength(2);
  });

  test('Node and Python repeat only start, and no refusal', async () => {
    for (const Client of [NodeClient, PythonClient]) {
      await using server = await script([500, REFUSED], [200, HANDLE]);
      const client = new Client(server.options);
      expect(await client.start(START)).toMatchObject({ kind: 'success', body: HANDLE });
      expect(server.pauses).toEqual([1000]);
      await using refusing = await script([400, { code: 53, reason: 'task conflict' }]);
      const refused = await new Client(refusing.options).start(START);
      expect(refused).toEqual({ kind: 'refused', status: 400, code: 53, reason: 'task conflict' });
      expect(refusing.heard).toHaveLength(1);
      await using failing = await script([500, REFUSED]);
      expect(await new Client(failing.options).query(TASK)).toMatchObject({ kind: 'refused', status: 500, code: 502 });
      expect(failing.heard).toHaveLength(1);
      expect((await new Client(failing.options).start(START)).kind).not.toBe('success');
      expect(failing.heard).toHaveLength(4);
    }
  });

  test('206 is a success of stop to Node and Java', async () => {
    await using server = await script([206, { ...HANDLE, code: 435, reason: 'no recorded data' }]);
    for (const client of [new NodeClient(server.options), new JavaClient(server.options)])
      expect(await client.stop(TASK)).toMatchObject({ kind: 'success', body: HANDLE });
    expect(await new PythonClient(server.options).stop(TASK)).toMatchObject({ kind: 'refused', code: 435 });
  });

  test('each gives up in its time', async () => {
    await using server = await script();
    const limits: number[] = [];
    vi.spyOn(AbortSignal, 'timeout').mockImplementation((ms) => {
      limits.push(ms);
      return AbortSignal.abort(new Error('the time is over'));
    });
    const web: Handle = { ...TASK, mode: 'web' };
    const calls = [
      new NodeClient(server.options).stop(TASK),
      new NodeClient(server.options).stop(web),
      new PythonClient(server.options).query(TASK),
      new GoClient(server.options).query(TASK),
    ];
    expect((await Promise.allSettled(calls)).map(({ status }) => status)).toEqual(Array(4).fill('rejected'));
    expect(limits).toEqual([5000, 10_000, 10_000, 10_000]);
  });
});
