/** What a run keeps of how its controller of overload stands, for a later run on the same host. */
import { z } from 'zod';

export const overloadStateSchema = z.object({
  /** For how long it must be in time before it tries the rung above, microseconds. */
  upAfterUs: z.number().positive(),
  /** When it tried one that may still fail, monotonic microseconds; absent when it did not. */
  wentUpUs: z.number().optional(),
});
export type OverloadState = z.infer<typeof overloadStateSchema>;
