/**
 * The rows of `start` in the table of errors (`error-table-rows.ts`).
 */
import { fakeFault } from '../support/fake-ports.ts';
import { recordings, STORAGE, stopBody, world } from '../support/rest-api.ts';
import {
  type ApiRow,
  HANDLE_MEMBERS,
  otherHandle,
  otherNames,
  row,
  TOO_OLD,
  unknownResource,
  unread,
} from './error-table-row.ts';
import { acquired, exchange, started, whileHeld } from './error-table-support.ts';

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

export const START: ApiRow[] = [
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
    'request_hash mismatch! clientRequest must be what acquire had as startParameter',
    'it is not what acquire announced',
    async () => exchange('start', { handle: await acquired({ startParameter: { token: 'other' } }) }),
  ),
  invalidStart('nothing selects a service', {}, 'services not selected! mode mix needs storageConfig'),
  invalidStart(
    'a region has no width',
    {
      storageConfig: STORAGE,
      recordingConfig: {
        transcodingConfig: { mixedVideoLayout: 3, layoutConfig: [{ x_axis: 0, y_axis: 0, height: 1 }] },
      },
    },
    'start: width type mismatch or missing under layoutConfig! layoutConfig[0].width is missing',
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
