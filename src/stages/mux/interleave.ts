/**
 * Interleaver: puts sound and picture, which their encoders delay differently, into one order by time. A key frame
 * comes before any sound of the same time and after all earlier sound, so that a file cut at it divides both kinds at
 * the same moment.
 */
import type { StreamUs } from '../../kernel/time.ts';
import type { EncodedSample } from '../../media/sample.ts';
import type { MediaKind } from '../../media/track.ts';

/**
 * How far one kind may run ahead of a silent other kind. An encoder at one frame a second looks a dozen seconds ahead.
 */
export const MAX_HELD_US = 30_000_000;

type Held = { orderUs: StreamUs; sample: EncodedSample };

export class Interleaver {
  #held: { kind: MediaKind; queue: Held[] }[];
  #keyUs = Number.NEGATIVE_INFINITY;

  /** @param kinds which kinds of sample will come */
  constructor(kinds: readonly MediaKind[]) {
    // Picture first: at equal times it wins.
    const order: MediaKind[] = ['video', 'audio'];
    this.#held = order.filter((kind) => kinds.includes(kind)).map((kind) => ({ kind, queue: [] }));
  }

  /** Decode time of the first held sample; undefined when none is held. */
  get firstHeldUs(): StreamUs | undefined {
    const firsts = this.#held.flatMap(({ queue }) => (queue[0] ? [queue[0].sample.dtsUs] : []));
    return firsts.length > 0 ? Math.min(...firsts) : undefined;
  }

  /** Takes the next sample of a kind, in that kind's decode order, and returns those whose turn has come. */
  push(sample: EncodedSample): EncodedSample[] {
    let orderUs = sample.ptsUs;
    if (sample.kind === 'video') {
      // With B-frames a key frame is decoded earlier than it is shown; what begins with it begins when it is shown.
      if (sample.keyFrame) this.#keyUs = Math.max(this.#keyUs, sample.ptsUs);
      orderUs = Math.max(sample.dtsUs, this.#keyUs);
    }
    const lane = this.#held.find(({ kind }) => kind === sample.kind);
    if (!lane) return [];
    // What has nothing beside it waits for nothing.
    if (this.#held.length === 1 && lane.queue.length === 0) return [sample];
    lane.queue.push({ orderUs, sample });
    return this.#take((queues) => {
      if (queues.every((queue) => queue.length > 0)) return true;
      return queues.some((queue) => queue.length > 1 && queue.at(-1)!.orderUs - queue[0]!.orderUs > MAX_HELD_US);
    });
  }

  /** Returns everything that is held; no more will come. */
  flush(): EncodedSample[] {
    return this.#take((queues) => queues.some((queue) => queue.length > 0));
  }

  #take(more: (queues: Held[][]) => boolean): EncodedSample[] {
    const queues = this.#held.map(({ queue }) => queue);
    const out: EncodedSample[] = [];
    while (more(queues)) {
      let first: Held[] | undefined;
      for (const queue of queues) if (queue[0] && (!first?.[0] || queue[0].orderUs < first[0].orderUs)) first = queue;
      const next = first?.shift();
      if (!next) break;
      out.push(next.sample);
    }
    return out;
  }
}
