/**
 * Thousands of malformed requests against the whole REST API: each is answered with what is documented, and none is
 * kept.
 */
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import fc from 'fast-check';
import { beforeAll, beforeEach, expect, test } from 'vitest';
import { PROBLEMS, type ProblemName } from '../../src/contract/problems.ts';
import { settle } from '../support/fake-ports.ts';
import { type Answer, APP, BASE, buildApi, call, STORAGE, world } from '../support/rest-api.ts';
import { bodyChange, headerChange, hostilePart, textChange, write } from './hostile.ts';
import {
  CNAME,
  type Endpoint,
  type Mode,
  type Path,
  UIDS,
  VALID_REQUESTS,
  type ValidRequest,
} from './valid-requests.ts';

const BATCHES = 5;
const BATCH = 1000;
const MAX_GROWTH_BYTES = 4 * 2 ** 20;

setFlagsFromString('--expose-gc');
const collectGarbage = runInNewContext('gc') as () => void;
function heapAfterCollection(): number {
  collectGarbage();
  collectGarbage();
  return process.memoryUsage().heapUsed;
}

/** Members of a good answer, each with its type. */
const HANDLE = { cname: 'string', uid: 'string', resourceId: 'string', sid: 'string' };
const REPLIES: Record<Endpoint, Record<string, string>> = {
  acquire: { cname: 'string', uid: 'string', resourceId: 'string' },
  start: HANDLE,
  update: HANDLE,
  updateLayout: HANDLE,
  query: { ...HANDLE, serverResponse: 'object' },
  stop: { ...HANDLE, serverResponse: 'object' },
  participants: { cname: 'string', participants: 'object' },
  report: { sid: 'string', status: 'number', files: 'object' },
  events: { events: 'object', next: 'number' },
  redeliver: {},
  ncs: { data: 'object' },
};
const ERROR_MEMBERS = ['cname', 'uid', 'resourceId', 'sid', 'code', 'reason'];

/** What is wrong with an answer; undefined when it is a documented one. */
function undocumented({ status, body, headers }: Answer): string | undefined {
  if (typeof headers['x-request-id'] !== 'string') return 'it has no X-Request-Id';
  if (!String(headers['content-type']).startsWith('application/json')) return 'it is not said to be JSON';
  if (status === 200) {
    const fits = Object.values(REPLIES).some((reply) =>
      Object.entries(reply).every(([name, type]) => typeof body[name] === type),
    );
    return fits && body['code'] === undefined ? undefined : 'it is not the reply of any endpoint';
  }
  const names = (Object.keys(PROBLEMS) as ProblemName[]).filter((name) => {
    const problem = PROBLEMS[name];
    if (problem.http !== status) return false;
    if (problem.shape === 'gateway') return JSON.stringify(body) === JSON.stringify({ message: problem.message });
    return problem.code === body['code'] && typeof body['reason'] === 'string';
  });
  if (names.length === 0) return 'it is no documented problem';
  // Kinds of recording that this server does not make are valid, and refused so.
  if (status >= 500 && !names.includes('allocate-failed')) return 'it is the fault of the server';
  if (body['code'] === undefined) return undefined;
  const unknown = Object.keys(body).filter((name) => !ERROR_MEMBERS.includes(name));
  if (unknown.length > 0) return `it has members that are not documented: ${unknown}`;
  if ((body['reason'] as string).length > 1000) return 'it repeats what was sent';
  return undefined;
}

/** What requests are about: a resource of each mode that was not started, and a recording that runs. */
let targets: Record<Mode, string> & { running: Path };

/** Ends what runs, forgets what is stored, and makes the targets anew. */
async function renewTargets(): Promise<void> {
  for (const recorder of world.recorders)
    recorder.tell({ type: 'ended', reason: 'idle', recorded: false, message: 'the test is through with it' });
  await settle();
  for (const upload of world.uploads) upload.letFinish();
  await settle();
  const { resources, tasks, runs, claimed } = world.store;
  for (const kept of [resources, tasks, runs, claimed, world.spooled, world.runs]) kept.clear();
  for (const list of [world.recorders, world.uploads, world.lines, world.store.notices, world.prepared, world.removed])
    list.length = 0;

  const acquire = async (uid: string, scene = 0) => {
    const { status, body } = await call('POST', `${BASE}/acquire`, { cname: CNAME, uid, clientRequest: { scene } });
    expect(status).toBe(200);
    return String(body['resourceId']);
  };
  const resourceId = await acquire(UIDS.running);
  const names = { cname: CNAME, uid: UIDS.running };
  const body = { ...names, clientRequest: { storageConfig: STORAGE } };
  const started = await call('POST', `${BASE}/resourceid/${resourceId}/mode/mix/start`, body);
  expect(started.status).toBe(200);
  await settle();
  targets = {
    mix: await acquire(UIDS.mix),
    individual: await acquire(UIDS.individual),
    web: await acquire(UIDS.web, 1),
    running: { appid: APP, resourceId, sid: String(started.body['sid']), mode: 'mix' },
  };
}

/** Where a request goes: start to a resource of its mode, all else to the recording that runs. */
function pathOf({ endpoint, mode }: ValidRequest): Path {
  return endpoint === 'start' ? { ...targets.running, resourceId: targets[mode], mode } : targets.running;
}

