/**
 * A publisher that comes back: when nothing is heard of its server any more it publishes again, at that server or at
 * another node of its fleet, as docs/guide/fleet.md tells clients to and as the publish page does.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { AGAIN_MS, ATTEMPT_MS, Turns } from '../../../web/publish/turns.js';
import type { PublisherCommand, RtcPublishOptions } from './publisher.ts';
import { Refusal, RtcPublisher } from './rtc-publisher.ts';

const LOOK_MS = 100;
/** The server says something twice a second. */
const SILENT_MS = 1500;
/** How many of its former sessions it names. */
const FORMER = 5;

export class ReturningPublisher {
  readonly #options: RtcPublishOptions;
  readonly #told: (what: 'lost' | 'back') => void;
  readonly #failed: (error: unknown) => void;
  readonly #sessions: string[] = [];
  #publisher: RtcPublisher;
  #nodes: readonly string[] = [];
  #isOver = false;

  constructor(options: RtcPublishOptions, told: (what: 'lost' | 'back') => void, failed: (error: unknown) => void) {
    this.#options = options;
    this.#told = told;
    this.#failed = failed;
    this.#publisher = new RtcPublisher(options, failed);
  }

  async join(): Promise<void> {
    await this.#publisher.join();
    this.#joined();
    this.#watch().catch(this.#failed);
  }

  obey(command: PublisherCommand): void {
    this.#publisher.obey(command);
  }

  async stop(): Promise<void> {
    this.#isOver = true;
    await this.#publisher.stop();
  }

  vanish(): void {
    this.#isOver = true;
    this.#publisher.vanish();
  }

  #joined(): void {
    this.#sessions.push(this.#publisher.sessionId);
    if (this.#publisher.nodes.length > 0) this.#nodes = this.#publisher.nodes;
  }

  async #watch(): Promise<void> {
    while (!this.#isOver) {
      await pause(LOOK_MS);
      if (this.#isOver || this.#publisher.silentMs < SILENT_MS) continue;
      this.#told('lost');
      this.#publisher.vanish();
      if (await this.#comeBack()) this.#told('back');
    }
  }

  /** Tries until a server takes it. False once it has been stopped meanwhile. */
  async #comeBack(): Promise<boolean> {
    const { origin, pathname, search } = new URL(this.#options.url);
    const turns = new Turns(this.#nodes, origin, this.#publisher.origin);
    while (!this.#isOver) {
      const { address, limitMs } = turns.next();
      const url = new URL(pathname + search, address);
      url.searchParams.set('after', this.#sessions.slice(-FORMER).join(','));
      const next = new RtcPublisher({ ...this.#options, url: url.href }, this.#failed);
      try {
        await next.join(limitMs, ATTEMPT_MS);
        this.#publisher = next;
        this.#joined();
        if (this.#isOver) await next.stop();
        return !this.#isOver;
      } catch (error) {
        turns.failed(error instanceof Refusal);
        await pause(AGAIN_MS);
      }
    }
    return false;
  }
}
