/**
 * The order in which a call is judged (contract §2.4): each request breaks two neighbouring rules, and is told of the
 * first.
 */
import { afterEach, expect, test } from 'vitest';
import type { ProblemName } from '../../src/contract/problems.ts';
import { settle } from '../support/fake-ports.ts';
import { ManualClock } from '../support/manual-clock.ts';
import { APP, type ApiOptions, basic, stopBody, world } from '../support/rest-api.ts';
import {
  acquired,
  bodyOf,
  closeApi,
  ENDPOINTS,
  type Endpoint,
  exchange,
  type Handle,
  lastProblem,
  NAMES,
  NO_HANDLE,
  pathOf,
  send,
  serve,
  started,
  type WireAnswer,
} from './error-table-support.ts';

afterEach(closeApi);

const ONE_CALL: ApiOptions = { api: { rateLimit: { perS: 1, clock: new ManualClock() } } };
const HOURS_72_MS = 72 * 3_600_000;
const NEVER: Handle = { resourceId: 'never', sid: 'a'.repeat(32) };
const other = (uid: string, clientRequest: object = {}) => ({ ...NAMES, uid, clientRequest });

async function ended(): Promise<Handle> {
  const handle = await started();
  handle.recorder.tell({ type: 'ended', reason: 'idle', recorded: false, message: '' });
  await settle();
  return handle;
}
const toUnknownApp = (at: Endpoint, body: unknown, headers = {}): Promise<WireAnswer> =>
  send(at === 'query' ? 'GET' : 'POST', pathOf(at, NO_HANDLE).replace(APP, 'a'.repeat(32)), body, headers);

type Pair = [first: string, second: string, told: ProblemName, provoke: () => Promise<WireAnswer>, ApiOptions?];

const OF_ANY_CALL = ENDPOINTS.flatMap((at): Pair[] => [
  [
    `no route for ${at}`,
    'too many calls',
    'no-route',
    async () => {
      await exchange(at);
      return send('PUT', pathOf(at, NO_HANDLE), bodyOf(at));
    },
    ONE_CALL,
  ],
  [
    `too many calls of ${at}`,
    'no Authorization',
    'rate-limited',
    async () => {
      await exchange(at);
      return exchange(at, { headers: { authorization: undefined } });
    },
    { api: { rateLimit: { perS: 1, clock: new ManualClock() } } },
  ],
  [
    `no Authorization for ${at}`,
    'an unknown app',
    'unauthorized',
    () => toUnknownApp(at, bodyOf(at), { authorization: undefined }),
  ],
  [
    `wrong credentials for ${at}`,
    'an unknown app',
    'credentials-invalid',
    () => toUnknownApp(at, bodyOf(at), { authorization: basic('id:wrong') }),
  ],
]);

const OF_BODIES = ENDPOINTS.filter((at) => at !== 'query').flatMap((at): Pair[] => [
  [`an unknown app for ${at}`, 'a body that is not JSON', 'appid-invalid', () => toUnknownApp(at, '{')],
  [
    `a body of ${at} that is not JSON`,
    'an unknown resource',
    'json-invalid',
    () => exchange(at, { handle: NEVER, body: '{' }),
  ],
  [
    `a uid of ${at} that is a number`,
    'an unknown resource',
    'request-invalid',
    () => exchange(at, { handle: NEVER, body: { ...stopBody(), uid: 527841 } }),
  ],
]);

const OF_HANDLES = (['update', 'updateLayout', 'stop'] as const).flatMap((at): Pair[] => [
  [
    `a resource of another uid for ${at}`,
    'a handle that is too old',
    'resource-mismatch',
    async () => {
      const handle = await started();
      world.clock.advance(HOURS_72_MS + 1);
      return exchange(at, { handle, body: other('2') });
    },
  ],
  [
    `a handle of ${at} that is too old`,
    'a recording that has ended',
    'resource-expired',
    async () => {
      const handle = await ended();
      world.clock.advance(HOURS_72_MS + 1);
      return exchange(at, { handle });
    },
  ],
  [
    `a sid of another recording for ${at}`,
    'a recording that has ended',
    'sid-mismatch',
    async () => {
      const { resourceId } = await ended();
      const { sid } = await started();
      return exchange(at, { handle: { resourceId, sid } });
    },
  ],
]);

