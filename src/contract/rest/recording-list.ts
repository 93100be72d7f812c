/** The list of an app's recordings: what may be asked for, and what is answered. Times are Unix milliseconds. */
import { z } from 'zod';
import { QUALITY_MARKS } from '../line/quality-mark.ts';
import { MODES } from './fields.ts';
import { STATUSES } from './query.ts';

/**
 * `running`: it records, or is about to stop; `uploading`: it has stopped, and files are still being stored; `ended`:
 * all is done; `failed`: a failure ended it, whatever has become of its files.
 */
export const RECORDING_STATES = ['running', 'uploading', 'ended', 'failed'] as const;

const LIMIT = { otherwise: 50, most: 200 };
const MAX_SEARCH = 200;
/** A moment and a sid: where the page before ended. */
const CURSOR = /^\d{1,15}\.[0-9a-f]{1,64}$/;

const numeral = (least: number, most: number) =>
  z
    .string()
    .regex(/^\d{1,15}$/)
    .transform(Number)
    .pipe(z.int().min(least).max(most));
/** A database keeps no U+0000. */
const text = (most: number) =>
  z
    .string()
    .min(1)
    .max(most)
    .refine((value) => !value.includes('\0'));

export const recordingListQuerySchema = z.object({
  mode: z.enum(MODES).optional(),
  state: z.enum(RECORDING_STATES).optional(),
  cname: text(1024).optional(),
  search: text(MAX_SEARCH).optional(),
  from: numeral(0, Number.MAX_SAFE_INTEGER).optional(),
  until: numeral(0, Number.MAX_SAFE_INTEGER).optional(),
  before: z.string().regex(CURSOR).optional(),
  limit: numeral(1, LIMIT.most).default(LIMIT.otherwise),
});
export type RecordingListQuery = z.infer<typeof recordingListQuerySchema>;

/** What each parameter may be, in words. */
export const RECORDING_LIST_WORDS: Record<keyof RecordingListQuery, string> = {
  mode: MODES.join(', '),
  state: RECORDING_STATES.join(', '),
  cname: 'a channel name',
  search: `a text of 1 to ${MAX_SEARCH} characters`,
  from: 'a moment in Unix milliseconds',
  until: 'a moment in Unix milliseconds',
  before: 'a position, as an earlier answer has it in `next`',
  limit: `a whole number from 1 to ${LIMIT.most}`,
};

const unixMs = (description: string) => z.int().meta({ description: `${description} Unix milliseconds.` });

/** Which node stands by for a running recording (ADR 0037). */
export const standbySchema = z
  .object({
    node: z.string().meta({ description: 'The name of the node that stands by.' }),
    sinceMs: unixMs('Since when it stands by.').nullable(),
    protectedMs: unixMs('Since when it has all that the store has not; null until then.').nullable(),
  })
  .nullable()
  .meta({ description: 'The hot standby of a running recording; null where there is none.' });

export const listedRecordingSchema = z.object({
  sid: z.string(),
  resourceId: z.string(),
  cname: z.string(),
  uid: z.string(),
  mode: z.enum(MODES),
  status: z.literal(STATUSES).meta({ description: 'As in query.' }),
  phase: z.string().meta({ description: 'new, recording, stopping, uploading or ended.' }),
  healthy: z.boolean().meta({ description: 'False once a failure has ended it.' }),
  onhold: z.boolean().meta({ description: 'Whether nothing is recorded for now.' }),
  standby: standbySchema,
  ending: z.string().nullable().meta({ description: 'Why it ended, in words; null while it has not.' }),
  startedMs: unixMs('When it was started.'),
  endedMs: unixMs('When it ended and all was stored.').nullable(),
  lengthMs: z.int().nullable().meta({
    description: 'How much its files hold, milliseconds; null while it records, and where there is no report.',
  }),
  files: z.int().meta({ description: 'How many files it has, slices and playlists among them.' }),
  bytes: z.int().meta({ description: 'Their size together.' }),
  waiting: z.int().meta({ description: 'How many of them are not in the store yet.' }),
  uploadedTo: z.enum(['uploaded', 'backuped', 'unknown']).nullable().meta({
    description: 'Where the files are: all in the store, some in the backup store, or not proved. Null before.',
  }),
  mark: z.enum(QUALITY_MARKS).nullable().meta({
    description: 'What the quality report says in one word; null while it records, and where there is none.',
  }),
  warnings: z.int().meta({ description: 'How much of its requests does not do what it seems to.' }),
  events: z.int().meta({ description: 'How many events it has told.' }),
});
export type ListedRecordingReply = z.infer<typeof listedRecordingSchema>;

export const recordingListReplySchema = z.object({
  recordings: z.array(listedRecordingSchema),
  next: z.string().nullable().meta({ description: 'What to ask for as `before` next; null at the end.' }),
});
export type RecordingListReply = z.infer<typeof recordingListReplySchema>;
