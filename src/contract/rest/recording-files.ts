/** The files of a recording: what they are, and where they lie. Times are Unix milliseconds. */
import { z } from 'zod';
import { OBJECT_STATES } from '../line/objects.ts';

export const FILE_KINDS = ['playlist', 'slice', 'mp4', 'snapshot', 'document', 'speakers'] as const;

export const recordingFilesReplySchema = z.object({
  place: z.object({ vendor: z.int(), region: z.int(), bucket: z.string() }).nullable().meta({
    description: 'The store; null in a recording of a version that did not keep it.',
  }),
  served: z.boolean().meta({
    description: 'Whether …/files/{name} has them: those of storage vendor 1000, in the server’s own folder.',
  }),
  files: z.array(
    z.object({
      name: z.string(),
      kind: z.enum(FILE_KINDS),
      key: z.string().meta({ description: 'Under which name it lies in its store.' }),
      bytes: z.int(),
      state: z.enum(OBJECT_STATES).meta({
        description:
          'waiting: for its store; stored: as the store has proved; accepted: by its word alone; backup: in the backup store; lost; gaveUp: it stays in the backup store; deleted: by retention or a call, and nowhere any more.',
      }),
      sha256: z.string().nullable(),
      startMs: z.number().nullable().meta({ description: 'When it begins, Unix milliseconds, where that is known.' }),
      durationMs: z.number().nullable(),
      deletedMs: z.number().nullable().meta({ description: 'When it was deleted.' }),
    }),
  ),
  more: z.int().meta({ description: 'How many there are beyond those listed.' }),
});
export type RecordingFilesReply = z.infer<typeof recordingFilesReplySchema>;
