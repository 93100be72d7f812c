/**
 * POST …/resourceid/{resourceid}/sid/{sid}/mode/{mode}/updateLayout. Modes other than mix have the route too, so that
 * their callers are told that it is for mix.
 */
import type { FastifyInstance } from 'fastify';
import type { RecordingApi } from './api.ts';
import { MODE, type TaskParams, toPath } from './paths.ts';
import { warn } from './warnings.ts';

export function updateLayoutRoute(app: FastifyInstance, { recordings, dashboard }: RecordingApi): void {
  const path = `/resourceid/:resourceid/sid/:sid/mode/${MODE}/updateLayout`;
  app.post<{ Params: TaskParams }>(path, { config: { livesAt: 'task' } }, async (request, reply) => {
    const { params, body } = request;
    const canvas = recordings.about(params.sid)?.canvas;
    const warnings = warn(request, reply, { call: 'updateLayout', body, ...(canvas && { canvas }) });
    const answer = await recordings.updateLayout({ ...toPath(params), sid: params.sid }, body, warnings);
    dashboard?.keepCall(request, params.sid, 'updateLayout');
    return answer;
  });
}
