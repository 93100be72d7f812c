/** What a run keeps of who speaks, for a later run that goes on from there. */
import { z } from 'zod';

/** Levels are in dBFS; everything else counts windows of sound. */
const voiceSchema = z.object({
  uid: z.string(),
  levelDb: z.number(),
  speaking: z.int(),
  silent: z.int(),
  louder: z.int(),
});

export const activeSpeakerStateSchema = z.object({
  /** The first window that has not been decided. */
  next: z.int(),
  /** Sums of squares of the sound heard in later windows. */
  energies: z.array(z.object({ window: z.int(), users: z.array(z.tuple([z.string(), z.number()])) })),
  voices: z.array(voiceSchema),
  recent: z.array(z.string()),
  held: z.int(),
});
export type ActiveSpeakerState = z.infer<typeof activeSpeakerStateSchema>;
