/**
 * The REST API over fake ports behind a real socket: calls with any method, header and body, the problems the server
 * named in its log, and a database whose answers a test holds back.
 */
import { once } from 'node:events';
import { request } from 'node:http';
import { text } from 'node:stream/consumers';
import { pino } from 'pino';
import { PROBLEMS } from '../../src/contract/problems.ts';
import {
  type ApiOptions,
  acquire,
  BASE,
  basic,
  buildApi,
  closeApi,
  listenApi,
  start,
  startBody,
  startPath,
  stopBody,
  world,
} from '../support/rest-api.ts';

/** Time that `buildApi` gives a call, as it is set there, milliseconds. */
const CALL_TIMEOUT_MS = 4000;
export const NAMES = { cname: 'ch1', uid: '527841' };

export type WireAnswer = {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: Record<string, unknown>;
};
/** `undefined` sends a header not at all. */
export type WireHeaders = Record<string, string | undefined>;

let origin = '';
let refusals: string[] = [];

/** Before each test; ended with `closeApi`. */
export async function serve({ http, ...options }: ApiOptions = {}): Promise<void> {
  refusals = [];
  const log = pino({ level: 'info', base: null }, { write: (line: string) => void note(line) });
  buildApi({ ...options, http: { log, ...http } });
  origin = await listenApi();
}
export { closeApi };

function note(line: string): void {
  const { msg, problem, err } = JSON.parse(line) as { msg: string; problem?: string; err?: { code?: string } };
  if (msg === 'a request was refused' && problem) refusals.push(problem);
  // What has no code of an answer was not foreseen by anyone.
  if (msg === 'a request failed')
    refusals.push(err?.code !== undefined && Object.hasOwn(PROBLEMS, err.code) ? err.code : 'internal-error');
}

/** By the server's log, what its last refusal was: one code and text may stand for several problems. */
export function lastProblem(): string | undefined {
  return refusals.at(-1);
}

/** One exchange on a connection of its own. A body that is no text is sent as JSON. */
export async function send(
  method: string,
  path: string,
  body?: unknown,
  headers: WireHeaders = {},
): Promise<WireAnswer> {
  const payload = body === undefined || typeof body === 'string' ? body : JSON.stringify(body);
  const wanted: WireHeaders = {
    authorization: basic('id:se:cret'),
    ...(payload !== undefined && {
      'content-type': 'application/json',
      'content-length': String(Buffer.byteLength(payload)),
    }),
    ...headers,
  };
  const sent = Object.entries(wanted).filter((header): header is [string, string] => header[1] !== undefined);
  const call = request(`${origin}${path}`, { method, headers: Object.fromEntries(sent), agent: false });
  // The server may answer, and close, before it has been sent the whole of a body that is too large.
  const failed = once(call, 'error').then(([error]) => Promise.reject(error));
  failed.catch(() => {});
  const answered = once(call, 'response');
  answered.catch(() => {});
  call.end(payload);
  const [response] = await Promise.race([answered, failed]);
  return { status: response.statusCode, headers: response.headers, body: JSON.parse(await text(response)) };
}

/** A POST whose caller goes away as soon as `gone` resolves. Resolves when the connection is closed. */
export async function sendAndHangUp(path: string, body: unknown, gone: () => Promise<unknown>): Promise<void> {
  const call = request(`${origin}${path}`, {
    method: 'POST',
    headers: { authorization: basic('id:se:cret'), 'content-type': 'application/json' },
    agent: false,
  });
  call.on('error', () => {});
  // Not by `once`, which takes the end of the connection for a failure.
  const closed = new Promise((resolve) => call.once('close', resolve));
  call.end(JSON.stringify(body));
  await gone();
  call.destroy();
  await closed;
}

/** The calls of the contract with a good body; `resource` is a resource id, or a started recording. */
export const ENDPOINTS = ['acquire', 'start', 'update', 'updateLayout', 'query', 'stop'] as const;
export type Endpoint = (typeof ENDPOINTS)[number];
export type Handle = { resourceId: string; sid: string };

export function pathOf(endpoint: Endpoint, { resourceId, sid }: Handle, mode = 'mix'): string {
  if (endpoint === 'acquire') return `${BASE}/acquire`;
  if (endpoint === 'start') return startPath(resourceId, mode);
  return `${BASE}/resourceid/${resourceId}/sid/${sid}/mode/${mode}/${endpoint}`;
}
export function bodyOf(endpoint: Endpoint): unknown {
  if (endpoint === 'query') return undefined;
  return endpoint === 'start' ? startBody() : stopBody();
}
/** A handle of nothing, good for what is judged before handles are. */
export const NO_HANDLE: Handle = { resourceId: 'r', sid: 'a'.repeat(32) };

export type Exchange = { handle?: Handle; mode?: string; body?: unknown; headers?: WireHeaders };
export function exchange(
  endpoint: Endpoint,
  { handle = NO_HANDLE, mode, body = bodyOf(endpoint), headers }: Exchange = {},
): Promise<WireAnswer> {
  return send(endpoint === 'query' ? 'GET' : 'POST', pathOf(endpoint, handle, mode), body, headers);
}

/** A handle that was acquired and not started. */
export async function acquired(clientRequest: object = {}, names = NAMES): Promise<Handle> {
  return { resourceId: await acquire(clientRequest, names), sid: 'a'.repeat(32) };
}
export { start as started };

type StoreCall = 'addResource' | 'findResource' | 'findRunning' | 'addTask' | 'saveState' | 'saveDocument';

/** Makes a call of the database wait. `reached` resolves when the server has asked, `release` lets it be answered. */
export function hold(name: StoreCall): { reached: Promise<void>; release(): void } {
  const store = world.store as unknown as Record<string, (...args: unknown[]) => Promise<unknown>>;
  const real = store[name]?.bind(world.store);
  const asked = Promise.withResolvers<void>();
  const released = Promise.withResolvers<void>();
  store[name] = async (...args) => {
    asked.resolve();
    await released.promise;
    return real?.(...args);
  };
  return { reached: asked.promise, release: released.resolve };
}

/** The answer to a call that has to wait for the database longer than a call may. The database answers after that. */
export async function whileHeld(name: StoreCall, ask: () => Promise<WireAnswer>): Promise<WireAnswer> {
  const { reached, release } = hold(name);
  const answered = ask();
  await reached;
  world.clock.advance(CALL_TIMEOUT_MS);
  const answer = await answered;
  release();
  return answer;
}
