/** The answers of /v1/apps/{appid}/aircheck/events: what recordings told, and whether it was delivered. */
import { z } from 'zod';
import { noticeSchema } from '../webhook/notice.ts';
import { unixMs } from './fields.ts';

export const eventSchema = z.object({
  position: z.int().meta({ description: 'Grows with each event of the server, not without gaps.' }),
  state: z
    .enum(['pending', 'delivered', 'dead', 'unwanted'])
    .meta({ description: 'dead: given up after too long; unwanted: of a type the app does not ask for.' }),
  attempts: z.int(),
  lastAttemptMs: unixMs('When it was last sent.').optional(),
  nextAttemptMs: unixMs('When it is sent again.').optional(),
  deliveredMs: unixMs('When its receiver took it.').optional(),
  lastError: z.string().optional().meta({ description: 'Why it was last not taken.' }),
  notice: noticeSchema,
});

export const eventsReplySchema = z.object({
  events: z.array(eventSchema),
  next: z.int().meta({ description: 'What to ask for as `after` next.' }),
});
export type EventsReply = z.infer<typeof eventsReplySchema>;

export const redeliverReplySchema = z.object({
  delivered: z.boolean(),
  error: z.string().optional().meta({ description: 'Why not, in words.' }),
});
export type RedeliverReply = z.infer<typeof redeliverReplySchema>;
