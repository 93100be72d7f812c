/**
 * How long the files of a recording are kept, the legal hold that keeps them longer, and what was deleted. Aircheck's
 * own, not part of the contract. Times are Unix milliseconds.
 */
import { z } from 'zod';
import { parseBody } from './body.ts';
import { unixMs } from './fields.ts';
import { storeKeysSchema } from './store-keys.ts';

/** A hundred years. */
export const MOST_RETENTION_DAYS = 36_500;
export const RETENTION_RULES = ['recording', 'app', 'call'] as const;
export type RetentionRule = (typeof RETENTION_RULES)[number];

const retentionDaysSchema = z
  .int()
  .min(0)
  .max(MOST_RETENTION_DAYS, `retentionDays must be a whole number from 0 to ${MOST_RETENTION_DAYS}`)
  .meta({
    description:
      'How many days after its end the files of the recording are kept; then the server deletes them. 0 keeps them for ever. Without it, what the app is configured with.',
  });
/** The member of `clientRequest.aircheck` in start, in every mode. */
export const retentionMember = { retentionDays: retentionDaysSchema.optional() };

const keys = storeKeysSchema.optional().meta({
  description:
    'What opens the store of a recording that has ended, whose own keys the server has forgotten; kept sealed until the files are deleted. Not needed for vendor 1000.',
});

export const retentionRequestSchema = z.object({ days: retentionDaysSchema, keys });
export type RetentionRequest = z.infer<typeof retentionRequestSchema>;
export const deletionRequestSchema = z.object({ keys });
export type DeletionRequest = z.infer<typeof deletionRequestSchema>;
export const legalHoldRequestSchema = z.object({
  reason: z.string().trim().min(1).max(500).optional().meta({ description: 'Kept, and shown with the recording.' }),
});
export type LegalHoldRequest = z.infer<typeof legalHoldRequestSchema>;

const ACTS = ['retention', 'held', 'released', 'deleting', 'failed', 'refused', 'left', 'deleted'] as const;
export type RetentionAct = (typeof ACTS)[number];

export const retentionReplySchema = z.object({
  days: z.int().nullable().meta({ description: 'Days after its end; null keeps the files for ever.' }),
  rule: z
    .enum(RETENTION_RULES)
    .nullable()
    .meta({ description: 'What says so: its own start, its app, or a later call. Null where nothing was said.' }),
  dueMs: unixMs('When the files are deleted; null while that is not known, and for ever.').nullable(),
  legalHold: z
    .object({
      sinceMs: unixMs('Since when.'),
      by: z.string().meta({ description: 'The customer who asked for it.' }),
      byOperator: z.boolean().meta({ description: 'Then only an operator can lift it.' }),
      reason: z.string().nullable(),
    })
    .nullable()
    .meta({ description: 'While it lasts nothing is deleted.' }),
  state: z.enum(['kept', 'deleting', 'refused', 'left', 'deleted']).meta({
    description:
      'kept: all files are there. deleting: some are deleted. refused: the store does not let them be deleted, and is not asked again. left: none is left but what only a server has that is gone, which deletes it when it is back. deleted: none is left.',
  }),
  deletedMs: unixMs('When the last file was deleted.').nullable(),
  files: z.int().meta({ description: 'How many files were deleted.' }),
  bytes: z.int().meta({ description: 'Their size.' }),
  error: z.string().nullable().meta({ description: 'Why files could not be deleted, as the store last said.' }),
  nextTryMs: unixMs('When the store is asked again.').nullable(),
  away: z
    .object({
      server: z.string().meta({ description: 'Its name; of one that never told it, the id of its data folder.' }),
      seenMs: unixMs('When it was last seen; null where that is forgotten.').nullable(),
      untilMs: unixMs('Until when it is waited for. Null once the others have deleted what they reach.').nullable(),
      files: z.int().meta({ description: 'How many files lie with it, as far as is known.' }),
      bytes: z.int().meta({ description: 'Their size.' }),
    })
    .nullable()
    .meta({
      description:
        'The server of a fleet that has files which are to be deleted, and that is gone. It deletes them when it is back.',
    }),
  history: z
    .array(
      z.object({
        atMs: unixMs('When.'),
        act: z.enum(ACTS),
        by: z.string().nullable().meta({ description: 'The customer; null where the server acted by a rule.' }),
        details: z.string().nullable(),
      }),
    )
    .meta({ description: 'What was asked and done, the oldest first; at most 200.' }),
});
export type RetentionReply = z.infer<typeof retentionReplySchema>;

/** Throws `request-invalid`. */
export function parseRetention(body: unknown): RetentionRequest {
  return parseBody('retention', retentionRequestSchema, body);
}

/** Throws `request-invalid`. */
export function parseDeletion(body: unknown): DeletionRequest {
  return parseBody('deletion', deletionRequestSchema, body ?? {});
}

/** Throws `request-invalid`. */
export function parseLegalHold(body: unknown): LegalHoldRequest {
  return parseBody('legal-hold', legalHoldRequestSchema, body ?? {});
}
