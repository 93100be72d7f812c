/**
 * POST …/resourceid/{resourceid}/sid/{sid}/mode/{mode}/stop. The recording stops whether or not the caller waits for the answer.
 */
import type { FastifyInstance } from 'fastify';
import { MODE, type TaskParams, toPath } from './paths.ts';
import type { RecordingApi } from './recording-api.ts';

export function stopRoute(app: FastifyInstance, { recordings }: RecordingApi): void {
  app.post<{ Params: TaskParams }>(`/resourceid/:resourceid/sid/:sid/mode/${MODE}/stop`, ({ params, body }) =>
    recordings.stop({ ...toPath(params), sid: params.sid }, body),
  );
}
