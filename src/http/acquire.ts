/**
 * POST …/acquire
 */
import type { FastifyInstance } from 'fastify';
import { parseAcquire } from '../contract/rest/acquire.ts';
import type { RecordingApi } from './recording-api.ts';

export function acquireRoute(app: FastifyInstance, { recordings }: RecordingApi): void {
  app.post<{ Params: { appid: string } }>('/acquire', ({ params, body }) =>
    recordings.acquire(params.appid, parseAcquire(body)),
  );
}
