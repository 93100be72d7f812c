/**
 * PreparedPage: an empty page with all that it is shown and heard with, of which is known how late its pictures are. A
 * recorder that waits for work may have one ready, so that a start costs no browser's start; it serves one recording.
 */
import type { PagePlace } from '../../contract/line/commands.ts';
import type { Clock } from '../../kernel/clock.ts';
import { type PageSize, PageSource } from '../../stages/source/page/page-source.ts';
import { type Lateness, measureLateness } from './picture-lateness.ts';
import { yieldToMakers } from './priority.ts';

/** For a page whose size is not known yet: what is usual, on a screen that takes any (contract §1.2.7). */
const USUAL: PageSize = { width: 1280, height: 720 };
const LARGEST: PageSize = { width: 1920, height: 1920 };

export type PreparedPageOptions = {
  place: PagePlace;
  /** Of the page, where it is known. */
  size?: PageSize;
  clock: Clock;
  /** As of RecordingContext. */
  useXAuthority?(path: string): void;
};

export class PreparedPage {
  readonly source: PageSource;
  /** Why it could not be measured how late pictures are; undefined when it could. */
  unmeasured: string | undefined;
  readonly #o: PreparedPageOptions;
  #starting: Promise<Lateness> | undefined;

  /** @param id tells whose folder it is, as of Pages */
  constructor(options: PreparedPageOptions, id: string) {
    const { place, size, clock } = options;
    this.#o = options;
    this.source = new PageSource({ place, size: size ?? USUAL, largest: size ?? LARGEST, clock }, id);
  }

  /** Starts the programs, once. Resolves to how late pictures are; rejects as PageSource.start does. */
  start(): Promise<Lateness> {
    this.#starting ??= this.#start();
    return this.#starting;
  }

  /** Starts it, and has it be of this size. Resolves to how late pictures are then, which grows with it. */
  async fit(size: PageSize): Promise<Lateness> {
    const lateness = await this.start();
    return (await this.source.resize(size)) ? this.#measure() : lateness;
  }

  close(): Promise<void> {
    return this.source.close();
  }

  async #start(): Promise<Lateness> {
    await this.source.start();
    // Sound is the first thing that breaks on a full machine: who encodes makes way for who plays.
    yieldToMakers();
    const { screen } = this.source;
    this.#o.useXAuthority?.(screen.authority);
    return this.#measure();
  }

  #measure(): Promise<Lateness> {
    return measureLateness(
      this.source.screen.display,
      (count) => this.source.flash(count),
      (why) => {
        this.unmeasured = why;
      },
    );
  }
}
