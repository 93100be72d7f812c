/**
 * Every answer of the API's own shape that is no success (contract §2.1), and how it is brought about. The rows of
 * `error-table.test.ts`.
 */
import { problem } from '../../src/contract/problems.ts';
import { fakeFault, settle } from '../support/fake-ports.ts';
import { APP, IDLE_APP, recordings, startBody, stopBody, world } from '../support/rest-api.ts';
import {
  type ApiRow,
  HANDLE_MEMBERS,
  NOBODY,
  namesBefore,
  otherHandle,
  otherNames,
  row,
  TOO_OLD,
  unread,
} from './error-table-row.ts';
import { START } from './error-table-start.ts';
import { acquired, exchange, hold, send, started, type WireAnswer, whileHeld } from './error-table-support.ts';

type TaskCall = 'update' | 'updateLayout' | 'query' | 'stop';

const UNFOUND = 'failed to find worker';

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
  // As after a start that was refused for the same mistake (stop.txt).
  ...(at === 'updateLayout'
    ? []
    : [
        row(at, '404/404', 'no-worker', UNFOUND, 'nothing was started, and the mode is none of the scene', async () =>
          exchange(at, { handle: await acquired(), mode: 'web' }),
        ),
      ]),
  ...(at === 'query'
    ? []
    : [
        row(at, '404/404', 'no-worker', UNFOUND, 'nothing was started, and the names are others', async () =>
          exchange(at, { handle: await acquired(), body: { ...stopBody(), cname: 'ch2', uid: '2' } }),
        ),
      ]),
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
