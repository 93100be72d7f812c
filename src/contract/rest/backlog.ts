/** The answer to GET /v1/apps/{appid}/aircheck/backlog: which files are not in their store yet, and why. */
import { z } from 'zod';
import { unixMs } from './fields.ts';

const backlogEntrySchema = z.object({
  sid: z.string(),
  where: z.enum(['spool', 'backup']).meta({
    description: 'spool: of a recording that has not ended; backup: in the backup store, after its end.',
  }),
  files: z.int(),
  bytes: z.int(),
  sinceMs: unixMs('Since when the first of them waits.'),
  attempts: z.int().meta({ description: 'How often the most tried of them was.' }),
  lastError: z.string().nullable().meta({ description: 'Why the last attempt failed, in words.' }),
  nextTryMs: unixMs('When the next attempt is due.').nullable(),
  waitsFor: z.string().nullable().default(null).meta({
    description:
      'The node of a fleet that alone has these files and was gone: they wait until it is back and stores them. Null where they wait for their store.',
  }),
});
export type BacklogEntry = z.infer<typeof backlogEntrySchema>;

/** One entry for each recording, place and node that is waited for. */
export const backlogReplySchema = z.object({ backlog: z.array(backlogEntrySchema) });
export type BacklogReply = z.infer<typeof backlogReplySchema>;
