/**
 * POST …/resourceid/{resourceid}/sid/{sid}/mode/{mode}/update
 */
import type { FastifyInstance } from 'fastify';
import type { RecordingApi } from './api.ts';
import { MODE, type TaskParams, toPath } from './paths.ts';
import { warn } from './warnings.ts';

export function updateRoute(app: FastifyInstance, { recordings, dashboard }: RecordingApi): void {
  const path = `/resourceid/:resourceid/sid/:sid/mode/${MODE}/update`;
  app.post<{ Params: TaskParams }>(path, { config: { livesAt: 'task' } }, async (request, reply) => {
    const { params, body } = request;
    const begun = recordings.about(params.sid);
    const warnings = warn(request, reply, { call: 'update', mode: params.mode, body, begun });
    const answer = await recordings.update({ ...toPath(params), sid: params.sid }, body, warnings);
    dashboard?.keepCall(request, params.sid, 'update');
    return answer;
  });
}
