/**
 * Every answer of the API's own shape that is no success (contract §2.1), and how it is brought about. The rows of
 * `error-table.test.ts`.
 */
import { type ProblemName, problem } from '../../src/contract/problems.ts';
import { fakeFault, settle } from '../support/fake-ports.ts';
import {
  APP,
  type ApiOptions,
  IDLE_APP,
  OTHER_APP,
  recordings,
  STORAGE,
  startBody,
  stopBody,
  world,
} from '../support/rest-api.ts';
import {
  acquired,
  bodyOf,
  type Endpoint,
  exchange,
  hold,
  NAMES,
  pathOf,
  send,
  started,
  type WireAnswer,
  whileHeld,
} from './error-table-support.ts';

export type ApiRow = {
  at: Endpoint | 'own';
  /** Status and code, as `400/2`. */
  answer: string;
  problem: ProblemName;
  reason: string | RegExp;
  when: string;
  provoke(): Promise<WireAnswer>;
  /** The code of §2.2 where it is another. */
  legacy?: number;
  /** Who the answer names: the channel and uid of `NAMES`, unless it was told others or cannot know any. */
  names?: Partial<typeof NAMES>;
  /** Members besides. */
  also?: string[];
  options?: ApiOptions;
};
type More = Pick<ApiRow, 'legacy' | 'names' | 'also' | 'options'>;

function row(
  at: ApiRow['at'],
  answer: string,
  name: ProblemName,
  reason: ApiRow['reason'],
  when: string,
  provoke: ApiRow['provoke'],
  more: More = {},
): ApiRow {
  return { at, answer, problem: name, reason, when, provoke, ...more };
}

type TaskCall = 'update' | 'updateLayout' | 'query' | 'stop';
const NOBODY = {};
/** query has no body to know names from before its resource is found. */
const namesBefore = (at: Endpoint): More => (at === 'query' ? { names: NOBODY } : {});
const TOO_OLD = 'resourceId exceeded time limit!';
const HANDLE_MEMBERS = ['resourceId', 'sid'];

const unread = (at: Exclude<Endpoint, 'query'>): ApiRow[] => [
  row(
    at,
    '400/2',
    'json-invalid',
    /^api body validate failed! the body is not JSON: ./,
    'the body is not JSON',
    () => exchange(at, { body: '{' }),
    { legacy: 8, names: NOBODY },
  ),
  row(
    at,
    '415/2',
    'content-type-unsupported',
    'api body validate failed! Content-Type must be application/json',
    'the body is no JSON and not said to be any',
    () => exchange(at, { body: 'cname=ch1', headers: { 'content-type': 'application/x-www-form-urlencoded' } }),
    { legacy: 8, names: NOBODY },
  ),
  row(
    at,
    '400/2',
    'request-invalid',
    'api body validate failed! clientRequest is missing or of the wrong type',
    'clientRequest is missing',
    async () => exchange(at, { handle: await acquired(), body: NAMES }),
  ),
];

const otherNames = (at: Exclude<Endpoint, 'query'>): ApiRow[] =>
  (['cname', 'uid'] as const).map((which) => {
    const names = { ...NAMES, [which]: '2' };
    return row(
      at,
      '400/2',
      'resource-mismatch',
      `${at}: ${which} is not the one resourceId was acquired for!`,
      `the resource id is of another ${which}`,
      async () => exchange(at, { handle: await acquired(), body: { ...(bodyOf(at) as object), ...names } }),
      { legacy: 432, names },
    );
  });

const UNFOUND = 'failed to find worker';

/** Paths with a handle that is none. */
const unknownResource = (at: Endpoint, resourceId: string, when: string): ApiRow =>
  row(
    at,
    '400/2',
    'resource-unknown',
    `${at}: resourceId is not one that acquire gave out!`,
    when,
    () => exchange(at, { handle: { resourceId, sid: 'a'.repeat(32) } }),
    { legacy: 1001, ...namesBefore(at) },
  );

const otherHandle = (at: Endpoint): ApiRow[] => [
  unknownResource(at, 'not%20one', 'the resource id has characters that none has'),
  unknownResource(at, 'r'.repeat(513), 'the resource id is longer than any'),
  row(
    at,
    '400/2',
    'sid-mismatch',
    `${at}: resourceId does not belong to this appid!`,
    'the resource id is of another app',
    async () => {
      const path = pathOf(at, await acquired()).replace(APP, OTHER_APP);
      return send(at === 'query' ? 'GET' : 'POST', path, bodyOf(at));
    },
    { legacy: 1003, ...namesBefore(at) },
  ),
];

