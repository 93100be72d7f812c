/**
 * POST /v1/apps/{appid}/aircheck/recordings/{sid}/mixes has a recording of single users mixed into one MP4, GET …/mixes
 * and GET …/mixes/{mixid} tell how far that is, GET …/mixes/{mixid}/file brings it, DELETE …/mixes/{mixid} calls it off
 * or removes it. Aircheck's own, not part of the contract.
 */
import type { FastifyInstance } from 'fastify';
import { type MixListReply, type MixReply, type MixRequest, parseMix } from '../contract/rest/mix.ts';
import { MOST_CARRIED_BYTES, sendFile } from './byte-range.ts';

export type MixesApi = {
  begin(appid: string, sid: string, request: MixRequest): Promise<MixReply>;
  list(appid: string, sid: string): Promise<MixListReply>;
  of(appid: string, sid: string, mixId: string): Promise<MixReply>;
  file(appid: string, sid: string, mixId: string): Promise<{ path: string; bytes: number; name: string }>;
  remove(appid: string, sid: string, mixId: string): Promise<void>;
};

type MixesPath = { appid: string; sid: string };
type MixPath = MixesPath & { mixid: string };

const COLLECTION = '/recordings/:sid/mixes';
const ONE = `${COLLECTION}/:mixid`;

/** @param isCarried the calls come from other nodes */
export function mixRoutes(app: FastifyInstance, mixes: MixesApi, isCarried = false): void {
  // The node makes it that can have the slices.
  const begins = { config: { livesAt: 'taskOrFiles' } } as const;
  app.post<{ Params: MixesPath }>(COLLECTION, begins, async ({ params, body }, reply) => {
    const mix = await mixes.begin(params.appid, params.sid, parseMix(body));
    return reply.code(201).send(mix);
  });
  // Any node answers: what is known of them is in the database that all share.
  app.get<{ Params: MixesPath }>(COLLECTION, async ({ params }) => mixes.list(params.appid, params.sid));
  app.get<{ Params: MixPath }>(ONE, async ({ params }) => mixes.of(params.appid, params.sid, params.mixid));
  const options = { config: { livesAt: 'mix' } } as const;
  app.get<{ Params: MixPath }>(`${ONE}/file`, options, async (request, reply) => {
    const { appid, sid, mixid } = request.params;
    const { path, bytes, name } = await mixes.file(appid, sid, mixid);
    reply.header('content-disposition', `attachment; filename="${name}"`).header('cache-control', 'private, no-store');
    const file = { path, within: { from: 0, to: bytes }, type: 'video/mp4' };
    return sendFile(request, reply, file, isCarried ? MOST_CARRIED_BYTES : undefined);
  });
  app.delete<{ Params: MixPath }>(ONE, options, async ({ params }, reply) => {
    await mixes.remove(params.appid, params.sid, params.mixid);
    return reply.code(204).send();
  });
}
