/**
 * Feed: what one recorder hears of a room, from the moment the feed was opened. Each publication is a track of it, with
 * a number that is never used twice; of a simulcast it holds the encoding that the recorder is to have. It can be read
 * again from the last safe point, with the same packets, numbers and times (ADR 0012).
 */
import type { HostUs } from '../../kernel/time.ts';
import type { MediaKind } from '../../media/track.ts';
import type { VideoStreamType } from './encoding-choice.ts';
import { type FeedNote, FeedReading, type FeedSink } from './feed-reading.ts';
import { FeedTrack } from './feed-track.ts';
import type { Publication } from './publication.ts';

export type FeedOptions = {
  /** Which encoding of a simulcast the recorder is given. */
  videoStreamType: VideoStreamType;
  openedUs: HostUs;
  utcMs: number;
  /** The users in the room, in order of joining. */
  present: readonly { uid: string; publications: readonly Publication[] }[];
  nextOrder(): number;
  /** Packets of a track were given up at a bound before a recorder reached them. */
  onDropped(track: number, packets: number): void;
};

export class Feed {
  readonly #o: FeedOptions;
  readonly #hello: FeedNote;
  /** Notes from the safe point on, and how many came before it. */
  #notes: FeedNote[] = [];
  #notesBefore = 0;
  /** Who was there at the safe point, in order of joining, and the tracks. */
  readonly #joined = new Map<string, FeedNote>();
  readonly #started = new Map<FeedTrack, FeedNote>();
  /** Tracks that may be read again. */
  readonly #tracks = new Set<FeedTrack>();
  /** Tracks that have not ended. */
  readonly #open = new Map<Publication, FeedTrack>();
  #safeUs: HostUs;
  #lastNumber = 0;
  #reading: FeedReading | undefined;
  #isOver = false;

  constructor(options: FeedOptions) {
    this.#o = options;
    const { openedUs: atUs, utcMs, present } = options;
    this.#safeUs = atUs;
    const order = Number.NEGATIVE_INFINITY;
    this.#hello = { event: { type: 'hello', version: 1, monoUs: atUs, utcMs }, atUs, order };
    for (const { uid, publications } of present) {
      this.#joined.set(uid, { event: { type: 'userJoined', uid }, atUs, order });
      for (const publication of publications) {
        const { track, event } = this.#create(uid, publication, atUs, order);
        this.#started.set(track, { event, track, atUs, order });
      }
    }
  }

  join(uid: string, atUs: HostUs): void {
    this.#add({ event: { type: 'userJoined', uid }, atUs, order: this.#o.nextOrder() });
  }

  leave(uid: string, atUs: HostUs): void {
    this.#add({ event: { type: 'userLeft', uid }, atUs, order: this.#o.nextOrder() });
  }

  startTrack(uid: string, publication: Publication, atUs: HostUs): void {
    const order = this.#o.nextOrder();
    const { track, event } = this.#create(uid, publication, atUs, order);
    this.#add({ event, track, atUs, order });
  }

  endTrack(publication: Publication, atUs: HostUs): void {
    const track = this.#open.get(publication);
    if (!track) return;
    this.#open.delete(publication);
    track.end(atUs);
    this.#reading?.onTrackAdded(track);
  }

