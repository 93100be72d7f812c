/**
 * The work of a process that mixes a recording of single users: which slices, who of them, and how it is drawn and
 * heard. Handed to it as JSON on standard input.
 */
import { z } from 'zod';
import { manifestSchema } from './manifest.ts';
import { audioPlanSchema, videoPlanSchema } from './plan.ts';
import { stereoSchema } from './stereo.ts';

export const mixCommandSchema = z.object({
  /** Where the MP4 is written, a bare name in it; the folder exists. */
  dir: z.string().min(1),
  name: z.string().regex(/^[^/\\]+\.mp4$/),
  /** Where the slices lie, under their own names. */
  slicesDir: z.string().min(1),
  manifest: manifestSchema,
  /** Names of slices that are not there. */
  missing: z.array(z.string()),
  /** Only these users; all when absent. */
  uids: z.array(z.string()).optional(),
  /** The part that is mixed, microseconds of the recording. */
  fromUs: z.number(),
  toUs: z.number(),
  /** Absent when there is to be no picture, or no sound. */
  video: videoPlanSchema.optional(),
  audio: audioPlanSchema.optional(),
  stereo: stereoSchema.optional(),
});
export type MixCommand = z.infer<typeof mixCommandSchema>;
