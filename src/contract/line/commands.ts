/**
 * Commands: what the control process tells a recorder. Sent as JSON over the child's IPC channel.
 */
import { z } from 'zod';
import { layoutSchema, planSchema, subscriptionSchema } from './plan.ts';

export const startCommandSchema = z.object({
  type: z.literal('start'),
  plan: planSchema,
  /** Path of the unix socket that serves this recording's feed (`feed.ts`). */
  feedPath: z.string().min(1),
  /** Folder that the recorder owns: finished files, the journal and nothing else. Exists already. */
  spoolDir: z.string().min(1),
  /** The recording's zero, as wall time (Unix milliseconds) and as the host's monotonic time (microseconds). */
  zeroUtcMs: z.number(),
  zeroMonoUs: z.number(),
});

/** Changes of a running recording, which hold from the frame of `atMonoUs` on. Each replaces the whole of what it names. */
export const changeCommandSchema = z.discriminatedUnion('type', [
  z.object({
    type: z.literal('changeLayout'),
    atMonoUs: z.number(),
    layout: layoutSchema,
    /** `#RRGGBB` */
    backgroundColor: z.string().regex(/^#[0-9a-fA-F]{6}$/),
  }),
  z.object({
    type: z.literal('changeSubscription'),
    atMonoUs: z.number(),
    subscribe: z.object({ audio: subscriptionSchema, video: subscriptionSchema }),
  }),
]);
export type ChangeCommand = z.infer<typeof changeCommandSchema>;

export const commandSchema = z.discriminatedUnion('type', [
  startCommandSchema,
  ...changeCommandSchema.options,
  /** Leave the channel, finish the files, send `ended`, exit with 0. */
  z.object({ type: z.literal('stop'), atMonoUs: z.number() }),
  /** Answered by a `pong` of the same number. */
  z.object({ type: z.literal('ping'), n: z.int() }),
]);
export type Command = z.infer<typeof commandSchema>;
export type StartCommand = z.infer<typeof startCommandSchema>;
