/**
 * LiveRow: one stream of a recording that is watched: its slices from the beginning on, and the parts of the newest,
 * which are found by reading what its file has grown by. The recorder knows nothing of it.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { CutSource } from '../../pipeline/cut/cut-plan.ts';
import { LISTED_WITH_PARTS, type LiveSlice } from '../../stages/mux/hls/live-playlist.ts';
import { partPath } from '../../stages/mux/spool-file.ts';
import { type PartRule, type TsPart, TsParts } from '../../stages/mux/ts/ts-parts.ts';
import type { WholeSource } from '../cut-sources.ts';

/** Where a slice lies, or the part of it. */
export type LiveBytes = { name: string; at: CutSource['at']; part?: Pick<TsPart, 'from' | 'to'> };
/** A slice of the row that is being written, or was left behind by a crash. */
export type OpenFile = { dir: string; name: string; startUtcMs: number };

type Slice = LiveSlice & {
  name: string;
  at: CutSource['at'];
  parts: readonly TsPart[];
  /** The file that the parts were found in. */
  partsAt: CutSource['at'];
};

/** So much of a file is read at once. */
const READ_BYTES = 1 << 20;
/** Parts may be asked for a while after they are listed no more. */
const KEPT_WITH_PARTS = LISTED_WITH_PARTS + 1;
/** A slice that goes on from the one before begins about where that one ended; else a hold lies between them. */
const JOINT_US = 1_000_000;

export class LiveRow {
  readonly rule: PartRule;
  readonly #slices: Slice[];
  /** Of the slice that is being written. */
  #scan: TsParts | undefined;
  #file: FileHandle | undefined;

  /** @param whole its finished slices */
  constructor(rule: PartRule, whole: readonly WholeSource[]) {
    this.rule = rule;
    this.#slices = inOrder(whole).map(sliceOf);
  }

  get slices(): readonly LiveSlice[] {
    return this.#slices;
  }

  /** Whether its newest slice is still being written. */
  get isOpen(): boolean {
    return this.#scan !== undefined;
  }

  /**
   * Reads what has come since.
   * @param files slices of the row that are not finished
   * @returns whether there is news
   */
  async poll(files: readonly OpenFile[]): Promise<boolean> {
    const before = { count: this.#slices.length, parts: this.#slices.at(-1)?.parts.length, isOpen: this.isOpen };
    const newest = this.#slices.at(-1);
    if (newest && this.isOpen) await this.#grow(newest);
    const startMs = newest?.startUtcMs ?? Number.NEGATIVE_INFINITY;
    // Of one that a run left behind and the next one mends, the latter counts.
    const byStart = new Map(files.flatMap((file) => (file.startUtcMs > startMs ? [[file.startUtcMs, file]] : [])));
    const coming = [...byStart.values()].sort((a, b) => a.startUtcMs - b.startUtcMs);
    for (const file of coming) await this.#add(file);
    const isGone = newest !== undefined && !files.some(({ startUtcMs }) => startUtcMs === newest.startUtcMs);
    // It has its own name now, and the next one is not begun: the recording ends, or is on hold.
    if (this.isOpen && coming.length === 0 && isGone) await this.#finish();
    const after = this.#slices.at(-1);
    return (
      before.count !== this.#slices.length || before.parts !== after?.parts.length || before.isOpen !== this.isOpen
    );
  }

  /** Nothing is written any more. @param whole all finished slices, some of which may have gone by unseen */
  async end(whole: readonly WholeSource[]): Promise<void> {
    if (this.isOpen) await this.#finish();
    const newestMs = this.#slices.at(-1)?.startUtcMs ?? Number.NEGATIVE_INFINITY;
    // Names say whole milliseconds.
    for (const source of inOrder(whole))
      if (Math.trunc(source.file.startUtcMs) > newestMs) this.#slices.push(sliceOf(source));
  }

  /** A slice, or a part of one; undefined while there is none of that number. */
  bytesOf(slice: number, part?: number): LiveBytes | undefined {
    const found = this.#slices[slice];
    if (!found) return undefined;
    const { name, at, partsAt, durationUs, parts } = found;
    if (part === undefined) return durationUs === undefined ? undefined : { name, at };
    const bytes = parts[part];
    return bytes && { name, at: partsAt, part: bytes };
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }

  async #add({ dir, name, startUtcMs }: OpenFile): Promise<void> {
    if (this.isOpen) await this.#finish(startUtcMs);
    const scan = new TsParts(this.rule);
    const at = { path: join(dir, name) };
    const slice: Slice = {
      ...{ name, at, partsAt: at, startUtcMs, durationUs: undefined, discontinuity: false, parts: scan.parts },
    };
    this.#scan = scan;
    this.#slices.push(slice);
    for (const old of this.#slices.slice(0, -KEPT_WITH_PARTS)) old.parts = [];
    await this.#grow(slice);
  }

  async #grow({ at }: Slice): Promise<void> {
    const scan = this.#scan;
    if (!scan || !('path' in at)) return;
    const { path } = at;
    this.#file ??= await open(partPath(path), 'r').catch(() => open(path, 'r').catch(() => undefined));
    for (let read = READ_BYTES; this.#file && read === READ_BYTES; ) {
      const buffer = Buffer.allocUnsafe(READ_BYTES);
      read = (await this.#file.read(buffer, 0, READ_BYTES, scan.bytes)).bytesRead;
      if (read > 0) scan.push(buffer.subarray(0, read));
    }
  }

  /** @param nextUtcMs where the next slice begins */
  async #finish(nextUtcMs?: number): Promise<void> {
    const slice = this.#slices.at(-1)!;
    // What the recorder wrote last, it wrote before it ended the file.
    await this.#grow(slice);
    await this.close();
    const scan = this.#scan!;
    this.#scan = undefined;
    const toNextUs = nextUtcMs === undefined ? Number.POSITIVE_INFINITY : (nextUtcMs - slice.startUtcMs) * 1000;
    const durationUs = toNextUs - scan.reachedUs < JOINT_US ? toNextUs : scan.reachedUs;
    scan.end(durationUs);
    slice.durationUs = Math.max(1000, Math.round(durationUs));
  }
}

function inOrder(whole: readonly WholeSource[]): WholeSource[] {
  return whole.toSorted((a, b) => a.file.startUtcMs - b.file.startUtcMs);
}

function sliceOf({ file, at }: WholeSource): Slice {
  const { name, startUtcMs, durationUs, discontinuity } = file;
  return {
    ...{ name, at, partsAt: at, startUtcMs: Math.trunc(startUtcMs), durationUs, discontinuity },
    parts: [],
  };
}
