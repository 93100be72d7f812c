/** EndSignals: what signals ask of a server. The first ends it in order once it has started, a later one at once. */
import type { Clock } from '../../kernel/clock.ts';
import { type HostUs, US } from '../../kernel/time.ts';

/** SIGHUP comes when the terminal is closed that the server was started at. */
export const END_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/**
 * What comes this soon after the first is the same wish: where Ctrl-C ends the first process of a terminal as well,
 * such as npm in a container, the terminal is closed right behind it, and SIGHUP follows SIGINT.
 */
const SAME_WISH_US = US;

export type EndSignalsOptions = {
  clock: Clock;
  /** Tells whoever started the server. */
  say(words: string): void;
  /** Ends the process at once. */
  endNow(): void;
};

export class EndSignals {
  readonly #o: EndSignalsOptions;
  #toldUs: HostUs | undefined;
  /** Absent until the server has started. */
  #end: (() => void) | undefined;

  constructor(options: EndSignalsOptions) {
    this.#o = options;
  }

  take(signal: NodeJS.Signals): void {
    const { clock, say, endNow } = this.#o;
    const nowUs = clock.monoUs();
    if (this.#toldUs === undefined) {
      this.#toldUs = nowUs;
      if (this.#end) say(`${signal}: finishing recordings; a second signal ends at once`);
      else say(`${signal}: the server ends as soon as it has started; a second signal ends it at once`);
      this.#end?.();
    } else if (nowUs - this.#toldUs >= SAME_WISH_US) {
      say('ended at once; the next start uploads what is left');
      endNow();
    }
  }

  /**
   * The server has started, and `end` ends it in order: at once, where a signal came meanwhile. Returns whether none
   * did.
   */
  started(end: () => void): boolean {
    this.#end = end;
    if (this.#toldUs === undefined) return true;
    end();
    return false;
  }
}
