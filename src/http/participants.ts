/**
 * GET /v1/apps/{appid}/aircheck/channels/{cname}: who is in a channel and what they send. Aircheck's own, not part of
 * the contract.
 */
import type { FastifyInstance } from 'fastify';
import type { RecordingApi } from './api.ts';

export function participantsRoute(app: FastifyInstance, { participants }: RecordingApi): void {
  app.get<{ Params: { appid: string; cname: string } }>(
    '/channels/:cname',
    { config: { livesAt: 'channel' } },
    ({ params }) => ({
      cname: params.cname,
      participants: participants(params.appid, params.cname),
    }),
  );
}
