/**
 * SliceRow: which slices of a row may be named already: the stored ones with none missing before them, so that what a
 * player reads grows only at its end; what other nodes recorded comes into its place whenever it is stored. IndexFile:
 * a playlist of one row, or an MPD of several.
 */
import type { Segment } from '../../media/segment.ts';

/** A version is worth sending when it names one more slice for each so many that the former version named. */
const SLICES_PER_NEW = 24;
/** The same while many slices wait: what is sent then is old before it arrives. */
const SLICES_PER_NEW_BEHIND = 4;
/** Two nodes place a sample some milliseconds apart: less than a packet of sound that only one has is nothing. */
const UNNOTICED_MS = 20;

export class SliceRow {
  /** What this node recorded, by stretch, in which slices are counted from 0. */
  #here = new Map<number, CountedSlices>();
  /** What other nodes recorded and is stored, by stretch, each in order. */
  #elsewhere = new Map<number, Segment[]>();
  #named: readonly Segment[] | undefined;
  #ended = false;

  /** @param stretch the position of the slice's stretch of the recording */
  add(slice: Segment, stretch = 0): void {
    if (!this.#here.has(stretch)) this.#here.set(stretch, new CountedSlices());
    this.#here.get(stretch)?.add(slice);
    this.#named = undefined;
  }

  store(slice: Segment, stretch = 0): void {
    this.#here.get(stretch)?.set(slice, 'stored');
    this.#named = undefined;
  }

  /** The slice will never be stored; the row goes on after it. */
  lose(slice: Segment, stretch = 0): void {
    this.#here.get(stretch)?.set(slice, 'lost');
    this.#named = undefined;
  }

  /** Takes a slice of another node that is stored, once. Nothing waits for those of other nodes that are not. */
  recall(slice: Segment, stretch: number): void {
    const known = this.#elsewhere.get(stretch) ?? [];
    if (known.some(({ name }) => name === slice.name)) return;
    this.#elsewhere.set(stretch, [...known, slice].sort(byTime));
    this.#named = undefined;
  }

  /** No more slices will be added: a number that never came no longer holds up the next ones. */
  end(): void {
    if (this.#ended) return;
    this.#ended = true;
    for (const slices of this.#here.values()) slices.end();
    this.#named = undefined;
  }

  /** The slices that may be named now, in order. One after a gap is marked as a discontinuity. */
  get named(): readonly Segment[] {
    this.#named ??= this.#inOrder();
    return this.#named;
  }

  /** How many slices are on their way. */
  get waiting(): number {
    return [...this.#here.values()].reduce((sum, { waiting }) => sum + waiting, 0);
  }

  #inOrder(): readonly Segment[] {
    const stretches = [
      ...[...this.#here].map(([stretch, { row }]) => ({ stretch, slices: row })),
      ...[...this.#elsewhere].map(([stretch, slices]) => ({ stretch, slices: withJumps(slices) })),
    ].sort((a, b) => a.stretch - b.stretch);
    if (stretches.length === 1) return stretches[0]?.slices ?? [];
    return joined(
      stretches.map(({ slices }) => slices),
      this.#ended,
    );
  }
}

/** The slices that one node made, each counted on from the one before. */
class CountedSlices {
  #slices = new Map<number, { slice: Segment; state: 'waiting' | 'stored' | 'lost' }>();
  /** Those that may be named. They are final, so that the next version need not look at them again. */
  readonly row: Segment[] = [];
  #next = 0;
  #skipped = false;
  waiting = 0;
  #ended = false;

  add(slice: Segment): void {
    if (this.#slices.has(slice.index)) return;
    this.#slices.set(slice.index, { slice, state: 'waiting' });
    this.waiting++;
  }

  set(slice: Segment, state: 'stored' | 'lost'): void {
    const entry = this.#slices.get(slice.index);
    if (entry?.state === 'waiting') this.waiting--;
    if (entry) entry.state = state;
    this.#advance();
  }

  end(): void {
    this.#ended = true;
    this.#advance();
  }

  #advance(): void {
    for (;;) {
      const entry = this.#slices.get(this.#next);
      if (!entry) {
        const isGap = this.#ended && [...this.#slices.keys()].some((index) => index > this.#next);
        if (!isGap) return;
        this.#skipped = true;
      } else if (entry.state === 'waiting') {
        return;
      } else if (entry.state === 'lost') {
        this.#skipped = true;
      } else {
        // A player would take the jump in time for a broken stream without this mark.
        const isJump = this.#skipped && this.row.length > 0;
        this.row.push(isJump ? { ...entry.slice, discontinuity: true } : entry.slice);
        this.#skipped = false;
      }
      this.#slices.delete(this.#next++);
    }
  }
}

/**
 * The slices of all stretches, oldest stretch first, in order of time. Where nodes recorded the same, as when one was
 * cut off and knew nothing of the others, a slice is left out all of whose time slices of later stretches have. Such a
 * node does not know of the recording's end either: once the last stretch has ended, what is later counts for nothing.
 */
function joined(stretches: readonly (readonly Segment[])[], hasEnded: boolean): Segment[] {
  const last = stretches.findLast((slices) => slices.length > 0) ?? [];
  const endMs = hasEnded ? Math.max(...last.map(endMsOf)) : Number.POSITIVE_INFINITY;
  let kept: Segment[] = [];
  const stretchOf = new Map<string, number>();
  for (const [n, slices] of stretches.toReversed().entries()) {
    const own = slices.filter((slice) => !isCovered(slice, kept, endMs));
    for (const { name } of own) stretchOf.set(name, n);
    kept = [...own, ...kept].sort(byTime);
  }
  return kept.map((slice, n) => {
    const before = kept[n - 1];
    // A player would take the jump to another node's stream for a broken one without this mark.
    const isJump = before && stretchOf.get(before.name) !== stretchOf.get(slice.name);
    return isJump ? { ...slice, discontinuity: true } : slice;
  });
}

/**
 * @param others of later stretches, in order of time; they may lie over each other
 * @param endMs where the recording ended
 */
function isCovered(slice: Segment, others: readonly Segment[], endMs: number): boolean {
  if (others.length === 0) return false;
  if (slice.startUtcMs + UNNOTICED_MS >= endMs) return true;
  const toMs = Math.min(endMsOf(slice), endMs);
  let reachedMs = slice.startUtcMs;
  for (const other of others) {
    if (reachedMs + UNNOTICED_MS >= toMs || other.startUtcMs > reachedMs + UNNOTICED_MS) break;
    reachedMs = Math.max(reachedMs, endMsOf(other));
  }
  return reachedMs > slice.startUtcMs && reachedMs + UNNOTICED_MS >= toMs;
}

/** What is stored of another node's slices, with a mark after each that is not. */
function withJumps(slices: readonly Segment[]): Segment[] {
  return slices.map((slice, n) => {
    const before = slices[n - 1];
    return before && slice.index !== before.index + 1 ? { ...slice, discontinuity: true } : slice;
  });
}

function endMsOf({ startUtcMs, durationUs }: Segment): number {
  return startUtcMs + durationUs / 1000;
}

function byTime(a: Segment, b: Segment): number {
  return a.startUtcMs - b.startUtcMs;
}

/** What a version named of a row. */
type Taken = { slices: readonly Segment[]; names: ReadonlySet<string> };

export class IndexFile {
  #rows: { row: SliceRow; taken: Taken }[] = [];

  /** Adds a row, once. */
  list(row: SliceRow): void {
    if (!this.#rows.some((known) => known.row === row)) this.#rows.push({ row, taken: takenOf([]) });
  }

  /** True when what may be named is not what `take` has given. */
  get hasNews(): boolean {
    return this.#rows.some(({ row: { named }, taken: { slices } }) => {
      return named.length !== slices.length || named.some((slice, n) => !isNamedAs(slice, slices[n]));
    });
  }

  /** How many slices of its rows are on their way. */
  get waiting(): number {
    return this.#rows.reduce((sum, { row }) => sum + row.waiting, 0);
  }

  /**
   * True when there are enough new slices to make another version worth sending. Each version is sent whole, so
   * versions must become rarer as they grow. At first one new slice is enough; later one is needed for each 24 that are
   * named, which makes the sum of all versions some 25 times the last.
   */
  get isDue(): boolean {
    const news = this.#rows.flatMap(({ row, taken }) => row.named.filter(({ name }) => !taken.names.has(name))).length;
    const named = this.#rows.reduce((sum, { taken }) => sum + taken.slices.length, 0);
    const perNew = this.waiting > SLICES_PER_NEW ? SLICES_PER_NEW_BEHIND : SLICES_PER_NEW;
    return news > Math.floor(named / perNew);
  }

  /** The slices that may be named now, row by row. */
  take(): Segment[][] {
    return this.#rows.map((entry) => {
      const slices = [...entry.row.named];
      entry.taken = takenOf(slices);
      return slices;
    });
  }
}

function takenOf(slices: readonly Segment[]): Taken {
  return { slices, names: new Set(slices.map(({ name }) => name)) };
}

/** Whether a playlist has the same of both. */
function isNamedAs(slice: Segment, other: Segment | undefined): boolean {
  return slice.name === other?.name && slice.discontinuity === other.discontinuity;
}
