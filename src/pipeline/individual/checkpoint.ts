/**
 * The checkpoint of a recording of single users: what its files and the feed do not say, for a run that goes on with
 * it.
 */
import { z } from 'zod';
import { channelStateSchema } from '../../contract/line/channel-state.ts';

export const individualCheckpointSchema = z.object({
  version: z.literal(1),
  mode: z.literal('individual'),
  channel: channelStateSchema,
  users: z.array(
    z.object({
      uid: z.string(),
      /** How the picture that is written now is to be turned, degrees anticlockwise. */
      rotate: z.union([z.literal(0), z.literal(90), z.literal(180), z.literal(270)]),
    }),
  ),
});
export type IndividualCheckpoint = z.infer<typeof individualCheckpointSchema>;