/** What clients make of ids they never got, and ids of nothing. */
const NO_SID = [
  '',
  'undefined',
  'null',
  'None',
  'x',
  '0',
  'A'.repeat(32),
  'b'.repeat(32),
  'a'.repeat(31),
  '%20',
  'a%2Fb',
];
const NO_RESOURCE = ['', 'undefined', 'null', 'never', 'r'.repeat(240)];

const ofAnyTask = (at: TaskCall): ApiRow[] => [
  ...otherHandle(at),
  ...NO_SID.map((sid) =>
    row(at, '404/404', 'no-worker', UNFOUND, `something is recorded, and the sid is "${sid}"`, async () =>
      exchange(at, { handle: { ...(await started()), sid } }),
    ),
  ),
  ...NO_RESOURCE.map((resourceId) =>
    row(
      at,
      '404/404',
      'no-worker',
      UNFOUND,
      `something is recorded, and the resource id is "${resourceId}"`,
      async () => exchange(at, { handle: { ...(await started()), resourceId } }),
      namesBefore(at),
    ),
  ),
  row(
    at,
    '404/404',
    'no-worker',
    UNFOUND,
    'both ids are empty',
    () => exchange(at, { handle: { resourceId: '', sid: '' } }),
    namesBefore(at),
  ),
  row(at, '404/404', 'no-worker', UNFOUND, 'nothing was started, and the sid is undefined', async () =>
    exchange(at, { handle: { ...(await acquired()), sid: 'undefined' } }),
  ),
  row(
    at,
    '400/2',
    'sid-mismatch',
    'sid does not belong to resourceId!',
    'the sid is of another recording',
    async () => {
      const { resourceId } = await started();
      return exchange(at, { handle: { resourceId, sid: await otherRecording() } });
    },
    { legacy: 1003 },
  ),
  row(at, '400/2', 'resource-expired', TOO_OLD, 'the handle is older than its resourceExpiredHour', async () => {
    const handle = await started();
    world.clock.advance(72 * 3_600_000 + 1);
    return exchange(at, { handle });
  }),
  row(at, '404/404', 'no-worker', UNFOUND, 'nothing was started', async () =>
    exchange(at, { handle: await acquired() }),
  ),
  row(at, '404/404', 'no-worker', UNFOUND, 'the recording has ended', async () => {
    const handle = await started();
    handle.recorder.tell({ type: 'ended', reason: 'idle', recorded: false, message: '' });
    await settle();
    return exchange(at, { handle });
  }),
  row(
    at,
    '504/62',
    'request-timeout',
    'request timeout',
    // What runs here is known without it.
    'the database does not answer, and nothing of the kind runs here',
    async () => {
      const handle = await acquired();
      return whileHeld('findResource', () => exchange(at, { handle }));
    },
    namesBefore(at),
  ),
];

/** The sid of a recording of another user of the same app. */
async function otherRecording(): Promise<string> {
  const names = { cname: 'ch2', uid: '2' };
  const handle = await acquired({}, names);
  return String((await exchange('start', { handle, body: { ...startBody(), ...names } })).body['sid']);
}

const otherMode = (at: 'query' | 'update' | 'stop'): ApiRow =>
  row(
    at,
    '400/2',
    'resource-mismatch',
    'mode is individual, but the recording was started in mix mode!',
    'the mode is not the one it was started in',
    async () => exchange(at, { handle: await started(), mode: 'individual' }),
    { legacy: 432 },
  );

