/**
 * The REST API over fake ports on a real loopback port, for clients that mean to be taken at their bytes.
 */
import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import { problem } from '../../src/contract/problems.ts';
import { type RecordingApi, recordingApi } from '../../src/http/recording-api.ts';
import { buildHttp, type HttpOptions } from '../../src/http/server.ts';
import { Recordings, type RecordingsOptions } from '../../src/session/recordings.ts';
import { FakeWorld } from '../support/fake-ports.ts';
import type { ClientOptions } from './clients/calls.ts';

export const APP = '0123456789abcdef0123456789abcdef';
/** An app the customer may not use. */
export const FOREIGN_APP = 'f'.repeat(32);
/** An app that may not record. */
export const IDLE_APP = 'd'.repeat(32);

export type WireOptions = {
  recordings?: Partial<RecordingsOptions>;
  http?: Omit<HttpOptions, 'log'>;
  api?: Partial<RecordingApi>;
};
export type WireApi = AsyncDisposable & {
  world: FakeWorld;
  recordings: Recordings;
  /** How a client finds it; clients wait no time between their tries. */
  client: ClientOptions;
};

export async function listenApi(options: WireOptions = {}): Promise<WireApi> {
  const world = new FakeWorld();
  const recordings = new Recordings({
    ...world.ports(),
    resourceLifeMs: 300_000,
    sliceStartTimeUnit: 's',
    forceExtinfComma: false,
    mp4Limit: { durationMs: 7_200_000, bytes: 2_000_000_000 },
    baseName: (sid, cname) => `${sid}_${cname}`,
    callTimeoutMs: 4000,
    maxRecordings: 3,
    clampBitrate: false,
    mayRecord: (appid) => appid !== IDLE_APP,
    ...options.recordings,
  });
  const http = buildHttp({ log: pino({ level: 'silent' }), ...options.http });
  recordingApi(http, {
    recordings,
    customers: [{ id: 'id', secret: 'se:cret', apps: [APP, IDLE_APP] }],
    isApp: (appid) => [APP, FOREIGN_APP, IDLE_APP].includes(appid),
    notifications: {
      list: async (_appid, { after }) => ({ events: [], next: after }),
      redeliver: async () => {
        throw problem('event-unknown');
      },
    },
    participants: () => [],
    ...options.api,
  });
  await http.listen({ host: '127.0.0.1', port: 0 });
  const { port } = http.server.address() as AddressInfo;
  return {
    world,
    recordings,
    client: {
      baseUrl: `http://127.0.0.1:${port}`,
      appid: APP,
      customerId: 'id',
      customerSecret: 'se:cret',
      pause: async () => {},
    },
    [Symbol.asyncDispose]: () => http.close(),
  };
}
