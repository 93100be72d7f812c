/**
 * POST …/resourceid/{resourceid}/mode/{mode}/start
 */
import type { FastifyInstance } from 'fastify';
import type { RecordingApi } from './api.ts';
import { MODE, type ResourceParams, toPath } from './paths.ts';
import { warn } from './warnings.ts';

export function startRoute(app: FastifyInstance, { recordings }: RecordingApi): void {
  app.post<{ Params: ResourceParams }>(`/resourceid/:resourceid/mode/${MODE}/start`, (request, reply) => {
    const { params, body } = request;
    const warnings = warn(request, reply, { call: 'start', mode: params.mode, body });
    return recordings.start(toPath(params), body, warnings);
  });
}