const ACQUIRE: ApiRow[] = [
  ...unread('acquire').map((one) => ({ ...one, names: NOBODY })),
  row(
    'acquire',
    '400/2',
    'request-invalid',
    'Acquire: invalid resourceExpiredHour value!',
    'resourceExpiredHour is out of range',
    () => exchange('acquire', { body: stopBody({ resourceExpiredHour: 721 }) }),
  ),
  row(
    'acquire',
    '400/401',
    'channel-name-invalid',
    'invalid_channel_name',
    'the channel name holds a character it may not',
    () => exchange('acquire', { body: { ...stopBody(), cname: 'a/b' } }),
    { legacy: 1013 },
  ),
  row('acquire', '400/405', 'app-inactive', 'no_active_status', 'the app may not record', () =>
    send('POST', `/v1/apps/${IDLE_APP}/cloud_recording/acquire`, stopBody()),
  ),
  row(
    'acquire',
    '400/406',
    'too-many-recordings',
    'vendor_over_load',
    'the app runs as many recordings as it may',
    async () => {
      await started();
      return exchange('acquire');
    },
    { options: { recordings: { maxRecordings: 1 } } },
  ),
  row('acquire', '500/500', 'internal-error', 'internal_error', 'the server fails as nobody foresaw', () => {
    world.store.addResource = () => Promise.reject(new Error('a password, say'));
    return exchange('acquire');
  }),
  row(
    'acquire',
    '500/500',
    'internal-error',
    'internal_error',
    'the server fails in a way not meant for callers',
    () => {
      world.store.addResource = () => Promise.reject(fakeFault('store-broken'));
      return exchange('acquire');
    },
  ),
  row('acquire', '500/501', 'no-worker-manager', 'no_worker_manager_available', 'the server shuts down', async () => {
    await recordings.close(0);
    return exchange('acquire');
  }),
  row('acquire', '500/504', 'allocate-timeout', 'allocate_timeout', 'the database does not answer', () =>
    whileHeld('addResource', () => exchange('acquire')),
  ),
];

const invalidStart = (when: string, clientRequest: object, reason: string): ApiRow =>
  row('start', '400/2', 'request-invalid', reason, when, async () =>
    exchange('start', { handle: await acquired(), body: stopBody(clientRequest) }),
  );
const startFails = (when: string, provoke: ApiRow['provoke']): ApiRow =>
  row('start', '500/502', 'allocate-failed', 'Failed to allocate worker', when, provoke);
const startLate = (name: 'findRunning' | 'addTask'): ApiRow =>
  row('start', '500/62', 'start-timeout', 'request timeout', `the database does not answer ${name}`, async () => {
    const handle = await acquired();
    return whileHeld(name, () => exchange('start', { handle }));
  });

const START: ApiRow[] = [
  ...unread('start'),
  ...otherHandle('start'),
  unknownResource('start', 'never', 'the resource id was never given out'),
  unknownResource('start', '', 'the resource id is empty'),
  ...otherNames('start'),
  row(
    'start',
    '400/2',
    'resource-mismatch',
    'start: mode web does not fit scene 0 of acquire; the modes are individual, mix, web!',
    'the mode is not one of the scene',
    async () => exchange('start', { handle: await acquired(), mode: 'web' }),
    { legacy: 432 },
  ),
  row(
    'start',
    '201/7',
    'already-started',
    'already started',
    'the resource id has started a recording that runs',
    async () => exchange('start', { handle: await started() }),
    { also: HANDLE_MEMBERS },
  ),
  row(
    'start',
    '400/2',
    'resource-mismatch',
    'mode is individual, but the recording was started in mix mode!',
    'the resource id has started a recording that runs in another mode',
    async () => exchange('start', { handle: await started(), mode: 'individual' }),
    { legacy: 432 },
  ),
  row(
    'start',
    '206/65',
    'request-incomplete',
    'request not completed',
    'starting takes longer than a call may',
    async () => {
      const handle = await acquired();
      return whileHeld('saveState', () => exchange('start', { handle }));
    },
  ),
  row(
    'start',
    '400/2',
    'resource-too-old',
    TOO_OLD,
    'it comes more than five minutes after acquire',
    async () => {
      const handle = await acquired();
      world.clock.advance(300_001);
      return exchange('start', { handle });
    },
    { legacy: 433 },
  ),
  row(
    'start',
    '400/2',
    'request-hash-mismatch',
    'request_hash mismatch!',
    'it is not what acquire announced',
    async () => exchange('start', { handle: await acquired({ startParameter: { token: 'other' } }) }),
  ),
  invalidStart('nothing selects a service', {}, 'services not selected!'),
  invalidStart(
    'a region has no width',
    {
      storageConfig: STORAGE,
      recordingConfig: {
        transcodingConfig: { mixedVideoLayout: 3, layoutConfig: [{ x_axis: 0, y_axis: 0, height: 1 }] },
      },
    },
    'start: width type mismatch or missing under layoutConfig!',
  ),
  row(
    'start',
    '400/2',
    'request-invalid',
    'start: resourceId was used before; acquire a new one!',
    'the recording of the resource id is stopping',
    async () => {
      const handle = await started();
      await exchange('stop', { handle, body: stopBody({ async_stop: true }) });
      return exchange('start', { handle });
    },
  ),
  row(
    'start',
    '400/53',
    'task-conflict',
    'task conflict',
    'channel and uid are recorded under another resource id',
    async () => {
      await started();
      return exchange('start', { handle: await acquired() });
    },
  ),
  startFails('there is no recorder', async () => {
    world.launchFault = fakeFault('recorder-not-started');
    return exchange('start', { handle: await acquired() });
  }),
  startFails('the server shuts down', async () => {
    const handle = await acquired();
    await recordings.close(0);
    return exchange('start', { handle });
  }),
  startLate('findRunning'),
  startLate('addTask'),
];

