/**
 * Repairs the spool folder of a recorder that died: keeps what can be read of the slice it was writing, and makes the MP4
 * it could not finish from the slices. Safe to run again; what is whole is left alone.
 */
import { rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import type { Segment } from '../media/segment.ts';
import type { FileLimit } from '../stages/mux/cut.ts';
import { remuxSlices } from '../stages/mux/mp4/remux-slices.ts';
import { finishPart } from '../stages/mux/spool-file.ts';
import { readSlices } from '../stages/mux/ts/read-slices.ts';
import { Journal, readSpool } from '../stages/spool/journal.ts';

export type RepairOptions = {
  /** Whether the recording was to have an MP4, and where one ends; undefined when not. */
  mp4: FileLimit | undefined;
};

/** What was added to the journal, by name. Throws a Fault when the folder cannot be read or written. */
export async function repairSpool(dir: string, options: RepairOptions): Promise<string[]> {
  const { files, leftovers } = await readSpool(dir);
  const slices = files.filter((file) => file.type === 'slice').sort((a, b) => a.index - b.index);
  const added: string[] = [];
  // A report that was cut off while it was written says nothing.
  for (const name of leftovers) if (name.endsWith('.json.part')) await rm(join(dir, name), { force: true });
  const journal = await Journal.open(dir);
  try {
    const torn = leftovers.find((name) => name.endsWith('.ts.part'))?.slice(0, -'.part'.length);
    if (torn !== undefined) {
      const slice = await salvage(dir, torn, slices);
      if (slice) {
        await journal.append(slice);
        slices.push(slice);
        added.push(slice.name);
      }
    }
    const whole = slices[0];
    const hasMp4 = files.some((file) => file.type === 'mp4');
    if (options.mp4 && whole && !hasMp4) {
      const made = await remuxSlices(
        slices.map((slice) => join(dir, slice.name)),
        {
          dir,
          baseName: whole.playlist.replace(/\.m3u8$/, ''),
          zeroUtcMs: whole.startUtcMs,
          limit: options.mp4,
          onFile: (file) => journal.append(file),
        },
      );
      added.push(...made.map((file) => file.name));
      // The torn one holds nothing that the new one lacks, and cannot be read without its index.
      for (const name of leftovers) if (name.endsWith('.mp4.part')) await rm(join(dir, name), { force: true });
    }
  } finally {
    await journal.close();
  }
  return added;
}

/** The slice that was being written, as far as it got; undefined when nothing of it can be used. */
async function salvage(dir: string, name: string, before: Segment[]): Promise<Segment | undefined> {
  const path = join(dir, name);
  const match = /^(.+)_(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d{3})\.ts$/.exec(name);
  if (!match || (await stat(`${path}.part`)).size === 0) return undefined;
  const [, base, year, month, day, hour, minute, second, ms] = match.map((part, i) => (i < 2 ? part : Number(part)));
  const startUtcMs = Date.UTC(
    ...([year, Number(month) - 1, day, hour, minute, second, ms] as Parameters<typeof Date.UTC>),
  );
  let startUs = Number.POSITIVE_INFINITY;
  let endUs = Number.NEGATIVE_INFINITY;
  const kinds = new Set<'audio' | 'video'>();
  try {
    for await (const sample of readSlices([`${path}.part`])) {
      kinds.add(sample.kind);
      startUs = Math.min(startUs, sample.ptsUs);
      endUs = Math.max(endUs, sample.ptsUs + sample.durationUs);
    }
  } catch {
    // Too little of it was written to be a transport stream.
    return undefined;
  }
  if (endUs <= startUs) return undefined;
  const bytes = await finishPart(path);
  const isFirst = before.length === 0;
  return {
    type: 'slice',
    name,
    playlist: before[0]?.playlist ?? `${base}.m3u8`,
    index: before.length,
    startUtcMs,
    durationUs: endUs - startUs,
    bytes,
    discontinuity: isFirst,
    starts: isFirst ? [...kinds].map((kind) => ({ kind, startUtcMs })) : [],
    rotations: [],
  };
}
