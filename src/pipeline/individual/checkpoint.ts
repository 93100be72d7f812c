/**
 * The checkpoint of a recording of single users: what a run that goes on with it finds neither in its files nor in the
 * feed.
 */
import { z } from 'zod';
import { channelStateSchema } from '../../contract/line/channel-state.ts';

export const individualCheckpointSchema = z.object({
  version: z.literal(1),
  mode: z.literal('individual'),
  channel: channelStateSchema,
  /** Those whose picture is turned; who is not named here is upright. */
  users: z.array(
    z.object({
      uid: z.string(),
      /** How players must turn the picture that is written now, degrees anticlockwise. */
      rotate: z.union([z.literal(0), z.literal(90), z.literal(180), z.literal(270)]),
    }),
  ),
});
export type IndividualCheckpoint = z.infer<typeof individualCheckpointSchema>;