/** A synchronous stop, with what happens once the recording has begun to stop. */
async function whileStopping(happens: (recorder: (typeof world.recorders)[0]) => void): Promise<WireAnswer> {
  const handle = await started();
  const saved = hold('saveState');
  const stopping = exchange('stop', { handle });
  await saved.reached;
  saved.release();
  await settle();
  happens(handle.recorder);
  return stopping;
}

const TASKS: ApiRow[] = [
  ...(['update', 'updateLayout', 'stop'] as const).flatMap((at) => [...unread(at), ...otherNames(at)]),
  ...(['query', 'update', 'updateLayout', 'stop'] as const).flatMap(ofAnyTask),
  ...(['query', 'update', 'stop'] as const).map(otherMode),
  row(
    'updateLayout',
    '400/2',
    'layout-invalid',
    'updateLayout: mode individual has no layout!',
    'the mode has no layout',
    async () => exchange('updateLayout', { handle: await acquired(), mode: 'individual' }),
    { legacy: 1028 },
  ),
  row(
    'updateLayout',
    '400/2',
    'layout-invalid',
    'updateLayout: layoutConfig is required when mixedVideoLayout is 3',
    'the layout is not whole',
    async () => exchange('updateLayout', { handle: await started(), body: stopBody({ mixedVideoLayout: 3 }) }),
    { legacy: 1028 },
  ),
  row(
    'update',
    '504/62',
    'request-timeout',
    'request timeout',
    'the database does not keep the change in time',
    async () => {
      const handle = await started();
      return whileHeld('saveDocument', () => exchange('update', { handle }));
    },
  ),
  row(
    'stop',
    '206/435',
    'nothing-recorded',
    'no recorded data',
    'nobody ever sent anything',
    () =>
      whileStopping((recorder) => recorder.tell({ type: 'ended', reason: 'stopped', recorded: false, message: '' })),
    { also: HANDLE_MEMBERS },
  ),
  row(
    'stop',
    '206/50',
    'upload-timeout',
    'upload timeout',
    'files are still being uploaded when its time is over',
    () => whileStopping(() => world.clock.advance(20_000)),
    { also: HANDLE_MEMBERS },
  ),
  row(
    'stop',
    '400/49',
    'invalid-operation',
    'invalid operation',
    'the recording is stopping already',
    async () => {
      const handle = await started();
      await exchange('stop', { handle, body: stopBody({ async_stop: true }) });
      return exchange('stop', { handle });
    },
    { also: HANDLE_MEMBERS },
  ),
];

const OWN: ApiRow[] = [
  row('own', '404/404', 'recording-unknown', 'no such recording', 'a recording that never was is asked for', () =>
    send('GET', `/v1/apps/${APP}/aircheck/recordings/${'a'.repeat(32)}`),
  ),
  ...(
    [
      ['404/404', 'event-unknown', 'no such event'],
      ['409/2', 'notifications-not-configured', 'notifications are not configured for this appid'],
    ] as const
  ).map(([answer, name, reason]) => {
    const redeliver = () => Promise.reject(problem(name));
    const notifications = { list: async () => ({ events: [], next: 0 }), redeliver };
    const again = () => send('POST', `/v1/apps/${APP}/aircheck/events/x/redeliver`);
    return row('own', answer, name, reason, 'an event is to be sent again', again, {
      options: { api: { notifications } },
    });
  }),
];

export const ROWS: ApiRow[] = [...ACQUIRE, ...START, ...TASKS, ...OWN];
