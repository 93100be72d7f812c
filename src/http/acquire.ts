/**
 * POST …/acquire
 */
import type { FastifyInstance } from 'fastify';
import { parseAcquire } from '../contract/rest/acquire.ts';
import type { RecordingApi } from './api.ts';
import { warn } from './warnings.ts';

export function acquireRoute(app: FastifyInstance, { recordings }: RecordingApi): void {
  app.post<{ Params: { appid: string } }>('/acquire', { config: { livesAt: 'channelOfBody' } }, (request, reply) => {
    const { params, body } = request;
    warn(request, reply, { call: 'acquire', body });
    return recordings.acquire(params.appid, parseAcquire(body));
  });
}
