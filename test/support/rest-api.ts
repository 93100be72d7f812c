/**
 * The REST API over fake ports: one server per test, and the calls a client makes.
 */
import { pino } from 'pino';
import { expect } from 'vitest';
import { problem } from '../../src/contract/problems.ts';
import type { RecordingApi } from '../../src/http/api.ts';
import { recordingApi } from '../../src/http/recording-api.ts';
import { buildHttp, type HttpOptions } from '../../src/http/server.ts';
import { WatchTokens } from '../../src/http/watch-tokens.ts';
import { Recordings, type RecordingsOptions } from '../../src/session/recordings.ts';
import { FakeWorld, OPEN, settle } from './fake-ports.ts';

export const APP = '0123456789abcdef0123456789abcdef';
export const OTHER_APP = 'f'.repeat(32);
/** An app that may not record. */
export const IDLE_APP = 'd'.repeat(32);
export const BASE = `/v1/apps/${APP}/cloud_recording`;
export const basic = (pair: string) => `Basic ${Buffer.from(pair).toString('base64')}`;
export const STORAGE = {
  vendor: 11,
  region: 0,
  bucket: 'bucket',
  accessKey: 'AK',
  secretKey: 'SK',
  fileNamePrefix: ['dir1'],
  extensionParams: { endpoint: 's3.example.com' },
};

/** The world of the test that runs. */
export let world: FakeWorld;
/** The recordings of the test that runs. */
export let recordings: Recordings;
let http: ReturnType<typeof buildHttp>;

export type ApiOptions = {
  recordings?: Partial<RecordingsOptions>;
  http?: Partial<HttpOptions>;
  api?: Partial<RecordingApi>;
};

/** The API over a world of its own. */
export function makeApi({ recordings: options, http: httpOptions, api }: ApiOptions = {}) {
  const fakes = new FakeWorld();
  const made = new Recordings({
    ...fakes.ports(),
    resourceLifeMs: 300_000,
    sliceStartTimeUnit: 's',
    forceExtinfComma: false,
    failoverNames: false,
    storeReports: 'local',
    mp4Limit: { durationMs: 7_200_000, bytes: 2_000_000_000 },
    baseName: (sid, cname) => `${sid}_${cname}`,
    callTimeoutMs: 4000,
    admission: OPEN,
    maxRecordings: 3,
    start: {},
    mayRecord: (appid) => appid !== IDLE_APP,
    ...options,
  });
  const server = buildHttp({ log: pino({ level: 'silent' }), ...httpOptions });
  recordingApi(server, {
    recordings: made,
    customers: [
      { id: 'id', secret: 'se:cret', apps: undefined },
      { id: 'limited', secret: 'x', apps: [OTHER_APP] },
    ],
    isApp: (appid) => [APP, OTHER_APP, IDLE_APP].includes(appid),
    notifications: {
      list: async (_appid, { after }) => ({ events: [], next: after }),
      redeliver: async () => {
        throw problem('event-unknown');
      },
    },
    list: { page: async () => ({ recordings: [], next: null }), of: async () => [] },
    participants: (_appid, cname) => [{ uid: '7', in: cname }],
    backlog: { list: async () => [], retry: async () => false },
    cuts: {
      begin: async () => {
        throw problem('recording-unknown');
      },
      of: () => {
        throw problem('cut-unknown');
      },
      file: () => {
        throw problem('cut-unknown');
      },
      remove: async () => {
        throw problem('cut-unknown');
      },
    },
    live: {
      recordings: { users: unwatched, playlist: unwatched, file: unwatched },
      tokens: new WatchTokens({ keys: ['0'.repeat(64)], clock: fakes.clock, lifeS: 600 }),
      origins: [],
    },
    ...api,
  });
  return { world: fakes, recordings: made, http: server };
}

async function unwatched(): Promise<never> {
  throw problem('recording-unknown');
}

/** Before each test. */
export function buildApi(options: ApiOptions = {}): void {
  ({ world, recordings, http } = makeApi(options));
}

/** Serves the API on a free port of this machine; its origin. Ended with `closeApi`. */
export function listenApi(): Promise<string> {
  return http.listen({ host: '127.0.0.1', port: 0 });
}
export async function closeApi(): Promise<void> {
  await http.close();
}

export type Answer = { status: number; body: Record<string, unknown>; headers: Record<string, unknown> };
export async function call(
  method: 'GET' | 'POST' | 'OPTIONS',
  url: string,
  body?: unknown,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const response = await http.inject({
    method,
    url,
    headers: {
      authorization: basic('id:se:cret'),
      ...(body !== undefined && { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body !== undefined && { payload: typeof body === 'string' ? body : JSON.stringify(body) }),
  });
  return { status: response.statusCode, body: response.json(), headers: response.headers };
}
export async function acquire(clientRequest: object = {}, names = { cname: 'ch1', uid: '527841' }): Promise<string> {
  const { status, body } = await call('POST', `${BASE}/acquire`, { ...names, clientRequest });
  expect(status).toBe(200);
  return body['resourceId'] as string;
}
export const startPath = (resourceId: string, mode = 'mix') => `${BASE}/resourceid/${resourceId}/mode/${mode}/start`;
export const startBody = (changes: object = {}) => ({
  cname: 'ch1',
  uid: '527841',
  clientRequest: { storageConfig: STORAGE, ...changes },
});
export const stopBody = (clientRequest: object = {}) => ({ cname: 'ch1', uid: '527841', clientRequest });
export async function start(changes: object = {}) {
  const resourceId = await acquire();
  const { status, body } = await call('POST', startPath(resourceId), startBody(changes));
  expect(status).toBe(200);
  await settle();
  const sid = body['sid'] as string;
  const path = (verb: string) => `${BASE}/resourceid/${resourceId}/sid/${sid}/mode/mix/${verb}`;
  return { resourceId, sid, path, recorder: world.recorders.at(-1)!, upload: world.uploads.at(-1)! };
}
