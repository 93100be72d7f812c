/**
 * LiveRow: one stream of a recording that is watched: the segments of its slices from the beginning on, and the parts
 * of the newest, which are found by reading what the file of the newest slice has grown by. The recorder notes where
 * the segments of finished slices begin, so that they have the same numbers for whoever counts them, whenever.
 */
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import type { CutSource } from '../../pipeline/cut/cut-plan.ts';
import type { LiveSegment } from '../../stages/mux/hls/live-playlist.ts';
import { partPath } from '../../stages/mux/spool-file.ts';
import { readGrown } from '../../stages/mux/ts/entry-points.ts';
import { type PartRule, type TsPart, TsParts, type TsSegment } from '../../stages/mux/ts/ts-parts.ts';
import type { WholeSource } from '../cut-sources.ts';

/** Bytes of a slice; `to` is undefined for its end. */
export type LiveBytes = { name: string; at: CutSource['at']; from: number; to: number | undefined };
/** A slice of the row that is being written, or was left behind by a crash. */
export type OpenFile = { dir: string; name: string; startUtcMs: number };

type Slice = { name: string; at: CutSource['at']; startUtcMs: number };
type Segment = LiveSegment & { slice: Slice; from: number; to: number | undefined; parts: readonly TsPart[] };
/** The slice that is being written, and which of the row's segments is its first. */
type Growing = { slice: Slice; scan: TsParts; first: number };

/** The newest segments, whose parts may be listed, or asked for a while afterwards. */
const KEPT_WITH_PARTS = 15;
/** A slice that goes on from the one before begins about where that one ended; else a hold lies between them. */
const JOINT_US = 1_000_000;

export class LiveRow {
  readonly rule: PartRule;
  readonly #segments: Segment[] = [];
  /** Of the newest slice; undefined while there is none. */
  #newestMs = Number.NEGATIVE_INFINITY;
  #growing: Growing | undefined;
  #file: FileHandle | undefined;
  #longestUs = 0;

  /** @param whole its finished slices */
  constructor(rule: PartRule, whole: readonly WholeSource[]) {
    this.rule = rule;
    for (const source of inOrder(whole)) this.#addWhole(source);
  }

  get segments(): readonly LiveSegment[] {
    return this.#segments;
  }

  /** Of those that are whole, microseconds. */
  get longestUs(): number {
    return this.#longestUs;
  }

