/**
 * Stereo: which users of a composite are heard on the left, which on the right and which on both. Beyond the wire
 * contract.
 */
import { z } from 'zod';

export const sideSchema = z.enum(['left', 'right', 'both']);
export type Side = z.infer<typeof sideSchema>;

export const stereoSchema = z.object({
  left: z.array(z.string()),
  right: z.array(z.string()),
  /** Where users are heard who are on neither list. */
  others: sideSchema,
});
export type Stereo = z.infer<typeof stereoSchema>;

/** Where `uid` is heard; on both sides without a Stereo. */
export function sideOf(stereo: Stereo | undefined, uid: string): Side {
  if (!stereo) return 'both';
  if (stereo.left.includes(uid)) return 'left';
  return stereo.right.includes(uid) ? 'right' : stereo.others;
}
