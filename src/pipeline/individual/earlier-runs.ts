/** What earlier runs of a recording left on the spool, by user and row, for the run that goes on with it. */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { withoutFailover } from '../../media/failover-names.ts';
import type { Segment, SpooledFile } from '../../media/segment.ts';
import { readSliceName } from '../../stages/mux/names.ts';
import { readRuns } from '../../stages/spool/recording-spool.ts';
import type { IndividualCheckpoint } from './checkpoint.ts';
import type { RowType } from './file-sink.ts';
import type { PastSlice } from './row-end.ts';
import { readTakenOver, rowKeyOf, rowOf, type TakenRow } from './taken-over.ts';
import type { PastRowFiles, UserPast } from './user-files.ts';

export type EarlierRuns = {
  users: Map<string, UserPast>;
  /** How many files earlier runs finished. */
  files: number;
};

type Found = { finished: { dir: string; file: Segment }[]; torn: PastSlice[]; taken: TakenRow | undefined };

/**
 * Reads the folders of earlier runs, oldest first.
 * @param zeroUtcMs UTC of the recording's zero
 * @param checkpoint of the last of them
 * @param ownNames whether this run has names and playlists of its own
 * Throws a Fault when a folder cannot be read.
 */
export async function readEarlierRuns(
  dirs: readonly string[],
  zeroUtcMs: number,
  checkpoint: IndividualCheckpoint | undefined,
  ownNames: boolean,
): Promise<EarlierRuns> {
  const { files } = await readRuns(dirs);
  const rows = new Map<string, Map<RowType, Found>>();
  const foundOf = (uid: string, type: RowType): Found => {
    const user = rows.get(uid) ?? new Map<RowType, Found>();
    rows.set(uid, user);
    const found = user.get(type) ?? { finished: [], torn: [], taken: undefined };
    user.set(type, found);
    return found;
  };
  for (const { dir, file } of files) {
    const row = rowOf(file.name);
    if (row && file.type === 'slice') foundOf(row.uid, row.type).finished.push({ dir, file });
  }
  const known = new Set(files.map(({ file }) => withoutFailover(file.name)));
  for (const slice of await unfinished(dirs, known)) {
    const row = rowOf(slice.name);
    if (row) foundOf(row.uid, row.type).torn.push(slice);
  }
  for (const taken of (await readTakenOver(dirs, zeroUtcMs)).values()) {
    const row = taken.slices[0] && rowOf(taken.slices[0].name);
    if (row) foundOf(row.uid, row.type).taken = taken;
  }
  const users = new Map<string, UserPast>();
  for (const [uid, found] of rows) {
    const rotate = checkpoint?.users.find((user) => user.uid === uid)?.rotate ?? 0;
    const past = new Map(
      [...found].map(([type, row]) => [type, { ...pastOf(row, zeroUtcMs, ownNames), rotate }] as const),
    );
    users.set(uid, { rows: past, snapshotUs: undefined });
  }
  for (const [uid, snapshotUs] of snapshotsOf(
    files.map(({ file }) => file),
    zeroUtcMs,
  ))
    users.set(uid, { rows: users.get(uid)?.rows ?? new Map(), snapshotUs });
  return { users, files: files.length };
}

/** Slices that no journal lists. When several runs wrote to one, the version that got furthest. */
async function unfinished(dirs: readonly string[], known: ReadonlySet<string>): Promise<PastSlice[]> {
  const best = new Map<string, { slice: PastSlice; bytes: number }>();
  for (const dir of dirs)
    for (const name of await readdir(dir)) {
      const plain = withoutFailover(name.replace(/\.part$/, ''));
      const utcMs = readSliceName(plain)?.startUtcMs;
      if (utcMs === undefined || known.has(plain)) continue;
      const { size: bytes } = await stat(join(dir, name));
      // The run was killed between renaming the file and noting it: the file is whole, but has not been told of.
      if (bytes > (best.get(plain)?.bytes ?? 0)) best.set(plain, { slice: { dir, name, utcMs, isTorn: true }, bytes });
    }
  const slices = [...best.values()].map(({ slice }) => slice).sort((a, b) => a.utcMs - b.utcMs);
  // A run begins the next slice of a row when it has ended the one before.
  return slices.map((slice, n) => {
    const isEnded = slices.slice(n + 1).some((next) => next.dir === slice.dir && isOfSameRow(next, slice));
    return isEnded ? { ...slice, isEnded } : slice;
  });
}

function isOfSameRow(a: PastSlice, b: PastSlice): boolean {
  return rowKeyOf(a.name) === rowKeyOf(b.name);
}

function pastOf({ finished, torn, taken }: Found, zeroUtcMs: number, ownNames: boolean): Omit<PastRowFiles, 'rotate'> {
  finished.sort((a, b) => a.file.startUtcMs - b.file.startUtcMs);
  const last = finished.at(-1);
  const endUs = last && (last.file.startUtcMs - zeroUtcMs) * 1000 + last.file.durationUs;
  // A slice that was left behind while its row went on is for the repair of the whole recording.
  const newest = torn.filter(({ utcMs }) => !last || utcMs > last.file.startUtcMs);
  const whole = last && { dir: last.dir, name: last.file.name, utcMs: last.file.startUtcMs, isTorn: false };
  // What a standby made is written again from where files of this node end, and before there are any from the store.
  const storedUs = taken && (endUs ?? taken.storedUs);
  const ofStandby = (taken?.slices ?? []).filter(
    ({ ofStandby: file }) => !file || storedUs === undefined || endMsOf(file) > zeroUtcMs + storedUs / 1000,
  );
  return {
    nextIndex: last && !ownNames ? last.file.index + 1 : 0,
    taken: finished.map(({ file }) => Math.trunc(file.startUtcMs)),
    endUs: endUs ?? storedUs,
    goesOn: !ownNames,
    torn: [...ofStandby, ...newest].sort((a, b) => a.utcMs - b.utcMs),
    storedUs,
    finished: whole,
  };
}

function endMsOf({ startUtcMs, durationUs }: Segment): number {
  return startUtcMs + durationUs / 1000;
}

/** When the last snapshot of each user was taken, microseconds of the recording. */
function snapshotsOf(files: readonly SpooledFile[], zeroUtcMs: number): Map<string, number> {
  const last = new Map<string, number>();
  for (const file of files)
    if (file.type === 'snapshot')
      last.set(file.uid, Math.max(last.get(file.uid) ?? 0, (file.startUtcMs - zeroUtcMs) * 1000));
  return last;
}