  /**
   * Reads what has come since.
   * @param files slices of the row that are not finished
   * @returns whether there is news
   */
  async poll(files: readonly OpenFile[]): Promise<boolean> {
    const before = this.#version();
    if (this.#growing) await this.#grow(this.#growing);
    const newestMs = this.#newestMs;
    // Of one that a run left behind and the next one mends, the latter counts.
    const byStart = new Map(files.flatMap((file) => (file.startUtcMs > newestMs ? [[file.startUtcMs, file]] : [])));
    const coming = [...byStart.values()].sort((a, b) => a.startUtcMs - b.startUtcMs);
    for (const file of coming) await this.#add(file);
    const isGone = !files.some(({ startUtcMs }) => startUtcMs === newestMs);
    // It has its own name now, and the next one is not begun: the recording ends, or is on hold.
    if (this.#growing && coming.length === 0 && isGone) await this.#finish(this.#growing);
    return before !== this.#version();
  }

  /** Nothing is written any more. @param whole all finished slices, some of which may have gone by unseen */
  async end(whole: readonly WholeSource[]): Promise<void> {
    if (this.#growing) await this.#finish(this.#growing);
    const newestMs = this.#newestMs;
    // Names say whole milliseconds.
    for (const source of inOrder(whole)) if (Math.trunc(source.file.startUtcMs) > newestMs) this.#addWhole(source);
  }

  /** A segment, or a part of one; undefined while there is none of that number. */
  bytesOf(segment: number, part?: number): LiveBytes | undefined {
    const found = this.#segments[segment];
    if (!found) return undefined;
    const { slice, durationUs, parts } = found;
    const span = part !== undefined ? parts[part] : durationUs !== undefined ? found : undefined;
    return span && { name: slice.name, at: slice.at, from: span.from, to: span.to };
  }

  async close(): Promise<void> {
    const file = this.#file;
    this.#file = undefined;
    await file?.close();
  }

  /** Changes whenever there is more to be told. */
  #version(): string {
    const newest = this.#segments.at(-1);
    return `${this.#segments.length} ${newest?.parts.length} ${newest?.durationUs}`;
  }

  #addWhole({ file, at }: WholeSource): void {
    const { name, durationUs, discontinuity, entryPoints = [] } = file;
    const slice = { name, at, startUtcMs: Math.trunc(file.startUtcMs) };
    // A full disk may have kept less of a slice than was written.
    const begins = [{ atByte: 0, atUs: 0 }, ...entryPoints.filter(({ atUs }) => atUs < durationUs)];
    this.#newestMs = slice.startUtcMs;
    for (const [n, { atByte, atUs }] of begins.entries()) {
      const next = begins[n + 1];
      this.#push({
        ...{ slice, from: atByte, to: next?.atByte, durationUs: (next?.atUs ?? durationUs) - atUs, parts: [] },
        ...(n === 0 ? { startUtcMs: slice.startUtcMs, discontinuity } : GOES_ON),
      });
    }
  }

  async #add({ dir, name, startUtcMs }: OpenFile): Promise<void> {
    if (this.#growing) await this.#finish(this.#growing, startUtcMs);
    const slice = { name, at: { path: join(dir, name) }, startUtcMs };
    this.#newestMs = startUtcMs;
    this.#growing = { slice, scan: new TsParts(this.rule), first: this.#segments.length };
    await this.#grow(this.#growing);
  }

  async #grow(growing: Growing): Promise<void> {
    const { slice, scan } = growing;
    if (!('path' in slice.at)) return;
    const { path } = slice.at;
    this.#file ??= await open(partPath(path), 'r').catch(() => open(path, 'r').catch(() => undefined));
    if (this.#file) await readGrown(this.#file, scan);
    this.#take(growing);
  }

  /** Takes over what the scan has found of the slice: its last segment may have grown, and others may follow it. */
  #take({ slice, scan, first }: Growing): void {
    const { segments } = scan;
    for (let n = Math.max(0, this.#segments.length - first - 1); n < segments.length; n++) {
      const found = segmentIn(slice, segments[n]!, segments[n + 1], n === 0);
      if (first + n < this.#segments.length) this.#segments.length = first + n;
      this.#push(found);
    }
  }

  #push(segment: Segment): void {
    const count = this.#segments.push(segment);
    this.#longestUs = Math.max(this.#longestUs, segment.durationUs ?? 0);
    const old = this.#segments[count - 1 - KEPT_WITH_PARTS];
    if (old && old.parts.length > 0) old.parts = [];
  }

  /** @param nextUtcMs where the next slice begins */
  async #finish(growing: Growing, nextUtcMs?: number): Promise<void> {
    // What the recorder wrote last, it wrote before it ended the file.
    await this.#grow(growing);
    await this.close();
    this.#growing = undefined;
    const { slice, scan } = growing;
    const toNextUs = nextUtcMs === undefined ? Number.POSITIVE_INFINITY : (nextUtcMs - slice.startUtcMs) * 1000;
    scan.end(toNextUs - scan.reachedUs < JOINT_US ? toNextUs : scan.reachedUs);
    this.#take(growing);
  }
}

/** Of a segment inside of a slice. */
const GOES_ON = { startUtcMs: undefined, discontinuity: false };

function segmentIn(slice: Slice, found: TsSegment, next: TsSegment | undefined, isFirst: boolean): Segment {
  const { from, durationUs, parts } = found;
  const place = { ...GOES_ON, ...(isFirst && { startUtcMs: slice.startUtcMs }) };
  return { ...place, slice, from, to: next?.from, durationUs, parts };
}

function inOrder(whole: readonly WholeSource[]): WholeSource[] {
  return whole.toSorted((a, b) => a.file.startUtcMs - b.file.startUtcMs);
}
