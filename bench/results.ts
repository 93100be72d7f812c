/**
 * Results: the figures of a run of the bench in a file, and what became worse since. Read by `--compare`, written by
 * `--json`; those of the repository lie in docs/reference/bench.
 */
import { accessSync, constants, readFileSync, statSync, writeFileSync } from 'node:fs';
import { dirname } from 'node:path';
import { z } from 'zod';
import { messageOf } from '../src/kernel/fault.ts';
import { type Figure, passes, valueText } from './measure.ts';

/** JSON has no number for what was not measured. */
const number = z.union([z.number(), z.null().transform(() => Number.NaN)]);
const resultsSchema = z.object({
  command: z.string(),
  /** ISO 8601, UTC. */
  date: z.string(),
  /** What was measured; `+` behind it says that files were changed since. */
  commit: z.string(),
  machine: z.string(),
  figures: z.array(
    z.object({
      what: z.string(),
      value: number,
      unit: z.string(),
      goal: z.object({ atLeast: z.number().optional(), atMost: z.number().optional() }),
      detail: z.string(),
    }),
  ),
});
export type Results = Omit<z.infer<typeof resultsSchema>, 'figures'> & { figures: Figure[] };

/** What is worse by no more than this share counts as the same. */
const TOLERANCE = 0.1;

/** Throws an Error in words when the file cannot be read, or is none of ours. */
export function readResults(path: string): Results {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (cause) {
    throw new Error(`${path} cannot be read: ${messageOf(cause)}`, { cause });
  }
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (cause) {
    throw new Error(`${path} holds no results of the bench: it is not JSON`, { cause });
  }
  const parsed = resultsSchema.safeParse(json);
  if (!parsed.success) throw new Error(`${path} holds no results of the bench: ${z.prettifyError(parsed.error)}`);
  return parsed.data as Results;
}

/** Throws an Error in words when results could not be written there. The file itself stays as it is. */
export function checkWritable(path: string): void {
  try {
    const found = statSync(path, { throwIfNoEntry: false });
    if (found?.isDirectory()) throw new Error('it is a folder');
    accessSync(found ? path : dirname(path), constants.W_OK);
  } catch (cause) {
    throw new Error(`results cannot be written to ${path}: ${messageOf(cause)}`, { cause });
  }
}

export function writeResults(path: string, results: Results): void {
  writeFileSync(path, `${JSON.stringify(results, null, 2)}\n`);
}

/** How many figures both runs have: where there are none, nothing can be said of the one by the other. */
export function inBoth(before: readonly Figure[], now: readonly Figure[]): number {
  const earlier = new Set(before.map(({ what }) => what));
  return now.filter(({ what }) => earlier.has(what)).length;
}

/**
 * Says of each figure that both runs have whether it became worse by more than a tenth: further up where the goal is a
 * most, further down where it is a least, and out of its range where it has one. What is no longer measured is worse.
 */
export function worseThan(before: readonly Figure[], now: readonly Figure[]): string[] {
  const earlier = new Map(before.map((figure) => [figure.what, figure]));
  return now.flatMap((figure) => {
    const was = earlier.get(figure.what);
    if (!was || !Number.isFinite(was.value) || !isWorse(was, figure)) return [];
    return [`${figure.what}: ${valueText(figure)}, was ${valueText(was)}`];
  });
}

function isWorse(was: Figure, now: Figure): boolean {
  if (!Number.isFinite(now.value)) return true;
  const { atLeast, atMost } = now.goal;
  if (atLeast !== undefined && atMost !== undefined) return passes({ ...was, goal: now.goal }) && !passes(now);
  const growth = now.value - was.value;
  return (atMost === undefined ? -growth : growth) > TOLERANCE * Math.abs(was.value);
}
