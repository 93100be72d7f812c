/**
 * POST …/resourceid/{resourceid}/mode/{mode}/start
 */
import type { FastifyInstance } from 'fastify';
import { MODE, type ResourceParams, toPath } from './paths.ts';
import type { RecordingApi } from './recording-api.ts';

export function startRoute(app: FastifyInstance, { recordings }: RecordingApi): void {
  app.post<{ Params: ResourceParams }>(`/resourceid/:resourceid/mode/${MODE}/start`, ({ params, body }) =>
    recordings.start(toPath(params), body),
  );
}
