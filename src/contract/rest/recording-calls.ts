/** The calls that started and changed a recording, as they came. */
import { z } from 'zod';

const KEPT_CALLS = ['start', 'update', 'updateLayout'] as const;

export const recordingCallsReplySchema = z.object({
  calls: z
    .array(
      z.object({
        atMs: z.int().meta({ description: 'When it was answered. Unix milliseconds.' }),
        call: z.enum(KEPT_CALLS),
        body: z.unknown().meta({ description: 'As it came; secrets, and addresses that may hold some, are left out.' }),
      }),
    )
    .meta({ description: 'In their order; the first hundred. Those of versions that kept none are missing.' }),
});
export type RecordingCallsReply = z.infer<typeof recordingCallsReplySchema>;
