/**
 * Repairs the spool folder of a recorder that died: keeps what can be read of the slices that it was writing, one of
 * each stream, and makes MP4s from slices that no MP4 holds yet. It may run again: what is whole is left alone.
 */
import { readFile, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { withoutFailover } from '../media/failover-names.ts';
import type { Segment, SpooledFile, WholeFile } from '../media/segment.ts';
import type { FileLimit } from '../stages/mux/cut.ts';
import { mendSlice } from '../stages/mux/mend-slice.ts';
import { type RemuxOptions, remuxSlices } from '../stages/mux/mp4/remux-slices.ts';
import { mp4Name, mpdName, playlistName, readSliceName, userBaseName } from '../stages/mux/names.ts';
import { partPath } from '../stages/mux/spool-file.ts';
import { goesOnFrom } from '../stages/mux/ts/ts-units.ts';
import { Journal, readSpool } from '../stages/spool/journal.ts';

export type RepairOptions = {
  /** Where an MP4 of all users ends; undefined when the recording was to have none. */
  mp4: FileLimit | undefined;
  /** Number of the first MP4 of the recording's own name; 0 when left out. */
  firstMp4?: number | undefined;
  /** Something of the recording cannot go into an MP4, in words; it is left out. */
  onProblem?: ((what: string) => void) | undefined;
};

/** What was added to the journal, by name. Throws a Fault when the folder cannot be read or written. */
export async function repairSpool(dir: string, options: RepairOptions): Promise<string[]> {
  const { files, leftovers } = await readSpool(dir);
  const slices = files.filter((file) => file.type === 'slice');
  const torn = leftovers.map((name) => name.replace(/\.part$/, ''));
  // A file that was finished but not noted is treated like an unfinished one. What is made of the whole recording is
  // made again.
  for (const name of leftovers)
    if (readSliceName(name)) await rename(join(dir, name), partPath(join(dir, name)));
    else if (/\.(mp4|mka)$/.test(name)) await rm(join(dir, name), { force: true });
  const added: string[] = [];
  // A report that was cut off while it was written is useless.
  for (const name of leftovers) if (name.endsWith('.json.part')) await rm(join(dir, name), { force: true });
  const journal = await Journal.open(dir);
  try {
    for (const name of torn) {
      if (isSuperseded(name, slices)) {
        await rm(partPath(join(dir, name)), { force: true });
        continue;
      }
      const slice = await salvage(dir, name, slices, torn);
      if (!slice) continue;
      await journal.append(slice);
      slices.push(slice);
      added.push(slice.name);
    }
    const together = slices.filter(({ owner }) => owner === undefined).sort((a, b) => a.startUtcMs - b.startUtcMs);
    // Slices of another playlist have MP4s of their own.
    for (const [playlist, row] of Map.groupBy(together, (slice) => slice.playlist)) {
      const baseName = playlist.replace(/\.m3u8$/, '');
      const zeroUtcMs = together[0]!.startUtcMs;
      // Whoever has names of its own counts from 0.
      const firstIndex = withoutFailover(baseName) === baseName ? (options.firstMp4 ?? 0) : 0;
      const rest = remainderOf(files, row, { baseName, zeroUtcMs, firstIndex });
      if (!options.mp4 || !rest) continue;
      const made = await remuxSlices(
        row.map((slice) => join(dir, slice.name)),
        {
          ...{ dir, baseName, zeroUtcMs, limit: options.mp4, ...rest },
          nearUs: (startOf(row[0]!) - zeroUtcMs) * 1000,
          onRefused: options.onProblem,
          onFile: (file) => journal.append(file),
        },
      );
      added.push(...made.map((file) => file.name));
    }
    // Torn MP4s hold nothing that those made from slices lack, and cannot be read without their index.
    if (options.mp4 && together.length > 0)
      for (const name of leftovers) if (name.endsWith('.mp4.part')) await rm(join(dir, name), { force: true });
  } finally {
    await journal.close();
  }
  return added;
}

/**
 * The slices of all users of one playlist that are in none of its MP4s yet; undefined when all are.
 * @param zeroUtcMs where the slices of the whole recording begin
 */
function remainderOf(
  files: readonly SpooledFile[],
  slices: readonly Segment[],
  { baseName, zeroUtcMs, firstIndex }: { baseName: string; zeroUtcMs: number; firstIndex: number },
): Pick<RemuxOptions, 'firstIndex' | 'fromUs' | 'heldUs'> | undefined {
  const [first, last] = [slices[0], slices.at(-1)];
  if (!first || !last) return undefined;
  const newest = files
    .filter((file) => file.type === 'mp4')
    .filter((file) => file.name === mp4Name(baseName, file.index))
    .sort((a, b) => a.index - b.index)
    .at(-1);
  if (!newest) return { firstIndex, fromUs: undefined, heldUs: first.heldUs };
  const endMs = endOf(newest);
  if (endOf(last) - endMs < INTERRUPTION_MS) return undefined;
  const holding = slices.findLast((slice) => startOf(slice) <= endMs) ?? first;
  return { firstIndex: newest.index + 1, fromUs: Math.round((endMs - zeroUtcMs) * 1000), heldUs: holding.heldUs };
}

/** Where a file begins, as if the recording had never been on hold: files continue over a hold. Unix milliseconds. */
function startOf({ startUtcMs, heldUs = 0 }: Segment | WholeFile): number {
  return startUtcMs - heldUs / 1000;
}

/** Where it ends, likewise. */
function endOf(file: Segment | WholeFile): number {
  return startOf(file) + file.durationUs / 1000;
}

/** True for a torn slice of all users in whose place a later run made others. */
function isSuperseded(name: string, slices: readonly Segment[]): boolean {
  const parts = readSliceName(name);
  if (!parts || parts.user) return false;
  const fromMs = parts.startUtcMs;
  return slices.some(({ owner, startUtcMs, durationUs }) => {
    if (owner !== undefined) return false;
    return startUtcMs > fromMs || startUtcMs + durationUs / 1000 > fromMs + OVERHANG_MS;
  });
}

/** The last block of sound of a slice that was mended may reach into the next slice: by 21 ms at most. */
const OVERHANG_MS = 50;
/** Slices further apart than this had an interruption between them. */
const INTERRUPTION_MS = 500;

/** The slice that was being written, as far as it got; undefined when nothing of it can be used. */
async function salvage(
  dir: string,
  name: string,
  known: readonly Segment[],
  torn: readonly string[],
): Promise<Segment | undefined> {
  const parts = readSliceName(name);
  const mended = parts && (await mendSlice(dir, name));
  if (!parts || !mended) return undefined;
  const { startUtcMs } = parts;
  const stream = streamOf(name, known, torn);
  const before = known.filter(({ playlist }) => playlist === stream.playlist).sort((a, b) => a.index - b.index);
  const last = before.at(-1);
  const goesOn = last !== undefined && (await goesOnFromSlice(dir, last.name, name));
  const gapMs = last ? startUtcMs - (last.startUtcMs + last.durationUs / 1000) : 0;
  // Slices of all users continue over a hold; a single user's begin anew.
  const heldUs = last && !stream.owner && goesOn && gapMs > INTERRUPTION_MS ? Math.round(gapMs * 1000) : 0;
  const begins = !last || (gapMs > INTERRUPTION_MS && heldUs === 0);
  const heldSoFarUs = (last?.heldUs ?? 0) + heldUs;
  const size = mended.size;
  const lastSize = before.flatMap(({ rotations }) => rotations).at(-1);
  const isResized = size && (size.width !== lastSize?.width || size.height !== lastSize.height);
  // The rotation was lost with the recorder; the former one is assumed.
  const rotation = isResized && { ...size, rotate: lastSize?.rotate ?? 0, utcMs: startUtcMs };
  return {
    type: 'slice',
    name,
    playlist: stream.playlist,
    index: last ? last.index + 1 : 0,
    startUtcMs,
    durationUs: mended.endUs - mended.startUs,
    bytes: mended.bytes,
    ...(heldSoFarUs > 0 && { heldUs: heldSoFarUs }),
    discontinuity: begins || !goesOn || Boolean(isResized),
    starts: begins ? mended.kinds.map((kind) => ({ kind, startUtcMs })) : [],
    rotations: rotation ? [rotation] : [],
    ...(stream.owner && { owner: stream.owner, codecs: mended.codecs }),
    ...(stream.mpd !== undefined && { mpd: stream.mpd, startUs: mended.startUs }),
    ...(mended.entryPoints && { entryPoints: mended.entryPoints }),
  };
}

/** False for the first slice of another run. In a container other than MPEG-TS each file stands for itself. */
async function goesOnFromSlice(dir: string, before: string, name: string): Promise<boolean> {
  if (!before.endsWith('.ts') || !name.endsWith('.ts')) return true;
  const [former, next] = await Promise.all([before, name].map((each) => readFile(join(dir, each))));
  return goesOnFrom(former as Buffer, next as Buffer);
}

/** The stream that a slice belongs to: told by its earlier slices, or by its name. */
function streamOf(
  name: string,
  known: readonly Segment[],
  torn: readonly string[],
): Pick<Segment, 'playlist' | 'owner' | 'mpd'> {
  const parts = readSliceName(name)!;
  const sibling = known.find((slice) => {
    const other = readSliceName(slice.name);
    return other?.base === parts.base && other.extension === parts.extension;
  });
  if (sibling) return sibling;
  const playlist = parts.extension === 'm4s' ? `${parts.base}.m4s` : playlistName(parts.base);
  const { user } = parts;
  if (!user) return { playlist };
  const owner = { uid: user.uid, trackType: user.type === 'av' ? ('audio_and_video' as const) : user.type };
  // Sound is written as fragmented MP4 only for an MPD.
  const hasMpd = [...known.map((slice) => slice.name), ...torn].some((other) => {
    const found = readSliceName(other);
    return found?.extension === 'm4s' && found.user?.uid === user.uid;
  });
  if (!hasMpd || parts.extension === 'ts') return { playlist, owner };
  return { playlist, owner, mpd: mpdName(userBaseName(user.recording, user.uid, 'av')) };
}
