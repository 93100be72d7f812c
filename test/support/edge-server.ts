/**
 * The HTTP edge with nothing behind it: acquire answers, every other call finds no recording. For tests of what comes
 * before recordings: connections, limits, bodies.
 */
import type { AddressInfo } from 'node:net';
import { pino } from 'pino';
import { problem } from '../../src/contract/problems.ts';
import type { AcquireRequest } from '../../src/contract/rest/acquire.ts';
import type { RecordingApi } from '../../src/http/api.ts';
import { recordingApi } from '../../src/http/recording-api.ts';
import { buildHttp, type HttpOptions } from '../../src/http/server.ts';
import { APP, basic, OTHER_APP } from './rest-api.ts';

export const AUTHORIZATION = basic('id:se:cret');
export const ACQUIRE = `/v1/apps/${APP}/cloud_recording/acquire`;
export const ACQUIRE_BODY = JSON.stringify({ cname: 'ch1', uid: '527841', clientRequest: {} });

/** Has every call of Recordings, also those that are added later. */
const nothing = new Proxy(
  {
    acquire: async (_appid: string, { cname, uid }: AcquireRequest) => ({ cname, uid, resourceId: 'made' }),
  },
  {
    get: (known, name) =>
      name === 'acquire'
        ? known.acquire
        : name === 'about'
          ? () => undefined
          : async () => {
              throw problem('no-worker');
            },
  },
) as unknown as RecordingApi['recordings'];

export function buildEdge(
  http: Omit<HttpOptions, 'log'> = {},
  api: Pick<RecordingApi, 'rateLimit' | 'notifySourceIps'> = {},
) {
  const app = buildHttp({ log: pino({ level: 'silent' }), ...http });
  recordingApi(app, {
    recordings: nothing,
    customers: [
      { id: 'id', secret: 'se:cret', apps: undefined },
      { id: 'limited', secret: 'x', apps: [OTHER_APP] },
    ],
    isApp: (appid: string) => appid === APP || appid === OTHER_APP,
    participants: () => [],
    ...api,
  } as unknown as RecordingApi);
  return app;
}

/** Listens on a free port of this machine. The caller closes it. */
export async function listenEdge(http: Omit<HttpOptions, 'log'> = {}) {
  const app = buildEdge(http);
  await app.listen({ host: '127.0.0.1', port: 0 });
  return { app, port: (app.server.address() as AddressInfo).port };
}
