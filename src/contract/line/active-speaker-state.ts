/**
 * What a run keeps of who speaks, for one that goes on from it.
 */
import { z } from 'zod';

/** Levels in dBFS; all else counts windows of sound. */
const voiceSchema = z.object({
  uid: z.string(),
  levelDb: z.number(),
  speaking: z.int(),
  silent: z.int(),
  louder: z.int(),
});

export const activeSpeakerStateSchema = z.object({
  /** The first window that is not decided on. */
  next: z.int(),
  /** Sums of squares of what was heard of later ones. */
  energies: z.array(z.object({ window: z.int(), users: z.array(z.tuple([z.string(), z.number()])) })),
  voices: z.array(voiceSchema),
  recent: z.array(z.string()),
  held: z.int(),
});
export type ActiveSpeakerState = z.infer<typeof activeSpeakerStateSchema>;
