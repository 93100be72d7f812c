/**
 * GET /v1/apps/{appid}/aircheck/backlog: which files of an app's recordings are not in their store yet, and why. POST
 * …/backlog/{sid}/retry tries those of one recording at once. Aircheck's own, not part of the contract.
 */
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { problem } from '../contract/problems.ts';

/** Times are Unix milliseconds. One entry for each recording and place. */
export const backlogEntrySchema = z.object({
  sid: z.string(),
  /** `spool`: of a recording that has not ended; `backup`: in the backup store, after its end. */
  where: z.enum(['spool', 'backup']),
  files: z.int(),
  bytes: z.int(),
  sinceMs: z.int(),
  attempts: z.int(),
  lastError: z.string().nullable(),
  nextTryMs: z.int().nullable(),
});
export type BacklogEntry = z.infer<typeof backlogEntrySchema>;

export type BacklogApi = {
  list(appid: string): Promise<BacklogEntry[]>;
  /** False when nothing of the recording waits. */
  retry(appid: string, sid: string): Promise<boolean>;
};

export function backlogRoutes(app: FastifyInstance, { backlog }: { backlog: BacklogApi }): void {
  app.get<{ Params: { appid: string } }>('/backlog', async ({ params }) => ({
    backlog: await backlog.list(params.appid),
  }));
  const options = { config: { livesAt: 'taskOrFiles' } } as const;
  app.post<{ Params: { appid: string; sid: string } }>('/backlog/:sid/retry', options, async ({ params }) => {
    const { appid, sid } = params;
    if (!(await backlog.retry(appid, sid))) throw problem('recording-unknown');
    return { sid };
  });
}
