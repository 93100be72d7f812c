/**
 * GET /v1/apps/{appid}/aircheck/recordings/{sid}: what is known of a recording, even long after its end. Aircheck's
 * own, not part of the contract.
 */
import type { FastifyInstance } from 'fastify';
import type { RecordingReport } from '../contract/rest/recording-report.ts';
import type { PastTask } from '../session/ports.ts';
import type { RecordingApi } from './api.ts';

export function recordingReportRoute(app: FastifyInstance, { recordings, retention, list }: RecordingApi): void {
  const options = { config: { livesAt: 'task' } } as const;
  app.get<{ Params: { appid: string; sid: string } }>(
    '/recordings/:sid',
    options,
    async ({ params: { appid, sid } }) => {
      const past = await recordings.report(appid, sid);
      const [listed] = await list.of(appid, [sid]);
      const kept = (await retention?.of(appid, sid)) ?? null;
      return { ...toReport(past), standby: listed?.standby ?? null, retention: kept };
    },
  );
}

function toReport({ task, state, endedMs, quality }: PastTask): Omit<RecordingReport, 'retention' | 'standby'> {
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
