/**
 * FeedTrack: a publication in one feed. It notes which encoding the recorder is given from when on, so that a later
 * reading of the feed gives the same packets.
 */
import type { HostUs } from '../../kernel/time.ts';
import { inOwnMemory } from '../../media/own-memory.ts';
import type { Encoding, EncodingReader } from './encoding.ts';
import { EncodingChoice, type VideoStreamType } from './encoding-choice.ts';
import type { Publication } from './publication.ts';

/** A stretch in which the recorder is given one encoding. */
export type Run = {
  encoding: Encoding;
  /** Index in the encoding's log at which it begins; for video a key frame. */
  from: number;
  /** When the encoding was chosen. Its packets from before are given at that moment. */
  sinceOrder: number;
  sinceUs: HostUs;
  /** The newest report of the encoding's sender at that moment. */
  report: { datagram: Buffer; arrivalUs: HostUs } | undefined;
  /** The run that took this one's place. */
  next: Run | undefined;
};

export type FeedTrackOptions = {
  number: number;
  uid: string;
  publication: Publication;
  videoStreamType: VideoStreamType;
  startedUs: HostUs;
  /** Place in the order of everything; minus infinity for a track that was there when the feed was opened. */
  startedOrder: number;
  nextOrder(): number;
  /** The place at which a reading that begins now would begin, monotonic microseconds. */
  safeUs(): HostUs;
  /** The track has something new to read. */
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

  /** The oldest run that may be read again. Undefined before the first encoding was chosen. */
  get firstRun(): Run | undefined {
    return this.#firstRun;
  }

  get ended(): { atUs: HostUs; order: number } | undefined {
    return this.#ended;
  }

  /** The encodings whose key frame helps: the one that is given, or all while none is given. */
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
    let needed = this.#ended ? Number.POSITIVE_INFINITY : this.#choice.needs(encoding);
    for (let run = this.#firstRun; run; run = run.next)
      if (run.encoding === encoding) needed = Math.min(needed, this.startOf(run, safeUs));
    return needed;
  }

  /** Index at which a reading of the run begins when everything that arrived before `fromUs` is safe. */
  startOf(run: Run, fromUs: HostUs): number {
    return run === this.#firstRun && run.sinceUs <= fromUs
      ? Math.max(run.from, run.encoding.log.startOf(fromUs))
      : run.from;
  }

  /** Nothing is added any more. */
  end(atUs: HostUs): void {
    this.#ended = { atUs, order: this.#o.nextOrder() };
  }

  /** Whether the track had a picture before `atUs`. */
  hadPicture(atUs: HostUs): boolean {
    return this.publication.encodings.some(({ firstKeyFrameUs }) => (firstKeyFrameUs ?? atUs) < atUs);
  }

  /** What arrived before `safeUs` is not read again. */
  release(safeUs: HostUs): void {
    // Everything of a run arrived before the next one was chosen.
    while (this.#firstRun?.next && this.#firstRun.next.sinceUs < safeUs) this.#firstRun = this.#firstRun.next;
  }

  /** The track is not read again. */
  close(nowUs: HostUs): void {
    for (const encoding of this.publication.encodings) {
      encoding.readers.delete(this);
      encoding.trim(nowUs);
    }
  }

  #begin(encoding: Encoding, sinceOrder: number, sinceUs: HostUs): void {
    const newest = encoding.log.reportBefore(Number.POSITIVE_INFINITY);
    const report = newest && { datagram: inOwnMemory(newest.datagram), arrivalUs: newest.arrivalUs };
    const from = this.#choice.beginning(sinceUs);
    const run: Run = { encoding, from, sinceOrder, sinceUs, report, next: undefined };
    if (this.#lastRun) this.#lastRun.next = run;
    this.#firstRun ??= run;
    this.#lastRun = run;
  }
}
