/**
 * POST …/resourceid/{resourceid}/sid/{sid}/mode/{mode}/stop. The recording stops even when the caller does not wait for
 * the answer.
 */
import type { FastifyInstance } from 'fastify';
import type { RecordingApi } from './api.ts';
import { MODE, type TaskParams, toPath } from './paths.ts';
import { warn } from './warnings.ts';

export function stopRoute(app: FastifyInstance, { recordings }: RecordingApi): void {
  const options = { config: { livesAt: 'task', waitsForUploads: true } } as const;
  app.post<{ Params: TaskParams }>(`/resourceid/:resourceid/sid/:sid/mode/${MODE}/stop`, options, (request, reply) => {
    const { params, body } = request;
    warn(request, reply, { call: 'stop', body });
    return recordings.stop({ ...toPath(params), sid: params.sid }, body);
  });
}
