/**
 * The work of a process that takes one user's track out of a file of every speaker. Handed to it as JSON on standard
 * input.
 */
import { z } from 'zod';

export const withoutSpeakerCommandSchema = z.object({
  input: z.string().min(1),
  /** Must not exist; its folder does. */
  output: z.string().min(1),
  uid: z.string().regex(/^\d{1,10}$/),
});
export type WithoutSpeakerCommand = z.infer<typeof withoutSpeakerCommandSchema>;
