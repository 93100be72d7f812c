/**
 * Completes the spool folder of a recording that is over: repairs what a crash left, then makes what is made of the whole.
 * Safe to run again; what is there is left alone.
 */
import { z } from 'zod';
import { makeExtras } from './individual/extras.ts';
import { repairSpool } from './repair.ts';

const workSchema = z.object({
  mp4: z.object({ durationMs: z.number().positive(), bytes: z.number().positive() }).optional(),
  extras: z.object({ sid: z.string(), cname: z.string(), mp4: z.boolean(), manifest: z.boolean() }).optional(),
});

/** Names of what was added to the journal. Throws a Fault when the folder cannot be read or written, a ZodError for other work. */
export async function completeSpool(dir: string, work: unknown): Promise<string[]> {
  const { mp4, extras } = workSchema.parse(work);
  const repaired = await repairSpool(dir, { mp4 });
  return extras ? [...repaired, ...(await makeExtras(dir, extras))] : repaired;
}
