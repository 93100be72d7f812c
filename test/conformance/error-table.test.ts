/**
 * The table of documented answers that are no success (contract §2.1), each provoked on a socket: status, code or
 * message, reason, the exact members of the body, and the headers. Each row once more with the codes in use until 2026
 * (§2.2).
 */
import { afterEach, describe, expect, test } from 'vitest';
import { PROBLEMS, type ProblemName } from '../../src/contract/problems.ts';
import { BODY_LIMIT_BYTES } from '../../src/http/server.ts';
import { systemClock } from '../../src/kernel/clock.ts';
import { fakeFault, settle } from '../support/fake-ports.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { APP, type ApiOptions, basic, stopBody, world } from '../support/rest-api.ts';
import { ROWS } from './error-table-rows.ts';
import {
  acquired,
  bodyOf,
  closeApi,
  ENDPOINTS,
  type Endpoint,
  exchange,
  hold,
  lastProblem,
  NAMES,
  NO_HANDLE,
  pathOf,
  send,
  serve,
  started,
  type WireAnswer,
  whileHeld,
} from './error-table-support.ts';

afterEach(closeApi);

const REQUEST_ID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

function expectHeaders({ headers }: WireAnswer): void {
  expect(headers['content-type']).toBe('application/json; charset=utf-8');
  expect(headers['x-request-id']).toMatch(REQUEST_ID);
}

type GatewayRow = {
  http: number;
  message: string;
  problem: ProblemName;
  when: string;
  options?: ApiOptions;
  headers?: Record<string, string>;
  provoke(endpoint: Endpoint): Promise<WireAnswer>;
};

/** May be the answer of every endpoint, and is asked of each. */
const GATEWAY: GatewayRow[] = [
  {
    http: 400,
    message: 'appid is invalid',
    problem: 'appid-invalid',
    when: 'the app is not configured',
    provoke: (endpoint) => {
      const path = pathOf(endpoint, NO_HANDLE).replace(APP, 'a'.repeat(32));
      return send(endpoint === 'query' ? 'GET' : 'POST', path, bodyOf(endpoint));
    },
  },
  {
    http: 400,
    message: 'appid is invalid',
    problem: 'appid-invalid',
    when: 'the credentials are for another app',
    provoke: (endpoint) => exchange(endpoint, { headers: { authorization: basic('limited:x') } }),
  },
  {
    http: 401,
    message: 'Unauthorized',
    problem: 'unauthorized',
    when: 'there is no Authorization header',
    headers: { 'www-authenticate': 'Basic realm="aircheck"' },
    provoke: (endpoint) => exchange(endpoint, { headers: { authorization: undefined } }),
  },
  ...(
    [
      ['the secret is wrong', basic('id:wrong')],
      ['the id is unknown', basic('nobody:se:cret')],
      ['"Basic " is missing', Buffer.from('id:se:cret').toString('base64')],
    ] as const
  ).map(
    ([when, authorization]): GatewayRow => ({
      http: 401,
      message: 'Invalid authentication credentials',
      problem: 'credentials-invalid',
      when,
      provoke: (endpoint) => exchange(endpoint, { headers: { authorization } }),
    }),
  ),
  {
    http: 404,
    message: 'no Route matched with those values',
    problem: 'no-route',
    when: 'the method is another',
    provoke: (endpoint) => send(endpoint === 'query' ? 'POST' : 'GET', pathOf(endpoint, NO_HANDLE)),
  },
  {
    http: 404,
    message: 'no Route matched with those values',
    problem: 'no-route',
    when: 'the path is spelt otherwise',
    provoke: (endpoint) => send('POST', pathOf(endpoint, NO_HANDLE).replace(/\/(\w+)$/, '/X$1'), {}),
  },
  {
    http: 429,
    message: 'API rate limit exceeded',
    problem: 'rate-limited',
    when: 'the app makes too many calls a second',
    options: { api: { rateLimit: { perS: 1, clock: new ManualClock() } } },
    headers: { 'retry-after': '1' },
    provoke: async (endpoint) => {
      await exchange(endpoint);
      return exchange(endpoint);
    },
  },
];

describe.each(GATEWAY)('$http $message, when $when', (row) => {
  test.each(ENDPOINTS)('%s', async (endpoint) => {
    await serve(row.options);
    const answer = await row.provoke(endpoint);
    expect(answer.status).toBe(row.http);
    expect(answer.body).toEqual({ message: row.message });
    expectHeaders(answer);
    expect(answer.headers).toMatchObject(row.headers ?? {});
    expect(lastProblem()).toBe(row.problem);
    expect(PROBLEMS[row.problem]).toMatchObject({ shape: 'gateway', http: row.http, message: row.message });
  });
});

// Has tests of its own, as it is asked of calls with a body only.
test.each(ENDPOINTS.filter((endpoint) => endpoint !== 'query'))('413, when the body of %s is too large', async (at) => {
  await serve();
  const answer = await exchange(at, { body: ' '.repeat(BODY_LIMIT_BYTES + 1) });
  expect(answer.status).toBe(413);
  expect(answer.body).toEqual({ message: 'Request size limit exceeded' });
  expectHeaders(answer);
  expect(lastProblem()).toBe('body-too-large');
});

/** Rows of §2.1 that this server never answers with, and why. */
const NEVER: Record<string, string> = {
  'acquire 400/400': 'what could be an invalid App ID is refused as by the gateway, which comes first',
  ...Object.fromEntries(
    ['query', 'update', 'updateLayout', 'stop'].map((at) => [
      `${at} 206/65`,
      'no second machine stands behind the one that answers: what takes too long waits for the database, and is 504/62',
    ]),
  ),
};