/** Waits for an answer; what waits for time gets it. */
async function answerOf(pending: Promise<Answer>): Promise<Answer> {
  let done = false;
  const settled = pending.finally(() => {
    done = true;
  });
  settled.catch(() => {});
  for (let turn = 0; !done && turn < 100; turn++) {
    await settle();
    if (!done) world.clock.advance(5000);
  }
  expect(done, 'an answer').toBe(true);
  return settled;
}

/** `usual` mostly, so that most requests come through to where one thing is wrong with them. */
const mostly = <T, U>(usual: T, times: number, other: fc.Arbitrary<U>) =>
  fc.oneof({ weight: times, arbitrary: fc.constant(usual) }, { weight: 1, arbitrary: other });
const spoiltParts = fc.record(
  { appid: hostilePart, resourceId: hostilePart, sid: hostilePart, mode: hostilePart },
  { requiredKeys: [] },
);
const methods = fc.constantFrom('GET', 'POST', 'PUT', 'OPTIONS', 'DELETE', 'PATCH', 'PROPFIND', 'TRACE');
const regions = fc.constantFrom('/cn', '/eu', '/ap', '/us', '/na', '/xx', '/', '/eu/eu');

const spoilt = fc.record({
  valid: fc.oneof(
    { weight: 8, arbitrary: fc.constantFrom(...VALID_REQUESTS.filter(({ body }) => body !== undefined)) },
    { weight: 1, arbitrary: fc.constantFrom(...VALID_REQUESTS.filter(({ body }) => body === undefined)) },
  ),
  bodyChanges: fc.array(bodyChange, { maxLength: 3 }),
  textChanges: mostly([], 8, fc.array(textChange, { minLength: 1, maxLength: 2 })),
  path: mostly({}, 8, spoiltParts),
  tail: mostly('', 40, hostilePart),
  region: mostly('', 12, regions),
  method: mostly(undefined, 40, methods),
  headers: mostly({}, 8, headerChange),
});
type Spoilt = typeof spoilt extends fc.Arbitrary<infer T> ? T : never;

async function send({ valid, bodyChanges, textChanges, path, tail, region, method, headers }: Spoilt): Promise<void> {
  const url = `${region}${valid.url({ ...pathOf(valid), ...path })}${tail}`;
  let body = structuredClone(valid.body);
  for (const change of bodyChanges) body = body === undefined ? body : change(body);
  let text = body === undefined ? undefined : write(body);
  for (const change of textChanges) text = change(text ?? 'null');
  const answer = await answerOf(call((method ?? valid.method) as 'POST', url, text, headers));
  const asked = `${method ?? valid.method} ${url.slice(0, 300)} ${JSON.stringify(headers).slice(0, 300)} ${text?.slice(0, 2000)}`;
  const answered = `${answer.status} ${JSON.stringify(answer.body).slice(0, 500)}`;
  expect(undocumented(answer), `${answered}\nto ${asked}`).toBeUndefined();
  statuses.set(answer.status, (statuses.get(answer.status) ?? 0) + 1);
  if (answer.status < 300 && /\/(start|stop)/.test(url)) await renewTargets();
}

/** How often each status was answered. */
const statuses = new Map<number, number>();

beforeAll(async () => {
  buildApi({ recordings: { maxRecordings: 1_000_000 } });
  await renewTargets();
});
beforeEach(renewTargets);

test('the requests that are spoilt are good ones', async () => {
  const refused: string[] = [];
  for (const valid of VALID_REQUESTS) {
    const { status, body } = await answerOf(call(valid.method, valid.url(pathOf(valid)), valid.body));
    const { endpoint, mode } = valid;
    const about = `${endpoint} ${mode}: ${status} ${JSON.stringify(body)}`;
    // Whether a mode is recorded is another matter; that its start has nothing wrong is not.
    if (endpoint === 'start' && mode !== 'mix') expect([200, 500], about).toContain(status);
    // The recording is in mix mode, has no file, and told no event.
    else if (mode === 'mix' && endpoint !== 'stop' && endpoint !== 'redeliver' && status !== 200) refused.push(about);
    if (endpoint === 'stop') await renewTargets();
  }
  expect(refused).toEqual([]);
});

test('5,000 spoilt requests are answered as documented, and leave nothing behind', async () => {
  const heaps: number[] = [];
  for (let seed = 1; seed <= BATCHES; seed++) {
    await fc.assert(fc.asyncProperty(spoilt, send), { numRuns: BATCH, seed });
    await renewTargets();
    heaps.push(heapAfterCollection());
  }
  const [first = 0, last = 0] = [heaps[0], heaps.at(-1)];
  const inMiB = heaps.map((bytes) => (bytes / 2 ** 20).toFixed(1)).join(', ');
  expect(last - first, `heap in MiB after each ${BATCH}: ${inMiB}`).toBeLessThan(MAX_GROWTH_BYTES);
  // All corners were looked into: otherwise this is a test of one check in front of all others.
  for (const status of [200, 400, 401, 404, 413, 415])
    expect(statuses.get(status) ?? 0, `${status}`).toBeGreaterThan(10);
  expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
});