  /**
   * Begins a reading, which replaces the one before.
   * @param nowUs monotonic
   * @param kinds of track whose media is read
   */
  read(sink: FeedSink, nowUs: HostUs, kinds: readonly MediaKind[] = ['audio', 'video']): FeedReading {
    this.#reading = undefined;
    const reading = new FeedReading(
      sink,
      { note: (n) => this.#notes[n - this.#notesBefore], onDropped: this.#o.onDropped },
      {
        hello: this.#hello,
        fromUs: this.#safeUs,
        joined: [...this.#joined.values()],
        started: [...this.#started.values()],
        nowOrder: this.#o.nextOrder(),
        nowUs,
        firstNote: this.#notesBefore,
        kinds,
      },
    );
    this.#reading = reading;
    return reading;
  }

  /** The reading is over; another may begin at the safe point. */
  stopReading(): void {
    this.#reading = undefined;
  }

  /** How long the oldest part waits that the recorder has not been given; while none reads, all that is not safe. */
  backlogAgeUs(nowUs: HostUs): number {
    if (this.#reading) return this.#reading.backlogAgeUs(nowUs);
    return this.#isOver ? 0 : nowUs - this.#safeUs;
  }

  /** What arrived before `safeUs` is not read again. Does nothing for a moment before the present safe point. */
  release(safeUs: HostUs, nowUs: HostUs): void {
    if (!(safeUs > this.#safeUs)) return;
    this.#safeUs = Math.min(safeUs, nowUs);
    while (this.#notes[0] && this.#notes[0].atUs < this.#safeUs) {
      // What the reading has not reached yet stays, whatever the recorder said.
      if (this.#reading && this.#reading.nextNote <= this.#notesBefore) break;
      this.#fold(this.#notes.shift()!);
      this.#notesBefore++;
    }
    for (const track of this.#tracks) {
      track.release(this.#safeUs);
      if (this.#isForgotten(track)) this.#forget(track, nowUs);
    }
  }

  /** Asks the senders of all tracks for a key frame. */
  wantKeyFrames(): void {
    for (const track of this.#open.values()) for (const encoding of track.wanted) encoding.wantKeyFrame();
  }

  /** @param number of a track; nothing is asked of one that has ended */
  wantKeyFrame(number: number): void {
    for (const track of this.#open.values())
      if (track.number === number) for (const encoding of track.wanted) encoding.wantKeyFrame();
  }

  /** Nothing is added any more; what is there can still be read. */
  end(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#open.clear();
    this.#reading?.end(this.#o.nextOrder());
  }

  /** Frees everything. */
  close(nowUs: HostUs): void {
    this.end();
    this.#reading = undefined;
    for (const track of this.#tracks) this.#forget(track, nowUs);
  }

  #create(uid: string, publication: Publication, startedUs: HostUs, startedOrder: number) {
    const number = ++this.#lastNumber;
    const track = new FeedTrack({
      ...{ number, uid, publication, startedUs, startedOrder, videoStreamType: this.#o.videoStreamType },
      nextOrder: this.#o.nextOrder,
      safeUs: () => this.#safeUs,
      onAdded: (added) => this.#reading?.onTrackAdded(added),
    });
    this.#tracks.add(track);
    this.#open.set(publication, track);
    const event = { type: 'trackStarted', track: { track: number, uid, format: publication.format } } as const;
    return { track, event };
  }

  #add(note: FeedNote): void {
    this.#notes.push(note);
    this.#reading?.onNoteAdded();
  }

  #fold(note: FeedNote): void {
    const { event, track } = note;
    if (event.type === 'userJoined') this.#joined.set(event.uid, note);
    if (event.type === 'userLeft') this.#joined.delete(event.uid);
    if (track) this.#started.set(track, note);
  }

  /**
   * Whether an ended track is of no use any more: it ended before the safe point, and its last picture, if it ever had
   * one, is not shown any more.
   */
  #isForgotten(track: FeedTrack): boolean {
    const { ended, uid } = track;
    if (!ended || ended.atUs >= this.#safeUs || this.#reading?.hasFinished(track) === false) return false;
    if (!track.hadPicture(this.#safeUs) || !this.#joined.has(uid)) return true;
    return [...this.#tracks].some(
      (other) =>
        other.uid === uid &&
        other !== track &&
        other.publication.format.kind === 'video' &&
        (other.number > track.number || !other.ended) &&
        other.hadPicture(this.#safeUs),
    );
  }

  #forget(track: FeedTrack, nowUs: HostUs): void {
    this.#tracks.delete(track);
    this.#started.delete(track);
    track.close(nowUs);
  }
}
