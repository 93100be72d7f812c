/**
 * PreparedPage: an empty page with all programs that show and play it, for which the lateness of its pictures is known.
 * A recorder that waits for work may keep one ready, so that a start need not wait for a browser; it serves one
 * recording.
 */
import type { PagePlace } from '../../contract/line/commands.ts';
import type { Clock } from '../../kernel/clock.ts';
import { type PageSize, PageSource } from '../../stages/source/page/page-source.ts';
import { type Lateness, measureLateness } from './picture-lateness.ts';
import { yieldToMakers } from './priority.ts';

/** Used while the page's size is unknown: the usual size, on a screen that takes any (contract §1.2.7). */
const USUAL: PageSize = { width: 1280, height: 720 };
const LARGEST: PageSize = { width: 1920, height: 1920 };

export type PreparedPageOptions = {
  place: PagePlace;
  /** Size of the page, when it is known. */
  size?: PageSize;
  clock: Clock;
  /** As of RecordingContext. */
  useXAuthority?(path: string): void;
};

export class PreparedPage {
  readonly source: PageSource;
  /** Why the lateness of pictures could not be measured; undefined when it could. */
  unmeasured: string | undefined;
  readonly #o: PreparedPageOptions;
  #starting: Promise<Lateness> | undefined;

  /** @param id names the page's folder, as in Pages */
  constructor(options: PreparedPageOptions, id: string) {
    const { place, size, clock } = options;
    this.#o = options;
    this.source = new PageSource({ place, size: size ?? USUAL, largest: size ?? LARGEST, clock }, id);
  }

  /** Starts the programs, once. Resolves to the lateness of pictures; rejects as PageSource.start does. */
  start(): Promise<Lateness> {
    this.#starting ??= this.#start();
    return this.#starting;
  }

  /** Starts it, and makes the page this size. Resolves to the lateness of pictures, which grows with the size. */
  async fit(size: PageSize): Promise<Lateness> {
    const lateness = await this.start();
    return (await this.source.resize(size)) ? this.#measure() : lateness;
  }

  close(): Promise<void> {
    return this.source.close();
  }

  async #start(): Promise<Lateness> {
    await this.source.start();
    // Sound breaks first on a full machine, so the encoder gives way to the programs that play.
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
