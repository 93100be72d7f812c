/**
 * The call that cuts a stretch out of a recording, and what is told of a cut. Aircheck's own, not part of the contract.
 */
import { z } from 'zod';
import { parseBody } from './body.ts';
import { uidSchema } from './fields.ts';
import { storeKeysSchema } from './store-keys.ts';

/** The longest recording that there can be is shorter than this. */
const MOST_S = 10_000_000;

/** A moment of a recording: a number is seconds of it as it plays. */
export const momentSchema = z.union(
  [
    z.number().min(0).max(MOST_S),
    z.iso.datetime({ offset: true }).refine((text) => !Number.isNaN(Date.parse(text)), 'it is no moment'),
  ],
  {
    error:
      'is to be seconds of the recording as it plays, from 0 on, or a moment with its time zone, as 2026-05-04T14:02:00Z',
  },
);

export const cutRequestSchema = z.object({
  from: momentSchema.meta({
    description:
      'Where the cut begins: seconds of the recording as it plays (without its holds, with what nobody recorded), or a moment with its time zone.',
  }),
  to: momentSchema.meta({ description: 'Where it ends, likewise. Up to a second beyond what is recorded is its end.' }),
  uid: uidSchema
    .optional()
    .meta({ description: 'Whose picture and sound; needed of a recording of single users, and of no other.' }),
  keys: storeKeysSchema.optional(),
});
export type CutRequest = z.infer<typeof cutRequestSchema>;

const CUT_STATES = ['queued', 'running', 'done', 'failed'] as const;

export const cutReplySchema = z.object({
  cutId: z.string(),
  sid: z.string(),
  state: z.enum(CUT_STATES),
  progress: z.number().min(0).max(1).meta({ description: 'How much of it is made, 0 to 1.' }),
  from: z.number().meta({ description: 'Seconds of the recording as it plays.' }),
  to: z.number().meta({ description: 'Likewise.' }),
  startUtcMs: z.number().meta({ description: 'When its first picture was, Unix milliseconds.' }),
  bytes: z.int().nullable().meta({ description: 'Size of the MP4; null before it is done.' }),
  file: z.string().nullable().meta({ description: 'Path of the MP4 on this server; null before it is done.' }),
  error: z.string().nullable().meta({ description: 'Why it failed, in words.' }),
  expiresMs: z
    .int()
    .nullable()
    .meta({ description: 'When the MP4 is removed, Unix milliseconds; null before it is done.' }),
});
export type CutReply = z.infer<typeof cutReplySchema>;

/** Throws `request-invalid`. */
export function parseCut(body: unknown): CutRequest {
  return parseBody('cut', cutRequestSchema, body);
}
