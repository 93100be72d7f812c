/**
 * GET /v1/apps/{appid}/aircheck/backlog: which files of an app's recordings are not in their store yet, and why. POST
 * …/backlog/{sid}/retry tries those of one recording at once. Aircheck's own, not part of the contract.
 */
import type { FastifyInstance } from 'fastify';
import { problem } from '../contract/problems.ts';
import type { BacklogEntry, BacklogReply } from '../contract/rest/backlog.ts';

export type BacklogApi = {
  list(appid: string): Promise<BacklogEntry[]>;
  /** False when nothing of the recording waits. */
  retry(appid: string, sid: string): Promise<boolean>;
};

export function backlogRoutes(app: FastifyInstance, { backlog }: { backlog: BacklogApi }): void {
  app.get<{ Params: { appid: string } }>(
    '/backlog',
    async ({ params }): Promise<BacklogReply> => ({
      backlog: await backlog.list(params.appid),
    }),
  );
  const options = { config: { livesAt: 'taskOrFiles' } } as const;
  app.post<{ Params: { appid: string; sid: string } }>('/backlog/:sid/retry', options, async ({ params }) => {
    const { appid, sid } = params;
    if (!(await backlog.retry(appid, sid))) throw problem('recording-unknown');
    return { sid };
  });
}
