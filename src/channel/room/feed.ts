/**
 * RoomFeed: what one recorder hears of a room. Gives each publication a track, with a number that is never used twice, and of a
 * simulcast the encoding that the recorder is to have.
 */
import type { Encoding, EncodingReader } from './encoding.ts';
import { EncodingChoice, type VideoStreamType } from './encoding-choice.ts';
import type { FeedSocket } from './feed-socket.ts';
import type { Publication } from './publication.ts';

/** A publication in one feed. */
class FeedTrack implements EncodingReader {
  readonly number: number;
  readonly publication: Publication;
  readonly #choice: EncodingChoice;
  readonly #out: FeedSocket;

  constructor(options: {
    number: number;
    publication: Publication;
    videoStreamType: VideoStreamType;
    out: FeedSocket;
    nowUs: number;
  }) {
    const { number, publication, videoStreamType, out, nowUs } = options;
    this.number = number;
    this.publication = publication;
    this.#out = out;
    this.#choice = new EncodingChoice(publication.encodings, videoStreamType, nowUs);
    for (const encoding of publication.encodings) encoding.readers.add(this);
  }

  get encoding(): Encoding | undefined {
    return this.#choice.chosen;
  }

  /** Those whose key frame helps: the one that is given, or all while none is. */
  get wanted(): readonly Encoding[] {
    return this.encoding ? [this.encoding] : this.publication.encodings;
  }

  onPacket(encoding: Encoding, datagram: Buffer, arrivalUs: number): void {
    if (this.#choice.onPacket(encoding, arrivalUs)) this.#change(this.#choice.chosen!);
    else if (this.#choice.chosen === encoding) this.#out.writeMedia('rtp', this.number, datagram, arrivalUs);
  }

  onRtcp(encoding: Encoding, datagram: Buffer, arrivalUs: number): void {
    if (this.#choice.chosen === encoding) this.#out.writeMedia('rtcp', this.number, datagram, arrivalUs);
  }

  end(): void {
    for (const encoding of this.publication.encodings) encoding.readers.delete(this);
  }

  /** What is kept begins with a key frame. Its clock comes right behind the first packet, by which it is known. */
  #change({ cache, lastReport }: Encoding): void {
    cache.packets().forEach(({ datagram, arrivalUs }, n) => {
      this.#out.writeMedia('rtp', this.number, datagram, arrivalUs);
      if (n === 0 && lastReport) this.#out.writeMedia('rtcp', this.number, lastReport.datagram, lastReport.arrivalUs);
    });
  }
}

export type RoomFeedOptions = {
  out: FeedSocket;
  /** Which encoding of a simulcast the recorder is given. */
  videoStreamType: VideoStreamType;
  openedMonoUs: number;
  utcMs: number;
};

export class RoomFeed {
  readonly #out: FeedSocket;
  readonly #videoStreamType: VideoStreamType;
  readonly #tracks = new Map<Publication, FeedTrack>();
  #last = 0;

  constructor({ out, videoStreamType, openedMonoUs, utcMs }: RoomFeedOptions) {
    this.#out = out;
    this.#videoStreamType = videoStreamType;
    out.writeEvent({ type: 'hello', version: 1, monoUs: openedMonoUs, utcMs }, openedMonoUs);
  }

  join(uid: string, nowUs: number): void {
    this.#out.writeEvent({ type: 'userJoined', uid }, nowUs);
  }

  leave(uid: string, nowUs: number): void {
    this.#out.writeEvent({ type: 'userLeft', uid }, nowUs);
  }

  startTrack(uid: string, publication: Publication, nowUs: number): void {
    const number = ++this.#last;
    const out = this.#out;
    const track = new FeedTrack({ number, publication, videoStreamType: this.#videoStreamType, out, nowUs });
    this.#tracks.set(publication, track);
    out.writeEvent({ type: 'trackStarted', track: { track: number, uid, format: publication.format } }, nowUs);
  }

  endTrack(publication: Publication, nowUs: number): void {
    const track = this.#tracks.get(publication);
    if (!track) return;
    this.#tracks.delete(publication);
    track.end();
    this.#out.writeEvent({ type: 'trackEnded', track: track.number }, nowUs);
  }

  /**
   * Writes what came before the feed was opened: the newest reports first, so that every packet's clock can be mapped; then all
   * tracks as they came in, in one order.
   */
  writePast(): void {
    const past: { number: number; datagram: Buffer; arrivalUs: number }[] = [];
    for (const { number, encoding } of this.#tracks.values()) {
      const report = encoding?.lastReport;
      if (report) this.#out.writeMedia('rtcp', number, report.datagram, report.arrivalUs);
      for (const { datagram, arrivalUs } of encoding?.cache.packets() ?? []) past.push({ number, datagram, arrivalUs });
    }
    past.sort((a, b) => a.arrivalUs - b.arrivalUs);
    for (const { number, datagram, arrivalUs } of past) this.#out.writeMedia('rtp', number, datagram, arrivalUs);
  }

  /** Has the senders of all tracks asked for a key frame. */
  wantKeyFrames(): void {
    for (const track of this.#tracks.values()) for (const encoding of track.wanted) encoding.wantKeyFrame();
  }

  /** @param number of a track; one that has ended is passed over */
  wantKeyFrame(number: number): void {
    for (const track of this.#tracks.values())
      if (track.number === number) for (const encoding of track.wanted) encoding.wantKeyFrame();
  }

  close(): void {
    for (const track of this.#tracks.values()) track.end();
    this.#tracks.clear();
  }
}
