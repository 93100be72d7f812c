/**
 * GET /v1/apps/{appid}/aircheck/recordings/{sid}: what is known of a recording, even long after its end. Aircheck's
 * own, not part of the contract.
 */
import type { FastifyInstance } from 'fastify';
import { z } from 'zod';
import { qualityReportSchema } from '../contract/line/quality-report.ts';
import { WARNING_CODES } from '../contract/lint/warning.ts';
import { MODES } from '../contract/rest/fields.ts';
import { STATUSES } from '../contract/rest/query.ts';
import type { PastTask } from '../session/ports.ts';
import type { RecordingApi } from './api.ts';

/** Times are Unix milliseconds. */
export const recordingReportSchema = z.object({
  sid: z.string(),
  resourceId: z.string(),
  cname: z.string(),
  uid: z.string(),
  mode: z.enum(MODES),
  status: z.literal(STATUSES),
  /** new, recording, stopping, uploading or ended. */
  phase: z.string(),
  /** False once the recorder crashed, failed, or was lost with its server. */
  healthy: z.boolean(),
  /** Why it ended, in words; null while it goes on. */
  ending: z.string().nullable(),
  startedMs: z.int(),
  endedMs: z.int().nullable(),
  /** Files in the store, playlists first. */
  files: z.array(z.object({ fileName: z.string(), startUtcMs: z.int() })),
  /** How many events the recording had; `…/aircheck/events?sid=` lists them. */
  events: z.int(),
  warnings: z.array(z.object({ code: z.enum(WARNING_CODES), path: z.string(), message: z.string() })),
  /** While it records, a few seconds old; null before the first measurement, and when the report was lost. */
  quality: qualityReportSchema.nullable(),
});
type RecordingReport = z.infer<typeof recordingReportSchema>;

export function recordingReportRoute(app: FastifyInstance, { recordings }: RecordingApi): void {
  const options = { config: { livesAt: 'task' } } as const;
  app.get<{ Params: { appid: string; sid: string } }>('/recordings/:sid', options, async ({ params }) =>
    toReport(await recordings.report(params.appid, params.sid)),
  );
}

function toReport({ task, state, endedMs, quality }: PastTask): RecordingReport {
  const { sid, resourceId, cname, uid, createdMs, document } = task;
  const { status, phase, healthy, ending, playlists, mp4s, sequence } = state;
  const files = [...playlists, ...mp4s];
  return {
    sid,
    resourceId,
    cname,
    uid,
    mode: document.plan.mode,
    status,
    phase,
    healthy,
    ending: ending ?? null,
    startedMs: createdMs,
    endedMs: endedMs ?? null,
    files: files.map(({ key, startUtcMs }) => ({ fileName: key, startUtcMs: Math.floor(startUtcMs) })),
    events: sequence,
    warnings: document.warnings,
    quality: quality ?? null,
  };
}
