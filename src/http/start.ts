/**
 * POST …/resourceid/{resourceid}/mode/{mode}/start
 */
import type { FastifyInstance } from 'fastify';
import type { RecordingApi } from './api.ts';
import { MODE, type ResourceParams, toPath } from './paths.ts';
import { warn, warnOfStore } from './warnings.ts';

export function startRoute(app: FastifyInstance, { recordings, dashboard }: RecordingApi): void {
  const options = { config: { livesAt: 'resource' } } as const;
  app.post<{ Params: ResourceParams }>(
    `/resourceid/:resourceid/mode/${MODE}/start`,
    options,
    async (request, reply) => {
      const { params, body } = request;
      const warnings = warn(request, reply, { call: 'start', mode: params.mode, body });
      const started = await recordings.start(toPath(params), body, warnings);
      if (started.storeRefusal !== undefined) warnOfStore(reply, warnings, started.storeRefusal);
      dashboard?.keepCall(request, started.reply.sid, 'start');
      return started.reply;
    },
  );
}
