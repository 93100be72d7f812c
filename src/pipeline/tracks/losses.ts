/**
 * Losses: collects what could not be written of a recording's outputs, so that it is told now and then and not for each
 * sample.
 */
import type { RecordingUs } from '../../kernel/time.ts';
import type { Happening } from '../recording.ts';

/** How often losses are told, microseconds of the recording. */
const TELL_US = 1_000_000;

export class Losses {
  readonly #emit: (happening: Happening) => void;
  readonly #lost = new Map<string, number>();
  readonly #failed = new Set<string>();
  #toldUs = 0;

  constructor(emit: (happening: Happening) => void) {
    this.#emit = emit;
  }

  /**
   * @param output the output that lacks something, in words
   * @param what could not be written, in words
   */
  add(output: string, what: string): void {
    const told = `${output}: ${what}`;
    this.#lost.set(told, (this.#lost.get(told) ?? 0) + 1);
    if (this.#failed.has(output)) return;
    this.#failed.add(output);
    this.#emit({ type: 'outputFailed', what: told });
  }

  /**
   * Tells what was collected, when it is time.
   * @param nowUs of the recording
   */
  step(nowUs: RecordingUs): void {
    if (nowUs - this.#toldUs < TELL_US) return;
    this.#toldUs = nowUs;
    this.flush();
  }

  flush(): void {
    for (const [what, count] of this.#lost) this.#emit({ type: 'degraded', what, count });
    this.#lost.clear();
  }
}
