/**
 * FeedTrack: a publication in one feed. Keeps down which encoding the recorder is given from when on, so that a later
 * reading of the feed gets the same packets.
 */
import type { HostUs } from '../../kernel/time.ts';
import type { Encoding, EncodingReader } from './encoding.ts';
import { EncodingChoice, type VideoStreamType } from './encoding-choice.ts';
import type { Publication } from './publication.ts';

/** A stretch in which the recorder is given one encoding. */
export type Run = {
  encoding: Encoding;
  /** Index in the encoding's log that it begins with: for video a key frame. */
  from: number;
  /** When it was chosen. What of it came in before is given at that moment. */
  sinceOrder: number;
  sinceUs: HostUs;
  /** The newest report of the encoding's sender at that moment. */
  report: { datagram: Buffer; arrivalUs: HostUs } | undefined;
  /** The one that took its place. */
  next: Run | undefined;
};

export type FeedTrackOptions = {
  number: number;
  uid: string;
  publication: Publication;
  videoStreamType: VideoStreamType;
  startedUs: HostUs;
  /** Place in the order of everything; negative infinity for what was there when the feed was opened. */
  startedOrder: number;
  nextOrder(): number;
  /** Where a reading that begins now would begin, monotonic microseconds. */
  safeUs(): HostUs;
  /** There is something new to be read. */
  onAdded(track: FeedTrack): void;
};

export class FeedTrack implements EncodingReader {
  readonly number: number;
  readonly uid: string;
  readonly publication: Publication;
  readonly startedUs: HostUs;
  readonly #o: FeedTrackOptions;
  readonly #choice: EncodingChoice;
  #firstRun: Run | undefined;
  #lastRun: Run | undefined;
  #ended: { atUs: HostUs; order: number } | undefined;

  constructor(options: FeedTrackOptions) {
    this.#o = options;
    this.number = options.number;
    this.uid = options.uid;
    this.publication = options.publication;
    this.startedUs = options.startedUs;
    const { encodings } = options.publication;
    this.#choice = new EncodingChoice(encodings, options.videoStreamType, options.startedUs);
    if (this.#choice.chosen) this.#begin(this.#choice.chosen, options.startedOrder, options.startedUs);
    for (const encoding of encodings) encoding.readers.add(this);
  }

  /** The oldest stretch that may be read again. Undefined before the first encoding was chosen. */
  get firstRun(): Run | undefined {
    return this.#firstRun;
  }

  get ended(): { atUs: HostUs; order: number } | undefined {
    return this.#ended;
  }

  /** Those whose key frame helps: the one that is given, or all while none is. */
  get wanted(): readonly Encoding[] {
    return this.#choice.chosen ? [this.#choice.chosen] : this.publication.encodings;
  }

  onPacket(encoding: Encoding, index: number): void {
    if (this.#ended) return;
    const arrivalUs = encoding.log.arrivalUs(index);
    if (this.#choice.onPacket(encoding, arrivalUs)) this.#begin(this.#choice.chosen!, this.#o.nextOrder(), arrivalUs);
    else if (this.#choice.chosen !== encoding) return;
    this.#o.onAdded(this);
  }

  onRtcp(encoding: Encoding): void {
    if (!this.#ended && this.#choice.chosen === encoding) this.#o.onAdded(this);
  }

  needs(encoding: Encoding): number {
    const safeUs = this.#o.safeUs();
    let needed = Number.POSITIVE_INFINITY;
    for (let run = this.#firstRun; run; run = run.next)
      if (run.encoding === encoding) needed = Math.min(needed, this.startOf(run, safeUs));
    return needed;
  }

  /** Index that a reading of the run begins with when what arrived before `fromUs` is safe. */
  startOf(run: Run, fromUs: HostUs): number {
    return run === this.#firstRun && run.sinceUs <= fromUs
      ? Math.max(run.from, run.encoding.log.startOf(fromUs))
      : run.from;
  }

  /** Nothing is added any more. */
  end(atUs: HostUs): void {
    this.#ended = { atUs, order: this.#o.nextOrder() };
  }

  /** Whether it had a picture before `atUs`. */
  hadPicture(atUs: HostUs): boolean {
    return this.publication.encodings.some(({ firstKeyFrameUs }) => (firstKeyFrameUs ?? atUs) < atUs);
  }

  /** What arrived before `safeUs` is not read again. */
  release(safeUs: HostUs): void {
    // All of a stretch arrived before the next one was chosen.
    while (this.#firstRun?.next && this.#firstRun.next.sinceUs < safeUs) this.#firstRun = this.#firstRun.next;
  }

  /** It is not read again. */
  close(nowUs: HostUs): void {
    for (const encoding of this.publication.encodings) {
      encoding.readers.delete(this);
      encoding.trim(nowUs);
    }
  }

  #begin(encoding: Encoding, sinceOrder: number, sinceUs: HostUs): void {
    const newest = encoding.log.reportBefore(Number.POSITIVE_INFINITY);
    const report = newest && { datagram: Buffer.from(newest.datagram), arrivalUs: newest.arrivalUs };
    const from = encoding.log.startOf(sinceUs);
    const run: Run = { encoding, from, sinceOrder, sinceUs, report, next: undefined };
    if (this.#lastRun) this.#lastRun.next = run;
    this.#firstRun ??= run;
    this.#lastRun = run;
  }
}
