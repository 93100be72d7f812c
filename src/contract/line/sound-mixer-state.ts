/**
 * What a sound mixer holds at one moment, in a form that can be kept in a file.
 */
import { z } from 'zod';
import { sideSchema } from './stereo.ts';

/** 32-bit floats, little endian, in base64; one text per channel. */
const samples = z.array(z.base64());

export const soundMixerStateSchema = z.object({
  /** The next sample to be handed over, counted from the recording's zero. */
  position: z.int(),
  /** The sound that was added from there on. */
  ahead: samples,
  limiterGain: z.number().optional(),
  voices: z.array(
    z.object({
      uid: z.string(),
      end: z.number(),
      tail: samples,
      released: z.boolean(),
      cut: z.boolean(),
      /** Checkpoints of earlier versions have no side. */
      side: sideSchema.default('both'),
    }),
  ),
});
export type SoundMixerState = z.infer<typeof soundMixerStateSchema>;
