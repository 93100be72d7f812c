/**
 * The recording API: every route of the contract, behind authentication, at its path and at the path with a region
 * before it.
 */
import type { FastifyInstance, FastifyPluginAsync } from 'fastify';
import { problem } from '../contract/problems.ts';
import { messageOf } from '../kernel/fault.ts';
import { isMoved } from '../session/hold.ts';
import { acquireRoute } from './acquire.ts';
import type { RecordingApi } from './api.ts';
import { authorize } from './auth.ts';
import { backlogRoutes } from './backlog.ts';
import { eventsRoutes } from './events.ts';
import { MISDIRECTED, passOn } from './fleet/fleet.ts';
import { acceptJson } from './json.ts';
import { ncsRoutes } from './ncs.ts';
import { participantsRoute } from './participants.ts';
import { REGION } from './paths.ts';
import { queryRoute } from './query.ts';
import { limitRate } from './rate-limit.ts';
import { recordingListRoute } from './recording-list.ts';
import { recordingReportRoute } from './recording-report.ts';
import { startRoute } from './start.ts';
import { stopRoute } from './stop.ts';
import { updateRoute } from './update.ts';
import { updateLayoutRoute } from './update-layout.ts';

export function recordingApi(app: FastifyInstance, api: RecordingApi): void {
  const guardedRoutes: FastifyPluginAsync = async (guarded) => {
    acceptJson(guarded);
    // Fastify answers HEAD wherever there is GET, but this API has no such method.
    guarded.addHook('onRequest', async ({ method }) => {
      if (method === 'HEAD') throw problem('no-route');
    });
    if (api.rateLimit) await limitRate(guarded, api.rateLimit);
    // Checked before the body is read, so that no body without valid credentials is parsed.
    guarded.addHook('onRequest', async (request) => authorize(request, api.customers, api.isApp));
    const { fleet } = api;
    if (fleet) {
      guarded.addHook('preHandler', async (request, reply) => {
        const answer = await fleet.carry(request);
        return answer && passOn(reply, answer);
      });
      guarded.setErrorHandler(async (error, request, reply) => {
        // The recording went to another node while it was asked here.
        const answer = isMoved(error) ? await fleet.carry(request) : undefined;
        if (!answer) throw error;
        return passOn(reply, answer);
      });
    }
    recordingRoutes(guarded, api);
  };
  app.register(guardedRoutes);
  ncsRoutes(app, { customers: api.customers, sourceIps: api.notifySourceIps });
}

/** The same routes for other nodes of the fleet, without what was checked where a call came in. */
export function carriedRoutes(api: RecordingApi): FastifyPluginAsync {
  return async (guarded) => {
    acceptJson(guarded);
    guarded.setErrorHandler(async (error, _request, reply) => {
      if (!isMoved(error)) throw error;
      return reply.code(MISDIRECTED).send({ message: messageOf(error) });
    });
    recordingRoutes(guarded, api);
  };
}

function recordingRoutes(guarded: FastifyInstance, api: RecordingApi): void {
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
      recordingListRoute(routes, api);
      recordingReportRoute(routes, api);
      eventsRoutes(routes, api);
      backlogRoutes(routes, api);
      routesDone();
    },
    { prefix: '/v1/apps/:appid/aircheck' },
  );
}
