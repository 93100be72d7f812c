/**
 * Completes the spool folder of a recording that is over: repairs what a crash left, then makes what is made of the
 * whole. It may run again: finished files are left alone.
 */
import { readdir, rm, stat, truncate } from 'node:fs/promises';
import { join } from 'node:path';
import { type CompleteCommand, completeCommandSchema } from '../contract/line/complete.ts';
import { isOutOfRoom, messageOf } from '../kernel/fault.ts';
import { gatherRuns } from '../stages/spool/gather-runs.ts';
import { readRuns } from '../stages/spool/recording-spool.ts';
import { makeExtras } from './individual/extras.ts';
import { repairSpool } from './repair.ts';
import { amendReport } from './report/amend-report.ts';

const workSchema = completeCommandSchema.omit({ spoolDir: true, earlierDirs: true });

/**
 * Completes a recording in the folder of one more run, from what the runs before it left; otherwise as `completeSpool`.
 * When the disk has no room, its unfinished files are removed, so that they take none.
 */
export async function completeRecording(command: unknown): Promise<string[]> {
  const { spoolDir, ...work } = completeCommandSchema.parse(command);
  try {
    return await completeWithRoom(spoolDir, work);
  } catch (error) {
    // Files of earlier runs are linked into this folder, and stay where they are.
    if (isOutOfRoom(error))
      for (const name of await readdir(spoolDir)) if (name.endsWith('.part')) await rm(join(spoolDir, name));
    throw error;
  }
}

/**
 * When the disk has no room, it empties torn MP4s and torn files of all speakers, which are both made again from the
 * slices.
 */
async function completeWithRoom(
  spoolDir: string,
  { earlierDirs, ...work }: Omit<CompleteCommand, 'spoolDir'>,
): Promise<string[]> {
  const complete = async () => {
    await gatherRuns(spoolDir, earlierDirs);
    return completeSpool(spoolDir, work);
  };
  try {
    return await complete();
  } catch (error) {
    if (!isOutOfRoom(error) || !(await emptyTorn(earlierDirs))) throw error;
    for (const name of await readdir(spoolDir)) await rm(join(spoolDir, name), { recursive: true });
    return complete();
  }
}

/** Whether that made any room. The files themselves stay, because other folders have links to them. */
async function emptyTorn(dirs: readonly string[]): Promise<boolean> {
  const { files } = await readRuns(dirs);
  if (!files.some(({ file }) => file.type === 'slice')) return false;
  let made = false;
  for (const dir of dirs)
    for (const name of await readdir(dir)) {
      if (!/\.(mp4|mka)\.part$/.test(name) || (await stat(join(dir, name))).size === 0) continue;
      await truncate(join(dir, name));
      made = true;
    }
  return made;
}

/**
 * Names of what was added to the journal. Throws a Fault when the folder cannot be read or written, a ZodError when
 * `work` is invalid.
 */
export async function completeSpool(dir: string, work: unknown): Promise<string[]> {
  const { mp4, firstMp4, lacks = [], extras } = workSchema.parse(work);
  const problems = new Map(lacks.map((what) => [what, 1]));
  const onProblem = (what: string) => void problems.set(what, (problems.get(what) ?? 0) + 1);
  try {
    const repaired = await repairSpool(dir, { mp4, firstMp4, onProblem });
    return extras ? [...repaired, ...(await makeExtras(dir, { ...extras, firstMp4 }, onProblem))] : repaired;
  } finally {
    if (problems.size > 0) await tell(dir, problems);
  }
}

/** Says in the report what the files lack, and tells the server, which logs it. */
async function tell(dir: string, problems: ReadonlyMap<string, number>): Promise<void> {
  const told = [...problems].map(([what, count]) => ({ what, count }));
  for (const { what, count } of told) process.stderr.write(`${what}${count > 1 ? ` (${count} times)` : ''}\n`);
  await amendReport(dir, told).catch((error) =>
    process.stderr.write(`the quality report does not say so: ${messageOf(error)}\n`),
  );
}
