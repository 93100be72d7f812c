/**
 * The recording API: every route of the contract, behind authentication, at its path and at the path with a region
 * before it.
 */
import type { FastifyInstance, FastifyPluginAsync, FastifyRequest } from 'fastify';
import { problem } from '../contract/problems.ts';
import { messageOf } from '../kernel/fault.ts';
import { isMoved } from '../session/hold.ts';
import { overloadOf } from '../session/overload.ts';
import { acquireRoute } from './acquire.ts';
import type { RecordingApi } from './api.ts';
import { authorize } from './auth.ts';
import { backlogRoutes } from './backlog.ts';
import { cutRoutes } from './cuts.ts';
import { changesRoute } from './dashboard/changes.ts';
import { channelsRoute } from './dashboard/channels.ts';
import { fileLinkRoute, filesRoutes } from './dashboard/files.ts';
import { eventsRoutes } from './events.ts';
import { type Fleet, MISDIRECTED, passOn } from './fleet/fleet.ts';
import type { CarriedAnswer } from './fleet/links.ts';
import { isPlaced } from './fleet/node-api.ts';
import { acceptJson } from './json.ts';
import { guardLive, liveRoutes, watchRoute } from './live.ts';
import { mixRoutes } from './mixes.ts';
import { ncsRoutes } from './ncs.ts';
import { participantsRoute } from './participants.ts';
import { REGION } from './paths.ts';
import { queryRoute } from './query.ts';
import { limitRate } from './rate-limit.ts';
import { recordingListRoute } from './recording-list.ts';
import { recordingReportRoute } from './recording-report.ts';
import { removalRoutes } from './removals.ts';
import { retentionRoutes } from './retention.ts';
import { startRoute } from './start.ts';
import { stopRoute } from './stop.ts';
import { thumbnailRoute } from './thumbnails.ts';
import { updateRoute } from './update.ts';
import { updateLayoutRoute } from './update-layout.ts';

const OWN = { prefix: '/v1/apps/:appid/aircheck' };
/** How many files, or thumbnails, may be fetched where one call may be made. */
const FILES_PER_CALL = 20;

export function recordingApi(app: FastifyInstance, api: RecordingApi): void {
  const guardedRoutes: FastifyPluginAsync = async (guarded) => {
    acceptJson(guarded);
    // Fastify answers HEAD wherever there is GET, but this API has no such method.
    guarded.addHook('onRequest', async ({ method }) => {
      if (method === 'HEAD') throw problem('no-route');
    });
    if (api.rateLimit) await limitRate(guarded, api.rateLimit);
    // Checked before the body is read, so that no body without valid credentials is parsed.
    guarded.addHook('onRequest', async (request) => authorize(request, api.customers, api.isApp, api.signedIn));
    const { fleet } = api;
    if (fleet) {
      carryOn(guarded, fleet);
      guarded.setErrorHandler(async (error, request, reply) => {
        // The recording went to another node while it was asked here.
        const answer = isMoved(error) ? await fleet.carry(request) : await placed(fleet, error, request);
        if (!answer) throw error;
        return passOn(reply, answer);
      });
    }
    recordingRoutes(guarded, api);
  };
  app.register(guardedRoutes);
  app.register(fileRoutes(api), OWN);
  app.register(pictureRoutes(api), OWN);
  app.register(playerRoutes(api), OWN);
  ncsRoutes(app, { customers: api.customers, sourceIps: api.notifySourceIps });
}

/** Apart from the calls, because a player fetches many files in a row. */
function fileRoutes(api: RecordingApi): FastifyPluginAsync {
  return async (guarded) => {
    if (!api.dashboard) return;
    await guardMany(guarded, api, 'files ');
    filesRoutes(guarded, api.dashboard);
  };
}

/** Apart as well: a page fetches one of each publisher. */
function pictureRoutes(api: RecordingApi): FastifyPluginAsync {
  return async (guarded) => {
    if (!api.thumbnails) return;
    await guardMany(guarded, api, 'thumbnails ');
    if (api.fleet) carryOn(guarded, api.fleet);
    thumbnailRoute(guarded, api.thumbnails);
  };
}

/** Lets whoever may call pass, more often than calls may come. */
async function guardMany(
  guarded: FastifyInstance,
  { rateLimit, customers, isApp, signedIn }: RecordingApi,
  apart: string,
): Promise<void> {
  if (rateLimit) {
    const { perS, clock } = rateLimit;
    await limitRate(guarded, { perS: perS * FILES_PER_CALL, clock, apart });
  }
  guarded.addHook('onRequest', async (request) => authorize(request, customers, isApp, signedIn));
}

/** For players, who have a token in the place of credentials and make several requests a second. */
function playerRoutes({ live, fleet }: RecordingApi): FastifyPluginAsync {
  return async (guarded) => {
    if (!live) return;
    guardLive(guarded, live);
    if (fleet) carryOn(guarded, fleet);
    liveRoutes(guarded, live);
  };
}

/** Has calls that belong to other nodes answered by them. */
function carryOn(app: FastifyInstance, fleet: Pick<Fleet, 'carry'>): void {
  app.addHook('preHandler', async (request, reply) => {
    const answer = await fleet.carry(request);
    return answer && passOn(reply, answer);
  });
}

/** The same routes for other nodes of the fleet, without what was checked where a call came in. */
export function carriedRoutes(api: RecordingApi): FastifyPluginAsync {
  return async (guarded) => {
    acceptJson(guarded);
    guarded.setErrorHandler(async (error, request, reply) => {
      if (isMoved(error)) return reply.code(MISDIRECTED).send({ message: messageOf(error) });
      const answer = api.fleet && !isPlaced(request) ? await placed(api.fleet, error, request) : undefined;
      if (!answer) throw error;
      return passOn(reply, answer);
    });
    recordingRoutes(guarded, api, true);
    const { live, thumbnails } = api;
    if (live) guarded.register(async (routes) => liveRoutes(routes, live), OWN);
    if (thumbnails) guarded.register(async (routes) => thumbnailRoute(routes, thumbnails), OWN);
  };
}

/** The answer of another node to a start that this one is too full for; undefined where there is none. */
async function placed(
  fleet: Pick<Fleet, 'place'>,
  error: unknown,
  request: FastifyRequest,
): Promise<CarriedAnswer | undefined> {
  const overload = overloadOf(error);
  return overload && fleet.place(request, overload);
}

function recordingRoutes(guarded: FastifyInstance, api: RecordingApi, isCarried = false): void {
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
  guarded.register((routes, _routeOptions, routesDone) => {
    participantsRoute(routes, api);
    recordingListRoute(routes, api);
    recordingReportRoute(routes, api);
    eventsRoutes(routes, api);
    backlogRoutes(routes, api);
    cutRoutes(routes, api, isCarried);
    if (api.mixes) mixRoutes(routes, api.mixes, isCarried);
    if (api.retention) retentionRoutes(routes, api.retention);
    if (api.removals) removalRoutes(routes, api.removals);
    if (api.live) watchRoute(routes, api.live);
    if (api.dashboard) {
      fileLinkRoute(routes, api.dashboard);
      channelsRoute(routes, api.dashboard);
      changesRoute(routes, api.dashboard);
    }
    routesDone();
  }, OWN);
}
