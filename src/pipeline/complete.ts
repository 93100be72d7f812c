/**
 * Completes the spool folder of a recording that is over: repairs what a crash left, then makes what is made of the
 * whole. Safe to run again; what is there is left alone.
 */
import { completeCommandSchema } from '../contract/line/complete.ts';
import { gatherRuns } from '../stages/spool/gather-runs.ts';
import { makeExtras } from './individual/extras.ts';
import { repairSpool } from './repair.ts';

const workSchema = completeCommandSchema.pick({ mp4: true, extras: true });

/** Completes a recording in the folder of one more run, from what the runs before it left. As `completeSpool` else. */
export async function completeRecording(command: unknown): Promise<string[]> {
  const { spoolDir, earlierDirs, ...work } = completeCommandSchema.parse(command);
  await gatherRuns(spoolDir, earlierDirs);
  return completeSpool(spoolDir, work);
}

/**
 * Names of what was added to the journal. Throws a Fault when the folder cannot be read or written, a ZodError for
 * other work.
 */
export async function completeSpool(dir: string, work: unknown): Promise<string[]> {
  const { mp4, extras } = workSchema.parse(work);
  const repaired = await repairSpool(dir, { mp4 });
  return extras ? [...repaired, ...(await makeExtras(dir, extras))] : repaired;
}
