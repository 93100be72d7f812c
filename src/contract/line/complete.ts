/**
 * The work of a run that completes a recording: what is repaired, and what is made of the whole once the recording is
 * over. Handed to the process as JSON on standard input.
 */
import { z } from 'zod';

const limitSchema = z.object({ durationMs: z.number().positive(), bytes: z.number().positive() });

export const completeCommandSchema = z.object({
  /** Folder that this run owns. Exists already. */
  spoolDir: z.string().min(1),
  /** Folders of the runs before this one, oldest first. They are read and never written. */
  earlierDirs: z.array(z.string().min(1)),
  /** Where an MP4 of all users ends; absent when none is to be made. */
  mp4: limitSchema.optional(),
  /** What is made after the end of a recording of single users. */
  extras: z
    .object({
      sid: z.string(),
      cname: z.string(),
      mp4: z.boolean(),
      /** Where an MP4 of a user ends. Absent means nowhere. */
      mp4Limit: limitSchema.optional(),
      /** Absent means false. */
      speakers: z.boolean().optional(),
      manifest: z.boolean(),
    })
    .optional(),
});
export type CompleteCommand = z.infer<typeof completeCommandSchema>;

/** The exit code of that process when the disk had no room for what it makes (EX_CANTCREAT of sysexits.h). */
export const NO_ROOM_EXIT = 73;
