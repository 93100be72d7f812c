/**
 * Patience: has a command ask again when the server that it follows does not answer for a while, as when that is
 * started anew. What the server had begun goes on with it, so the command need not give up. A server that has never
 * answered is not waited for.
 */
import { AircheckError } from '../../client/index.ts';
import { type Clock, pauseCommand, systemClock } from '../../kernel/clock.ts';
import { Fault } from '../../kernel/fault.ts';
import { type HostUs, US } from '../../kernel/time.ts';

/** A server starts within seconds; one whose machine starts as well, in about a minute. */
const LIMIT_US = 60 * US;
const PAUSES_MS = [500, 1_000, 2_000, 4_000];
/** What is answered and breaks off each time is given up after so many tries. */
const MOST_BREAKS = 5;

type PatienceOptions = {
  clock?: Clock;
  /** Rejects with the signal's reason when that aborts. */
  pause?: (ms: number, signal?: AbortSignal) => Promise<void>;
  say?: (line: string) => void;
};

export class Patience {
  readonly #clock: Clock;
  readonly #pause: (ms: number, signal?: AbortSignal) => Promise<void>;
  readonly #say: (line: string) => void;
  #hasAnswered = false;
  /** Since when no try was answered. */
  #awaySinceUs: HostUs | undefined;
  #isTold = false;

  constructor(options: PatienceOptions = {}) {
    this.#clock = options.clock ?? systemClock;
    this.#pause = options.pause ?? pauseCommand;
    this.#say = options.say ?? ((line) => void process.stderr.write(line));
  }

  /** The platform's fetch, by which it is known whether the server answers: every call of a command goes through it. */
  readonly fetch = async (url: string, init: RequestInit): Promise<Response> => {
    let answer: Response;
    try {
      answer = await fetch(url, init);
    } catch (error) {
      this.#awaySinceUs ??= this.#clock.monoUs();
      throw error;
    }
    if (isAwayStatus(answer.status)) this.#awaySinceUs ??= this.#clock.monoUs();
    else this.#answered();
    return answer;
  };

  /** Whether a server that has answered before does not now. */
  get isWaiting(): boolean {
    return this.#hasAnswered && this.#awaySinceUs !== undefined;
  }

  /** Says that the server is waited for, once until it answers. */
  tell(): void {
    if (this.#isTold) return;
    this.#isTold = true;
    this.#say('aircheck: the server does not answer; waiting for it\n');
  }

  /**
   * Does work that asks the server by `fetch`, and does it again while no answer comes: it must be safe to do twice.
   * Rejects as the work does when the server answers something else, has not answered for a minute, or never did; with
   * the signal's reason when that aborts.
   */
  async keepAsking<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T> {
    for (let tries = 0, breaks = 0; ; tries++) {
      try {
        return await work();
      } catch (error) {
        signal?.throwIfAborted();
        if (!isUnanswered(error) || !this.#hasAnswered) throw error;
        const isTooLong =
          this.#awaySinceUs === undefined
            ? ++breaks >= MOST_BREAKS
            : this.#clock.monoUs() - this.#awaySinceUs >= LIMIT_US;
        if (isTooLong) throw error;
        this.tell();
        await this.#pause(PAUSES_MS[Math.min(tries, PAUSES_MS.length - 1)] ?? 0, signal);
      }
    }
  }

  #answered(): void {
    if (this.#isTold) this.#say('aircheck: the server answers again\n');
    this.#hasAnswered = true;
    this.#awaySinceUs = undefined;
    this.#isTold = false;
  }
}

/** A server that ends, or a proxy that does not reach it: as good as no answer. */
export function isAwayStatus(status: number): boolean {
  return status >= 500;
}

function isUnanswered(error: unknown): boolean {
  if (error instanceof AircheckError) return error.status === undefined || isAwayStatus(error.status);
  return error instanceof Fault && error.retryable;
}
