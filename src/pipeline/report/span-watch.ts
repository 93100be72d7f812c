/**
 * SpanWatch: stretches of a recording in which something held, such as a picture that stood still. Pure.
 */
import type { RecordingUs } from '../../kernel/time.ts';
import { Kept, MOST_SPANS, toMs } from './kept.ts';

export type Span = { fromUs: RecordingUs; durationUs: number };
export type SpanData = { fromMs: number; durationMs: number };

export class SpanWatch {
  readonly #leastUs: number;
  readonly #spans = new Kept<Span>(MOST_SPANS);
  #fromUs: RecordingUs | undefined;
  #totalUs = 0;

  /** @param leastUs shorter stretches do not count */
  constructor(leastUs: number) {
    this.#leastUs = leastUs;
  }

  /** From `atUs` on it holds, or does not. Call it in order. */
  note(atUs: RecordingUs, holds: boolean): void {
    if (holds) this.#fromUs ??= atUs;
    else if (this.#fromUs !== undefined) {
      const span = { fromUs: this.#fromUs, durationUs: atUs - this.#fromUs };
      this.#fromUs = undefined;
      if (span.durationUs < this.#leastUs) return;
      this.#spans.add(span);
      this.#totalUs += span.durationUs;
    }
  }

  /** All stretches up to `untilUs`, including one that goes on. */
  report(untilUs: RecordingUs): { spans: SpanData[]; more: number; totalMs: number } {
    const spans = this.#spans.items.map(dataOf);
    const openUs = this.#fromUs === undefined ? 0 : untilUs - this.#fromUs;
    const isOpen = openUs >= this.#leastUs && openUs > 0;
    const hasRoom = spans.length < MOST_SPANS;
    if (isOpen && hasRoom) spans.push(dataOf({ fromUs: this.#fromUs ?? 0, durationUs: openUs }));
    return {
      spans,
      more: this.#spans.more + (isOpen && !hasRoom ? 1 : 0),
      totalMs: toMs(this.#totalUs + (isOpen ? openUs : 0)),
    };
  }
}

const dataOf = ({ fromUs, durationUs }: Span): SpanData => ({ fromMs: toMs(fromUs), durationMs: toMs(durationUs) });
