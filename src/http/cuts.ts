/**
 * POST /v1/apps/{appid}/aircheck/recordings/{sid}/cuts makes an MP4 of a stretch of a recording; GET …/cuts/{cutId}
 * tells how far that is, GET …/cuts/{cutId}/file brings it, DELETE …/cuts/{cutId} removes it. Aircheck's own, not part
 * of the contract.
 */
import type { FastifyInstance } from 'fastify';
import { type CutReply, type CutRequest, parseCut } from '../contract/rest/cut.ts';
import { MOST_CARRIED_BYTES, sendFile } from './byte-range.ts';

export type CutsApi = {
  /** Waits a moment for it to be done. */
  begin(appid: string, sid: string, request: CutRequest): Promise<CutReply>;
  of(appid: string, sid: string, cutId: string): CutReply;
  file(appid: string, sid: string, cutId: string): { path: string; bytes: number; name: string };
  remove(appid: string, sid: string, cutId: string): Promise<void>;
};

type CutsPath = { appid: string; sid: string };
type CutPath = CutsPath & { cutid: string };

/** @param isCarried the calls come from other nodes */
export function cutRoutes(app: FastifyInstance, { cuts }: { cuts: CutsApi }, isCarried = false): void {
  app.post<{ Params: CutsPath }>(
    '/recordings/:sid/cuts',
    { config: { livesAt: 'taskOrFiles' } },
    async ({ params, body }, reply) => {
      const cut = await cuts.begin(params.appid, params.sid, parseCut(body));
      return reply.code(201).send(cut);
    },
  );
  const options = { config: { livesAt: 'cut' } } as const;
  app.get<{ Params: CutPath }>('/recordings/:sid/cuts/:cutid', options, async ({ params }) =>
    cuts.of(params.appid, params.sid, params.cutid),
  );
  app.get<{ Params: CutPath }>('/recordings/:sid/cuts/:cutid/file', options, async (request, reply) => {
    const { appid, sid, cutid } = request.params;
    const { path, bytes, name } = cuts.file(appid, sid, cutid);
    reply.header('content-disposition', `attachment; filename="${name}"`).header('cache-control', 'private, no-store');
    const file = { path, within: { from: 0, to: bytes }, type: 'video/mp4' };
    return sendFile(request, reply, file, isCarried ? MOST_CARRIED_BYTES : undefined);
  });
  app.delete<{ Params: CutPath }>('/recordings/:sid/cuts/:cutid', options, async ({ params }, reply) => {
    await cuts.remove(params.appid, params.sid, params.cutid);
    return reply.code(204).send();
  });
}
