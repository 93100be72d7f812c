/**
 * /v1/apps/{appid}/aircheck/recordings/{sid}/removals removes one person from a recording of single users and tells who
 * was removed; …/removals/preview tells what would go. Aircheck's own, not part of the contract.
 */
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { problem } from '../contract/problems.ts';
import {
  parsePreview,
  parseRemoval,
  type RemovalListReply,
  type RemovalPreview,
  type RemovalReply,
  type RemovalRequest,
} from '../contract/rest/removal.ts';

export type RemovalsApi = {
  list(appid: string, sid: string): Promise<RemovalListReply>;
  preview(appid: string, sid: string, uid: string): Promise<RemovalPreview>;
  /** @param by the customer id of who asks */
  order(appid: string, sid: string, request: RemovalRequest, by: string): Promise<RemovalReply>;
};

type Path = { Params: { appid: string; sid: string } };

const SID = /^[0-9a-f]{32}$/;

/** Any node answers: what they change is in the database that all share. */
export function removalRoutes(app: FastifyInstance, removals: RemovalsApi): void {
  app.get<Path>('/recordings/:sid/removals', async (request) => removals.list(...recordingOf(request)));
  app.get<Path>('/recordings/:sid/removals/preview', async (request) =>
    removals.preview(...recordingOf(request), parsePreview(request.query).uid),
  );
  app.post<Path>('/recordings/:sid/removals', async (request, reply) => {
    const { customer, body } = request;
    if (!customer) throw problem('unauthorized');
    const told = await removals.order(...recordingOf(request), parseRemoval(body), customer.id);
    return reply.code(told.state === 'removed' ? 200 : 202).send(told);
  });
}

function recordingOf({ params }: FastifyRequest<Path>): [appid: string, sid: string] {
  if (!SID.test(params.sid)) throw problem('recording-unknown');
  return [params.appid, params.sid];
}