describe.each([
  ['now', false],
  ['until 2026', true],
] as const)('with codes as they are %s', (_when, legacyErrorCodes) => {
  test.each(ROWS)('$at: $answer $problem, when $when', async (row) => {
    await serve({ ...row.options, http: { legacyErrorCodes } });
    const answer = await row.provoke();
    const [status, code] = row.answer.split('/').map(Number);
    const names = row.at === 'acquire' || row.at === 'own' ? {} : (row.names ?? NAMES);
    const also = Object.fromEntries((row.also ?? []).map((member) => [member, expect.any(String)]));
    const reason = typeof row.reason === 'string' ? row.reason : expect.stringMatching(row.reason);
    expect({ status: answer.status, body: answer.body }).toEqual({
      status,
      body: { ...names, ...also, code: (legacyErrorCodes ? row.legacy : undefined) ?? code, reason },
    });
    expectHeaders(answer);
    expect(lastProblem()).toBe(row.problem);
    expect(PROBLEMS[row.problem]).toMatchObject({ shape: 'api', http: status, code });
  });
});

test('every row of the contract is here, or said to be impossible', () => {
  const documented = [
    ...['400/2', '400/400', '400/401', '400/405', '400/406', '500/500', '500/501', '500/504'].map(
      (answer) => `acquire ${answer}`,
    ),
    ...['201/7', '206/65', '400/2', '400/53', '500/502', '500/62'].map((answer) => `start ${answer}`),
    ...['query', 'update', 'updateLayout', 'stop'].flatMap((at) =>
      ['206/65', '400/2', '404/404', '504/62'].map((answer) => `${at} ${answer}`),
    ),
    ...['206/435', '206/50', '400/49'].map((answer) => `stop ${answer}`),
  ];
  const provoked = new Set(ROWS.map(({ at, answer }) => `${at} ${answer}`));
  expect(documented.filter((one) => !provoked.has(one)).sort()).toEqual(Object.keys(NEVER).sort());
});

test('every problem the server knows is provoked', () => {
  const provoked = new Set<string>([...GATEWAY, ...ROWS].map((row) => row.problem));
  // All but the first are of routes that are not in the contract; tests beside `src/http/nodes.ts`, `src/http/cuts.ts`,
  // `src/http/mixes.ts`, `src/http/thumbnails.ts`, `src/http/live.ts`, `src/app/live`, `src/app/file-links.ts` and
  // `src/http/dashboard` provoke them.
  const others = [
    ...['body-too-large', 'cut-impossible', 'cut-outside', 'cut-refused', 'cut-unfinished', 'cut-unknown'],
    ...['deletion-refused', 'file-unknown', 'link-impossible', 'live-file-unknown', 'live-version-unknown'],
    ...['mix-impossible', 'mix-outside', 'mix-refused', 'mix-unfinished', 'mix-unknown'],
    ...['nothing-stored', 'operator-needed', 'person-unknown', 'range-invalid', 'removal-impossible'],
    ...['removal-refused', 'retention-impossible', 'session-over'],
    ...['thumbnail-refused', 'thumbnail-unknown'],
    ...['watch-impossible', 'watch-refused', 'watch-token-invalid', 'watch-token-over'],
  ];
  expect(
    Object.keys(PROBLEMS)
      .filter((name) => !provoked.has(name))
      .sort(),
  ).toEqual(others);
});

test('every finer code of before 2026 is provoked', () => {
  const codes = new Set(ROWS.flatMap(({ legacy }) => legacy ?? []));
  expect([...codes].sort((a, b) => a - b)).toEqual([8, 432, 433, 1001, 1003, 1013, 1028]);
});

test('after a start that found no recorder, the same start may succeed', async () => {
  await serve();
  const handle = await acquired();
  world.launchFault = fakeFault('recorder-not-started');
  expect(await exchange('start', { handle })).toMatchObject({ status: 500, body: { code: 502 } });
  world.launchFault = undefined;
  expect(await exchange('start', { handle })).toMatchObject({ status: 200, body: { resourceId: handle.resourceId } });
});

test('a start that timed out before it was stored may be sent again', async () => {
  await serve();
  const handle = await acquired();
  expect((await whileHeld('findRunning', () => exchange('start', { handle }))).status).toBe(500);
  expect(await exchange('start', { handle })).toMatchObject({ status: 201, body: { sid: expect.any(String) } });
});

test('a start that timed out while it was being stored may be sent again', async () => {
  await serve();
  const handle = await acquired();
  expect((await whileHeld('addTask', () => exchange('start', { handle }))).status).toBe(500);
  await settle();
  expect((await exchange('start', { handle })).body).toHaveProperty('sid');
});

test('by a clock that runs, start has the timeout of start wherever the database does not answer', async () => {
  await serve({ recordings: { clock: systemClock, callTimeoutMs: 20 } });
  const handle = await acquired();
  hold('findResource');
  expect(await exchange('start', { handle })).toMatchObject({ status: 500, body: { code: 62 } });
});

test.each([true, false])('stop, async_stop %j, does not wait for ever to have its state stored', async (wait) => {
  await serve();
  const handle = await started();
  const { reached, release } = hold('saveState');
  const answered = exchange('stop', { handle, body: stopBody({ async_stop: wait }) });
  await reached;
  world.clock.advance(60_000);
  // Two exchanges later, whatever was answered by then has come.
  for (let i = 0; i < 2; i++) await exchange('query', { handle });
  const answer = await Promise.race([answered, undefined]);
  release();
  await settle();
  handle.recorder.tell({ type: 'ended', reason: 'stopped', recorded: false, message: '' });
  await answered;
  expect(answer).toBeDefined();
});

test('query names channel and uid also when the mode does not fit the scene', async () => {
  await serve();
  const handle = await started();
  expect((await exchange('query', { handle, mode: 'web' })).body).toMatchObject(NAMES);
});
