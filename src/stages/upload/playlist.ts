/**
 * SliceRow: which slices of a row may be named already: the stored ones with none missing before them, so that what a
 * player reads grows only at its end. IndexFile: a playlist of one row, or an MPD of several.
 */
import type { Segment } from '../../media/segment.ts';

/** A version is worth sending when it names one more slice for each so many that the former version named. */
const SLICES_PER_NEW = 24;
/** The same while many slices wait: what is sent then is old before it arrives. */
const SLICES_PER_NEW_BEHIND = 4;

export class SliceRow {
  #slices = new Map<number, { slice: Segment; state: 'waiting' | 'stored' | 'lost' }>();
  /** How many slices of the row are final, so that the next version need not look at them again. */
  #row: Segment[] = [];
  #next = 0;
  #skipped = false;
  #waiting = 0;
  #ended = false;

  add(slice: Segment): void {
    if (this.#slices.has(slice.index)) return;
    this.#slices.set(slice.index, { slice, state: 'waiting' });
    this.#waiting++;
  }

  store(slice: Segment): void {
    this.#set(slice, 'stored');
  }

  /** The slice will never be stored; the row goes on after it. */
  lose(slice: Segment): void {
    this.#set(slice, 'lost');
  }

  /** No more slices will be added: a number that never came no longer holds up the next ones. */
  end(): void {
    this.#ended = true;
    this.#advance();
  }

  /** The slices that may be named now, in order. One after a gap is marked as a discontinuity. */
  get named(): readonly Segment[] {
    return this.#row;
  }

  /** How many slices are on their way. */
  get waiting(): number {
    return this.#waiting;
  }

  #set(slice: Segment, state: 'stored' | 'lost'): void {
    const entry = this.#slices.get(slice.index);
    if (entry?.state === 'waiting') this.#waiting--;
    if (entry) entry.state = state;
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
        const isJump = this.#skipped && this.#row.length > 0;
        this.#row.push(isJump ? { ...entry.slice, discontinuity: true } : entry.slice);
        this.#skipped = false;
      }
      this.#slices.delete(this.#next++);
    }
  }
}

export class IndexFile {
  #rows: { row: SliceRow; taken: number }[] = [];

  /** Adds a row, once. */
  list(row: SliceRow): void {
    if (!this.#rows.some((known) => known.row === row)) this.#rows.push({ row, taken: 0 });
  }

  /** True when there is more to name than `take` has given. */
  get hasNews(): boolean {
    return this.#rows.some(({ row, taken }) => row.named.length > taken);
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
    const news = this.#rows.reduce((sum, { row, taken }) => sum + row.named.length - taken, 0);
    const named = this.#rows.reduce((sum, { taken }) => sum + taken, 0);
    const perNew = this.waiting > SLICES_PER_NEW ? SLICES_PER_NEW_BEHIND : SLICES_PER_NEW;
    return news > Math.floor(named / perNew);
  }

  /** The slices that may be named now, row by row. */
  take(): Segment[][] {
    return this.#rows.map((entry) => {
      entry.taken = entry.row.named.length;
      return [...entry.row.named];
    });
  }
}
