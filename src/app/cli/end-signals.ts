/** EndSignals: what signals ask of a server. The first ends it in order once it has started, a later one at once. */
import type { Clock } from '../../kernel/clock.ts';
import { type HostUs, US } from '../../kernel/time.ts';

export const END_SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/** `close` finishes what is recorded; `leave` leaves it to the next start, which goes on with it. */
export type Wish = 'close' | 'leave';
/** SIGHUP is what systemd's reload sends, and comes when the terminal is closed that the server was started at. */
const wishOf = (signal: NodeJS.Signals): Wish => (signal === 'SIGHUP' ? 'leave' : 'close');
const WORDS = { close: 'finishing recordings', leave: 'leaving recordings to the next start' };

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
  #told: { atUs: HostUs; wish: Wish } | undefined;
  /** Absent until the server has started. */
  #end: ((wish: Wish) => void) | undefined;

  constructor(options: EndSignalsOptions) {
    this.#o = options;
  }

  take(signal: NodeJS.Signals): void {
    const { clock, say, endNow } = this.#o;
    const nowUs = clock.monoUs();
    if (this.#told === undefined) {
      const wish = wishOf(signal);
      this.#told = { atUs: nowUs, wish };
      if (this.#end) say(`${signal}: ${WORDS[wish]}; a second signal ends at once`);
      else say(`${signal}: the server ends as soon as it has started; a second signal ends it at once`);
      this.#end?.(wish);
    } else if (nowUs - this.#told.atUs >= SAME_WISH_US) {
      say('ended at once; the next start uploads what is left');
      endNow();
    }
  }

  /**
   * The server has started, and `end` ends it in order: at once, where a signal came meanwhile. Returns whether none
   * did.
   */
  started(end: (wish: Wish) => void): boolean {
    this.#end = end;
    if (this.#told === undefined) return true;
    end(this.#told.wish);
    return false;
  }
}
