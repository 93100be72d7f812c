/** What a composite recording's run keeps in its checkpoint, for a run that may have to go on from it. */
import { z } from 'zod';
import { activeSpeakerStateSchema } from '../../contract/line/active-speaker-state.ts';
import { channelStateSchema } from '../../contract/line/channel-state.ts';
import { overloadStateSchema } from '../../contract/line/overload-state.ts';
import { rungSchema } from '../../contract/line/rungs.ts';
import { shownImagesStateSchema } from '../../contract/line/shown-images-state.ts';
import { soundMixerStateSchema } from '../../contract/line/sound-mixer-state.ts';

/** A moment of the recording: the next frame and the next sample, counted from where its files begin. */
const momentMembers = { frame: z.int(), sample: z.int() };

export const mixCheckpointSchema = z.object({
  version: z.literal(1),
  mode: z.literal(['mix', 'web']),
  /** Where the files begin, microseconds of the recording. */
  originUs: z.number(),
  /** Where this run's files begin, and whether they continue an earlier run's. */
  begun: z.object({ ...momentMembers, continues: z.boolean() }),
  /**
   * Only of a web page: how much of the recording before `heldAtUs` was on hold and is in no file, microseconds.
   * Without `heldAtUs` (in checkpoints of an earlier version) nothing more was on hold until the next run.
   */
  heldUs: z.number().optional(),
  heldAtUs: z.number().optional(),
  /** What is taken from the picture; absent in a recording without one, and of the version before. */
  rung: rungSchema.optional().catch(undefined),
  /** Absent likewise. */
  overload: overloadStateSchema.optional(),
  /** All that is needed to go on from a moment; absent before there is one. */
  moment: z
    .object({
      ...momentMembers,
      /** How much of the recording before the moment was on hold, samples; the moment may lie within a hold. */
      heldSamples: z.int().optional(),
      channel: channelStateSchema,
      mixer: soundMixerStateSchema.optional(),
      speaker: activeSpeakerStateSchema.optional(),
      /** Absent without a picture, and in checkpoints of an earlier version. */
      images: shownImagesStateSchema.optional(),
    })
    .optional(),
});
export type MixCheckpoint = z.infer<typeof mixCheckpointSchema>;
export type MixMoment = NonNullable<MixCheckpoint['moment']>;
