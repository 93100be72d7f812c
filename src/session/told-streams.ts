/**
 * ToldStreams: what was told last of each user's streams. A run that goes on with a lost one's recording hears again
 * what that one had told and not kept yet; nobody is told of it twice.
 */
import type { Fact } from '../contract/line/facts.ts';

type StreamFact = Extract<Fact, { type: 'streamStateChanged' }>;

/** So many streams are remembered, those of which something was told last: a lost run had not kept a second or two. */
const MAX_STREAMS = 10_000;

export class ToldStreams {
  readonly #told = new Map<string, boolean>();

  /** Whether this was not told yet; it counts as told from now on. */
  isNews({ uid, kind, receiving }: Pick<StreamFact, 'uid' | 'kind' | 'receiving'>): boolean {
    const key = `${kind} ${uid}`;
    if (this.#told.get(key) === receiving) return false;
    this.#told.delete(key);
    this.#told.set(key, receiving);
    const [oldest] = this.#told.keys();
    if (this.#told.size > MAX_STREAMS && oldest !== undefined) this.#told.delete(oldest);
    return true;
  }
}
