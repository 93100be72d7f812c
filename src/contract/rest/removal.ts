/**
 * Removing one person from a recording of single users: what is asked, what would go, and the record of what went.
 * Aircheck's own, not part of the contract. Times are Unix milliseconds.
 */
import { z } from 'zod';
import { parseBody } from './body.ts';
import { uidSchema, unixMs } from './fields.ts';
import { FILE_KINDS } from './recording-files.ts';
import { storeKeysSchema } from './store-keys.ts';

export const removalRequestSchema = z.object({
  uid: uidSchema.meta({ description: 'Who is removed.' }),
  keys: storeKeysSchema.optional().meta({
    description:
      'What opens the store of a recording whose own keys the server has forgotten; kept sealed until the files are gone. Not needed for vendor 1000.',
  }),
});
export type RemovalRequest = z.infer<typeof removalRequestSchema>;

const KEPT_NOTE = 'What still names the person afterwards, and why.';
const fileSchema = z.object({
  name: z.string(),
  kind: z.enum(FILE_KINDS),
  key: z.string().meta({ description: 'Under which name it lies in its store.' }),
  where: z.enum(['store', 'backup']).meta({ description: 'store: that of the recording; backup: the backup store.' }),
  bytes: z.int().meta({ description: 'Its size before.' }),
  act: z.enum(['delete', 'rewrite']).meta({
    description: 'delete: it is of the person alone. rewrite: it is of everybody, and is made anew without the person.',
  }),
});
export type RemovalFile = z.infer<typeof fileSchema>;

export const OUTCOMES = ['deleted', 'rewritten', 'gone'] as const;
export type RemovalOutcome = (typeof OUTCOMES)[number];
const removedFileSchema = fileSchema.extend({
  outcome: z.enum(OUTCOMES).nullable().meta({
    description:
      'Null while it is there as it was. deleted: also a file of everybody that could not be made anew, and details say why. gone: the store had none.',
  }),
  atMs: unixMs('When that was done.').nullable(),
  versions: z.int().nullable().meta({
    description: 'How many versions of it the store had. Null where it keeps only the newest, or does not tell.',
  }),
  newBytes: z.int().nullable().meta({ description: 'Size of the file that was made anew.' }),
  details: z.string().nullable(),
});

const placeSchema = z.object({ vendor: z.int(), region: z.int(), bucket: z.string() }).nullable();

export const removalSchema = z.object({
  uid: z.string(),
  state: z.enum(['removing', 'held', 'refused', 'removed']).meta({
    description:
      'removing: it is under way. held: a legal hold keeps what is left. refused: a store does not let files be deleted, and is asked no more until the removal is asked for again. removed: nothing of the person is left.',
  }),
  askedMs: unixMs('When it was asked for first.'),
  askedBy: z.string().meta({ description: 'The customer id of who asked.' }),
  doneMs: unixMs('When the last of it was gone.').nullable(),
  place: placeSchema.meta({ description: 'The store; null in a recording of a version that did not keep it.' }),
  files: z.array(removedFileSchema),
  servers: z
    .array(
      z.object({
        folder: z.string().meta({ description: 'Identity of the data folder.' }),
        atMs: unixMs('When it was searched.'),
        files: z.int().meta({ description: 'How many copies of the person’s files were on its disk.' }),
      }),
    )
    .meta({ description: 'The servers whose own disk was cleared of the person.' }),
  error: z.string().nullable().meta({ description: 'Why something could not be removed, as it was last told.' }),
  nextTryMs: unixMs('When it is tried again.').nullable(),
  kept: z.array(z.string()).meta({ description: KEPT_NOTE }),
});
export type RemovalReply = z.infer<typeof removalSchema>;

export const removalPreviewSchema = z.object({
  uid: z.string(),
  place: placeSchema,
  files: z.array(fileSchema),
  deletedBytes: z.int().meta({ description: 'Size of the files that are of the person alone.' }),
  needsKeys: z.boolean().meta({ description: 'Whether the keys of the store must come with the call.' }),
  kept: z.array(z.string()).meta({ description: KEPT_NOTE }),
});
export type RemovalPreview = z.infer<typeof removalPreviewSchema>;

export const removalListSchema = z.object({
  removals: z.array(removalSchema).meta({ description: 'The oldest first.' }),
});
export type RemovalListReply = z.infer<typeof removalListSchema>;

/** Said with every removal: the record does not forget by itself. */
export const KEPT_RECORDS = [
  'this record: the uid and the names, sizes and times of the files, because it proves what was removed',
  'the calls that made the recording, where their lists name the uid, because they are what the customer asked for; they hold nothing that the person sent',
  'the log of the server and what it told by webhook before, which the server cannot take back',
] as const;

/** The uid in the query of a preview. Throws `request-invalid`. */
export function parsePreview(query: unknown): { uid: string } {
  return parseBody('removal', removalRequestSchema.pick({ uid: true }), query);
}

/** Throws `request-invalid`. */
export function parseRemoval(body: unknown): RemovalRequest {
  return parseBody('removal', removalRequestSchema, body);
}
