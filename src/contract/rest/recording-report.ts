/**
 * The answer to GET /v1/apps/{appid}/aircheck/recordings/{sid}: what is known of a recording, even long after its end.
 */
import { z } from 'zod';
import { qualityReportSchema } from '../line/quality-report.ts';
import { WARNING_CODES } from '../lint/warning.ts';
import { MODES, unixMs } from './fields.ts';
import { STATUSES } from './query.ts';
import { standbySchema } from './recording-list.ts';
import { retentionReplySchema } from './retention.ts';

export const recordingReportSchema = z.object({
  sid: z.string(),
  resourceId: z.string(),
  cname: z.string(),
  uid: z.string(),
  mode: z.enum(MODES),
  status: z.literal(STATUSES).meta({ description: 'As in query.' }),
  phase: z.string().meta({ description: 'new, recording, stopping, uploading or ended.' }),
  healthy: z.boolean().meta({ description: 'False once the recorder crashed, failed, or was lost with its server.' }),
  ending: z.string().nullable().meta({ description: 'Why it ended, in words; null while it has not.' }),
  startedMs: unixMs('When it was started.'),
  endedMs: unixMs('When it ended.').nullable(),
  standby: standbySchema,
  files: z
    .array(z.object({ fileName: z.string(), startUtcMs: unixMs('When it begins.') }))
    .meta({ description: 'What lies in the store, the playlist first.' }),
  events: z.int().meta({ description: 'How many events it has told.' }),
  warnings: z
    .array(z.object({ code: z.enum(WARNING_CODES), path: z.string(), message: z.string() }))
    .meta({ description: 'What in its requests does not do what it seems to.' }),
  retention: retentionReplySchema
    .nullable()
    .meta({ description: 'How long its files are kept, and what was deleted.' }),
  quality: qualityReportSchema.nullable().meta({
    description:
      'The quality report, while it records a few seconds old. Null before the first measurement, and when it was lost.',
  }),
});
export type RecordingReport = z.infer<typeof recordingReportSchema>;
