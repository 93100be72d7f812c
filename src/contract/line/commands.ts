/**
 * Commands: what the control process tells a recorder. Sent as JSON over the child's IPC channel.
 */
import { z } from 'zod';
import { planSchema } from './plan.ts';

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

export const commandSchema = z.discriminatedUnion('type', [
  startCommandSchema,
  /** Leave the channel, finish the files, send `ended`, exit with 0. */
  z.object({ type: z.literal('stop'), atMonoUs: z.number() }),
  /** Answered by a `pong` of the same number. */
  z.object({ type: z.literal('ping'), n: z.int() }),
]);
export type Command = z.infer<typeof commandSchema>;
export type StartCommand = z.infer<typeof startCommandSchema>;
