/**
 * The work of a run that completes a recording: what is repaired, and what is made of the whole once the recording is
 * over. Handed to the process as JSON on standard input.
 */
import { z } from 'zod';
import { spooledFileSchema } from './facts.ts';

const limitSchema = z.object({ durationMs: z.number().positive(), bytes: z.number().positive() });

export const completeCommandSchema = z.object({
  /** Folder that this run owns. Exists already. */
  spoolDir: z.string().min(1),
  /** Folders of the runs before this one, oldest first. They are read and never written. */
  earlierDirs: z.array(z.string().min(1)),
  /** Where an MP4 of all users ends; absent when none is to be made. */
  mp4: limitSchema.optional(),
  /** Number of the first MP4 that is made here, where another node has recorded before; 0 when absent. */
  firstMp4: z.int().min(0).optional(),
  /** What the recording lacks, in words: its report says so. */
  lacks: z.array(z.string()).optional(),
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
      /** What other nodes recorded: it lies in the store or on their disks, and the manifest names it. */
      elsewhere: z.array(spooledFileSchema).optional(),
    })
    .optional(),
});
export type CompleteCommand = z.infer<typeof completeCommandSchema>;

/** The exit code of that process when the disk had no room for what it makes (EX_CANTCREAT of sysexits.h). */
export const NO_ROOM_EXIT = 73;
