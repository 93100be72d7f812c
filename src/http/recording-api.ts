/**
 * The recording API: every route of the contract behind authentication, at its path and at the path with a region before it.
 */
import type { FastifyInstance } from 'fastify';
import type { Recordings } from '../session/recordings.ts';
import { acquireRoute } from './acquire.ts';
import { authorize, type CustomerAccount } from './auth.ts';
import { acceptJson } from './json.ts';
import { participantsRoute } from './participants.ts';
import { REGION } from './paths.ts';
import { queryRoute } from './query.ts';
import { startRoute } from './start.ts';
import { stopRoute } from './stop.ts';

export type RecordingApi = {
  recordings: Pick<Recordings, 'acquire' | 'start' | 'query' | 'stop'>;
  customers: readonly CustomerAccount[];
  isApp(appid: string): boolean;
  /** Who is in a channel, as JSON. */
  participants(appid: string, cname: string): unknown[];
};

export function recordingApi(app: FastifyInstance, api: RecordingApi): void {
  app.register((guarded, _options, done) => {
    acceptJson(guarded);
    // Before the body is read: a stranger's body is not parsed.
    guarded.addHook('onRequest', async (request) => authorize(request, api.customers, api.isApp));
    for (const region of ['', REGION]) {
      guarded.register(
        (routes, _routeOptions, routesDone) => {
          acquireRoute(routes, api);
          startRoute(routes, api);
          queryRoute(routes, api);
          stopRoute(routes, api);
          routesDone();
        },
        { prefix: `${region}/v1/apps/:appid/cloud_recording` },
      );
    }
    guarded.register(
      (routes, _routeOptions, routesDone) => {
        participantsRoute(routes, api);
        routesDone();
      },
      { prefix: '/v1/apps/:appid/aircheck' },
    );
    done();
  });
}
