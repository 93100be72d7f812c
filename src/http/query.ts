/**
 * GET …/resourceid/{resourceid}/sid/{sid}/mode/{mode}/query
 */
import type { FastifyInstance } from 'fastify';
import type { RecordingApi } from './api.ts';
import { MODE, type TaskParams, toPath } from './paths.ts';

export function queryRoute(app: FastifyInstance, { recordings }: RecordingApi): void {
  const options = { config: { livesAt: 'task', isOfRecording: true } } as const;
  app.get<{ Params: TaskParams }>(`/resourceid/:resourceid/sid/:sid/mode/${MODE}/query`, options, ({ params }) =>
    recordings.query({ ...toPath(params), sid: params.sid }),
  );
}
