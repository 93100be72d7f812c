/**
 * Calls of our server over a real connection, each of whose replies every reader must be able to read.
 */
import { expect, onTestFinished } from 'vitest';
import type { SpooledFile } from '../../src/media/segment.ts';
import { settle } from '../support/fake-ports.ts';
import { MIDDLEWARE_KNOWN_FAILURES } from './clients/apps.ts';
import { type Endpoint, type Handle, type Mode, pathOf } from './clients/calls.ts';
import { type Answered, basicAuth, exchange, type Sent } from './clients/exchange.ts';
import { parseWithAll } from './parse-all.ts';
import { APP, listenApi, type WireApi, type WireOptions } from './wire-api.ts';

export const NAMES = { cname: 'ch1', uid: '527841' };
export const STORAGE = {
  vendor: 1,
  region: 0,
  bucket: 'bucket',
  accessKey: 'AK',
  secretKey: 'SK',
  fileNamePrefix: ['dir1'],
};
export const START_MS = 1_562_724_971_626.847;
export const SLICE: SpooledFile = {
  type: 'slice',
  name: 'x.ts',
  playlist: 'x.m3u8',
  index: 0,
  startUtcMs: START_MS,
  durationUs: 1,
  bytes: 1,
  discontinuity: false,
  starts: [],
  rotations: [],
};
/** What one program makes of every listing with a text, whoever sends it. */
const TEXT_LIST = [`agora-go-backend-middleware: ${MIDDLEWARE_KNOWN_FAILURES.string}`];

export async function setUp(options?: WireOptions): Promise<WireApi> {
  const api = await listenApi(options);
  onTestFinished(() => api[Symbol.asyncDispose]());
  return api;
}

export type Call = {
  endpoint: Endpoint;
  handle?: Partial<Handle>;
  body?: unknown;
  appid?: string;
  headers?: Record<string, string>;
};

/** One call, whose reply every reader must be able to read. */
export async function ask(api: WireApi, { endpoint, handle = {}, body, appid = APP, headers = {} }: Call) {
  const mode: Mode = handle.mode ?? 'mix';
  const path = pathOf(appid, endpoint, { ...handle, mode });
  const sent: Sent = {
    method: endpoint === 'query' ? 'GET' : 'POST',
    url: `${api.client.baseUrl}${path}`,
    headers: { authorization: basicAuth('id', 'se:cret'), 'content-type': 'application/json', ...headers },
    ...(body !== undefined && { body: typeof body === 'string' ? body : JSON.stringify(body) }),
  };
  const answered = await exchange(sent);
  return { ...answered, ...read(endpoint, mode, answered) };
}

export function read(endpoint: Endpoint, mode: Mode, { status, rawBody, headers }: Answered) {
  const { failures, expected } = parseWithAll(endpoint, mode, false, status, rawBody, headers);
  expect(failures, `${endpoint} ${status} ${rawBody}`).toEqual([]);
  const body = JSON.parse(rawBody) as Record<string, unknown>;
  if (status === 200 && (endpoint === 'query' || endpoint === 'stop')) {
    const { fileListMode } = body['serverResponse'] as { fileListMode?: string };
    const known = fileListMode === 'string' ? TEXT_LIST.map((line) => expect.stringContaining(line)) : [];
    expect(expected).toEqual(known);
  } else expect(expected).toEqual([]);
  return { body };
}

export const acquireBody = (clientRequest: object = {}, names = NAMES) => ({ ...names, clientRequest });
export async function acquire(api: WireApi, clientRequest: object = {}, names = NAMES): Promise<string> {
  const { status, body } = await ask(api, { endpoint: 'acquire', body: acquireBody(clientRequest, names) });
  expect(status).toBe(200);
  return String(body['resourceId']);
}
export const startBody = (changes: object = {}) => ({
  ...NAMES,
  clientRequest: { storageConfig: STORAGE, ...changes },
});
export async function start(api: WireApi, changes: object = {}) {
  const resourceId = await acquire(api);
  const { status, body } = await ask(api, { endpoint: 'start', handle: { resourceId }, body: startBody(changes) });
  expect(status).toBe(200);
  await settle();
  const handle: Handle = { ...NAMES, mode: 'mix', resourceId, sid: String(body['sid']) };
  return { handle, recorder: api.world.recorders.at(-1)!, upload: api.world.uploads.at(-1)! };
}
export const stopBody = (clientRequest: object = {}) => ({ ...NAMES, clientRequest });
export const MP4_TOO = { recordingFileConfig: { avFileType: ['hls', 'mp4'] } };

/** Resolves when what a call sets off has come to pass in the server. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await settle();
}
