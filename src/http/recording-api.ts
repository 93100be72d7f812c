/**
 * The recording API: every route of the contract behind authentication, at its path and at the path with a region before it.
 */
import type { FastifyInstance } from 'fastify';
import { problem } from '../contract/problems.ts';
import type { Recordings } from '../session/recordings.ts';
import { acquireRoute } from './acquire.ts';
import { authorize, type CustomerAccount } from './auth.ts';
import { type EventsApi, eventsRoutes } from './events.ts';
import { acceptJson } from './json.ts';
import { ncsRoutes } from './ncs.ts';
import { participantsRoute } from './participants.ts';
import { REGION } from './paths.ts';
import { queryRoute } from './query.ts';
import { limitRate, type RateLimit } from './rate-limit.ts';
import { recordingReportRoute } from './recording-report.ts';
import { startRoute } from './start.ts';
import { stopRoute } from './stop.ts';
import { updateRoute } from './update.ts';
import { updateLayoutRoute } from './update-layout.ts';

export type RecordingApi = EventsApi & {
  recordings: Pick<Recordings, 'about' | 'acquire' | 'start' | 'update' | 'updateLayout' | 'query' | 'stop' | 'report'>;
  customers: readonly CustomerAccount[];
  isApp(appid: string): boolean;
  /** Who is in a channel, as JSON. */
  participants(appid: string, cname: string): unknown[];
  /** Absent: no limit. */
  rateLimit?: RateLimit;
  /** Where webhooks come from; none, or absent, means the addresses of this machine. */
  notifySourceIps?: readonly string[];
};

export function recordingApi(app: FastifyInstance, api: RecordingApi): void {
  app.register(async (guarded) => {
    acceptJson(guarded);
    // Fastify answers HEAD wherever there is GET; this API has no such method.
    guarded.addHook('onRequest', async ({ method }) => {
      if (method === 'HEAD') throw problem('no-route');
    });
    if (api.rateLimit) await limitRate(guarded, api.rateLimit);
    // Before the body is read: a stranger's body is not parsed.
    guarded.addHook('onRequest', async (request) => authorize(request, api.customers, api.isApp));
    for (const region of ['', REGION]) {
      guarded.register(
        (routes, _routeOptions, routesDone) => {
          acquireRoute(routes, api);
          startRoute(routes, api);
          updateRoute(routes, api);
          updateLayoutRoute(routes, api);
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
        recordingReportRoute(routes, api);
        eventsRoutes(routes, api);
        routesDone();
      },
      { prefix: '/v1/apps/:appid/aircheck' },
    );
  });
  ncsRoutes(app, { customers: api.customers, sourceIps: api.notifySourceIps });
}
