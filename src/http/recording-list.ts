/**
 * GET /v1/apps/{appid}/aircheck/recordings: an app's recordings, the newest first. Aircheck's own, not part of the
 * contract.
 */
import type { FastifyInstance } from 'fastify';
import { problem } from '../contract/problems.ts';
import {
  type ListedRecordingReply,
  RECORDING_LIST_WORDS,
  type RecordingListQuery,
  type RecordingListReply,
  recordingListQuerySchema,
} from '../contract/rest/recording-list.ts';

export type RecordingListApi = {
  list: {
    page(appid: string, query: RecordingListQuery): Promise<RecordingListReply>;
    /** These recordings of an app. */
    of(appid: string, sids: readonly string[]): Promise<ListedRecordingReply[]>;
  };
};

export function recordingListRoute(app: FastifyInstance, { list }: RecordingListApi): void {
  app.get<{ Params: { appid: string } }>('/recordings', ({ params, query }) => {
    const parsed = recordingListQuerySchema.safeParse(query);
    if (parsed.success) return list.page(params.appid, parsed.data);
    const names = new Set(parsed.error.issues.map(({ path }) => String(path[0]) as keyof RecordingListQuery));
    const reasons = [...names].map((name) => `${name} must be ${RECORDING_LIST_WORDS[name]}`);
    throw problem('request-invalid', `api body validate failed! ${reasons.join('; ')}`);
  });
}