const announced = { startParameter: { token: 'other' } };
const OF_START: Pair[] = [
  [
    'a malformed resource',
    'another uid',
    'resource-unknown',
    () => exchange('start', { handle: { ...NEVER, resourceId: 'a%2eb' }, body: other('2') }),
  ],
  [
    'a resource of another uid',
    'five minutes are over',
    'resource-mismatch',
    async () => {
      const handle = await acquired();
      world.clock.advance(300_001);
      return exchange('start', { handle, body: other('2') });
    },
  ],
  [
    'five minutes are over',
    'channel and uid are being recorded',
    'resource-too-old',
    async () => {
      const handle = await acquired();
      await started();
      world.clock.advance(300_001);
      return exchange('start', { handle });
    },
  ],
  [
    'a handle that is too old',
    'a used resource',
    'resource-expired',
    async () => {
      const handle = await started();
      world.clock.advance(HOURS_72_MS + 1);
      return exchange('start', { handle });
    },
  ],
  [
    'a resource that runs in another mode',
    'channel and uid are being recorded',
    'resource-mismatch',
    async () => exchange('start', { handle: await started(), mode: 'individual' }),
  ],
  [
    'a used resource',
    'channel and uid are being recorded',
    'already-started',
    async () => exchange('start', { handle: await started() }),
  ],
  [
    'a resource used by a recording that has ended',
    'channel and uid are being recorded',
    'request-invalid',
    async () => {
      const handle = await ended();
      await started();
      return exchange('start', { handle });
    },
  ],
  [
    'channel and uid are being recorded',
    'not what acquire announced',
    'task-conflict',
    async () => {
      const handle = await acquired(announced);
      await started();
      return exchange('start', { handle });
    },
  ],
  [
    'not what acquire announced',
    'a body that selects nothing',
    'request-hash-mismatch',
    async () => exchange('start', { handle: await acquired(announced), body: stopBody() }),
  ],
];

const WRONG_VALUES = {
  update: { streamSubscribe: { audioUidList: { subscribeAudioUids: [] } } },
  updateLayout: { mixedVideoLayout: 3 },
};
const invalid = (at: keyof typeof WRONG_VALUES): ProblemName =>
  at === 'updateLayout' ? 'layout-invalid' : 'request-invalid';
const OF_TASKS = (['update', 'updateLayout'] as const).flatMap((at): Pair[] => [
  [
    `an unknown resource for ${at}`,
    'a wrong value in the body',
    'no-worker',
    () => exchange(at, { handle: NEVER, body: stopBody(WRONG_VALUES[at]) }),
  ],
  [
    `a handle of ${at} that is too old`,
    'a wrong value in the body',
    'resource-expired',
    async () => {
      const handle = await started();
      world.clock.advance(HOURS_72_MS + 1);
      return exchange(at, { handle, body: stopBody(WRONG_VALUES[at]) });
    },
  ],
  [
    `a wrong value in the body of ${at}`,
    'a recording that has ended',
    invalid(at),
    async () => exchange(at, { handle: await ended(), body: stopBody(WRONG_VALUES[at]) }),
  ],
]);
const OF_STOP: Pair[] = [
  [
    'an async_stop that is a text',
    'a recording that has ended',
    'request-invalid',
    async () => exchange('stop', { handle: await ended(), body: stopBody({ async_stop: 'yes' }) }),
  ],
];

test.each([...OF_ANY_CALL, ...OF_BODIES, ...OF_HANDLES, ...OF_START, ...OF_TASKS, ...OF_STOP])(
  '%s comes before %s',
  async (_first, _second, told, provoke, options) => {
    await serve(options);
    await provoke();
    expect(lastProblem()).toBe(told);
  },
);

test('a start that is repeated after its five minutes is still told the sid', async () => {
  await serve();
  const handle = await started();
  world.clock.advance(300_001);
  expect(await exchange('start', { handle })).toMatchObject({ status: 201, body: { code: 7, sid: handle.sid } });
});
