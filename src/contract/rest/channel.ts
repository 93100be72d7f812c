/** The answer to GET /v1/apps/{appid}/aircheck/channels/{cname}: who is in a channel and what they send. */
import { z } from 'zod';
import { unixMs } from './fields.ts';

const streamFields = {
  receiving: z.boolean().meta({ description: 'Whether packets came within the last seconds.' }),
  packets: z.int(),
  bytes: z.int().meta({ description: 'Bytes of payload.' }),
  bitrateKbps: z.number(),
  lost: z.int().meta({ description: 'Packets that never came.' }),
  jitterMs: z.number(),
};

const participantSchema = z.object({
  uid: z.string(),
  joinedAtMs: unixMs('When the session began.'),
  recorder: z.boolean().meta({ description: 'True of a recorder, which is there for as long as it records.' }),
  sessionId: z.string().optional().meta({ description: 'The WHIP session; absent of a recorder.' }),
  remoteAddress: z.string().optional().meta({ description: 'Where media comes from; absent before it is known.' }),
  tracks: z.array(
    z.object({
      kind: z.enum(['audio', 'video']),
      codec: z.enum(['opus', 'pcmu', 'pcma', 'h264', 'vp8', 'vp9', 'av1']),
      ...streamFields,
      audioLevelDbov: z.int().min(-127).max(0).optional().meta({
        description: 'The loudest of the last second, 0 to -127 (silent); absent where the sender does not say it.',
      }),
      layers: z
        .array(
          z.object({
            rid: z.string().optional(),
            width: z.int().optional(),
            height: z.int().optional(),
            ...streamFields,
          }),
        )
        .optional()
        .meta({ description: 'The streams of a simulcast; the figures of the track are those of all together.' }),
    }),
  ),
});

export const channelReplySchema = z.object({ cname: z.string(), participants: z.array(participantSchema) });
export type ChannelReply = z.infer<typeof channelReplySchema>;
