/**
 * FeedReading: one reading of a feed by one recorder. It begins with who was in the room at the point where it begins,
 * goes on with everything that came since, in that order, and then follows the present.
 */

import type { FeedEvent } from '../../contract/line/feed.ts';
import type { HostUs } from '../../kernel/time.ts';
import type { MediaKind } from '../../media/track.ts';
import type { FeedTrack, Run } from './feed-track.ts';

/** Where a reading is written. */
export type FeedSink = {
  writeEvent(event: FeedEvent, atUs: HostUs): void;
  writeMedia(kind: 'rtp' | 'rtcp', track: number, datagram: Buffer, arrivalUs: HostUs): void;
  /** True when the recorder must take some of what was written before more is written; then `onDrained` is called. */
  readonly isFull: boolean;
};

/** An event of the feed, or the start of a track, with its place in the order of everything. */
export type FeedNote = { event: FeedEvent; track?: FeedTrack; atUs: HostUs; order: number };

/** What a reading begins with. */
export type FeedStart = {
  hello: FeedNote;
  /** From when on what arrived is read again, monotonic microseconds. */
  fromUs: HostUs;
  /** The events of users who are there, in order of joining. */
  joined: readonly FeedNote[];
  /** The starts of tracks that are there, or whose last picture is still shown. */
  started: readonly FeedNote[];
  /** What comes after this place in the order of everything happened after the recorder came. */
  nowOrder: number;
  nowUs: HostUs;
  /** The first of the notes that came since the safe point. */
  firstNote: number;
  /** Of other kinds of track only events are read. */
  kinds: readonly MediaKind[];
};

export type FeedNotes = {
  /** @param n counts from the feed's opening */
  note(n: number): FeedNote | undefined;
  /** Packets of a track were given up at a bound before this reading reached them. */
  onDropped(track: number, packets: number): void;
};

type Cursor = {
  track: FeedTrack;
  run: Run | undefined;
  /** Index of the next entry in the log of the run's encoding. */
  index: number;
  /** Whether nothing of the run has been read yet, and the reading begins at its start. */
  atStart: boolean;
  /** Whether the first packet is still to be given, and before it what its decoding needs. */
  needsSets: boolean;
};

const NEVER = Number.POSITIVE_INFINITY;

export class FeedReading {
  readonly #sink: FeedSink;
  readonly #notes: FeedNotes;
  readonly #fromUs: HostUs;
  readonly #nowOrder: number;
  readonly #nowUs: HostUs;
  readonly #kinds: readonly MediaKind[];
  readonly #cursors = new Map<FeedTrack, Cursor>();
  #note: number;
  #isLive = false;
  #endOrder = NEVER;
  #toldCaughtUp = false;

  constructor(sink: FeedSink, notes: FeedNotes, start: FeedStart) {
    this.#sink = sink;
    this.#notes = notes;
    this.#fromUs = start.fromUs;
    this.#nowOrder = start.nowOrder;
    this.#nowUs = start.nowUs;
    this.#kinds = start.kinds;
    this.#note = start.firstNote;
    for (const { event, atUs } of [start.hello, ...start.joined, ...start.started]) sink.writeEvent(event, atUs);
    // Reports come first, so that the clock of every packet can be mapped.
    for (const { track } of start.started) if (track) this.#resume(track);
    this.#readOn();
  }

  /** True when everything has been written. */
  get isLive(): boolean {
    return this.#isLive;
  }

  /** True when everything that came before the end has been written. */
  get isFinished(): boolean {
    return this.#isLive && this.#endOrder < NEVER;
  }

  /** How long the oldest entry waits that has not been written. */
  backlogAgeUs(nowUs: HostUs): number {
    if (this.#isLive) return 0;
    let oldestUs = nowUs;
    for (const { run, index } of this.#cursors.values()) {
      const log = run?.encoding.log;
      if (log && index < log.end) oldestUs = Math.min(oldestUs, log.arrivalUs(Math.max(index, log.first)));
    }
    return nowUs - oldestUs;
  }

  /** The first note that has not been read yet, counted from the feed's opening. */
  get nextNote(): number {
    return this.#note;
  }

  /** Whether a track has been read to its end. */
  hasFinished(track: FeedTrack): boolean {
    return !this.#cursors.has(track);
  }

  /** A track has something new to read. */
  onTrackAdded(track: FeedTrack): void {
    if (!this.#isLive || this.isFinished) return;
    for (;;) {
      const cursor = this.#cursors.get(track);
      if (!cursor || !this.#isLive || this.#orderOf(cursor) === NEVER) return;
      this.#read(cursor);
      if (isAtHead(cursor)) return;
    }
  }

  onNoteAdded(): void {
    if (this.#isLive) this.#readOn();
  }

  /** What comes after `order` is not read. */
  end(order: number): void {
    this.#endOrder = order;
  }

  /** The recorder has taken what was written. */
  onDrained(): void {
    if (!this.#isLive) this.#readOn();
  }

  #readOn(): void {
    this.#isLive = true;
    while (this.#isLive) {
      let first: Cursor | undefined;
      let order = NEVER;
      for (const cursor of this.#cursors.values()) {
        const own = this.#orderOf(cursor);
        if (own < order) [first, order] = [cursor, own];
      }
      const note = this.#notes.note(this.#note);
      if (!this.#toldCaughtUp && Math.min(order, note?.order ?? NEVER) > this.#nowOrder) {
        this.#toldCaughtUp = true;
        this.#sink.writeEvent({ type: 'caughtUp' }, this.#nowUs);
      }
      if (Math.min(order, note?.order ?? NEVER) > this.#endOrder) return;
      if (note && note.order < order) this.#readNote(note);
      else if (first) this.#read(first);
      else return;
    }
  }

  #readNote(note: FeedNote): void {
    this.#note++;
    this.#sink.writeEvent(note.event, note.atUs);
    const { track } = note;
    const run = track && this.#runOf(track);
    if (track) this.#cursors.set(track, { track, run, index: run?.from ?? 0, atStart: true, needsSets: true });
    this.#rest();
  }

  /** A track that is there already goes on from the last place at which a recorder can begin. */
  #resume(track: FeedTrack): void {
    const run = this.#runOf(track);
    const isUnderWay = run !== undefined && run.sinceUs <= this.#fromUs;
    const index = run ? track.startOf(run, this.#fromUs) : 0;
    this.#cursors.set(track, { track, run, index, atStart: !isUnderWay, needsSets: true });
    if (!run || !isUnderWay) return;
    const { log } = run.encoding;
    const report = log.reportBefore(this.#fromUs);
    if (report) this.#sink.writeMedia('rtcp', track.number, report.datagram, report.arrivalUs);
    const { dropped } = log;
    if (dropped && log.lacksStartOf(this.#fromUs)) this.#tellDropped(track, log.first - dropped.from, dropped.fromUs);
  }

  /** Where the media of a track begins; undefined while there is none, and where its kind is not wanted. */
  #runOf({ firstRun, publication }: FeedTrack): Run | undefined {
    return this.#kinds.includes(publication.format.kind) ? firstRun : undefined;
  }

  /** Place of the cursor's next entry in the order of everything. */
  #orderOf(cursor: Cursor): number {
    const { ended } = cursor.track;
    const first = cursor.run ?? this.#runOf(cursor.track);
    if (!cursor.run && first) enter(cursor, first);
    for (;;) {
      const { run } = cursor;
      if (!run) return ended?.order ?? NEVER;
      const { log } = run.encoding;
      if (cursor.index < log.first) this.#passDropped(cursor);
      const { next } = run;
      if (cursor.index < log.end) {
        const order = log.order(cursor.index);
        if (order < (next?.sinceOrder ?? ended?.order ?? NEVER)) {
          if (this.#isToBeRead(run, cursor.index)) return Math.max(order, run.sinceOrder);
          cursor.index++;
          continue;
        }
      }
      if (!next) return ended?.order ?? NEVER;
      enter(cursor, next);
    }
  }

  /** Of the reports from before a run only the newest is given. */
  #isToBeRead({ encoding: { log }, sinceOrder }: Run, index: number): boolean {
    return log.kind(index) === 'rtp' || (log.order(index) > sinceOrder && log.arrivalUs(index) >= this.#fromUs);
  }

  #read(cursor: Cursor): void {
    const { track, run } = cursor;
    const isOver = !run || cursor.index >= run.encoding.log.end || isBehind(track, run, cursor.index);
    if (isOver) {
      this.#cursors.delete(track);
      this.#sink.writeEvent({ type: 'trackEnded', track: track.number }, track.ended!.atUs);
    } else {
      const { log } = run.encoding;
      const index = cursor.index++;
      if (cursor.needsSets && log.kind(index) === 'rtp') {
        cursor.needsSets = false;
        for (const set of run.encoding.setsBefore(index))
          this.#sink.writeMedia('rtp', track.number, set, log.arrivalUs(index));
      }
      this.#sink.writeMedia(log.kind(index), track.number, log.datagram(index), log.arrivalUs(index));
      // The clock comes right behind the first packet, because the recorder knows the source only from there.
      if (cursor.atStart && run.report)
        this.#sink.writeMedia('rtcp', track.number, run.report.datagram, run.report.arrivalUs);
      cursor.atStart = false;
    }
    this.#rest();
  }

  #passDropped(cursor: Cursor): void {
    const { log } = cursor.run!.encoding;
    const packets = log.first - cursor.index;
    cursor.index = log.first;
    if (log.dropped) this.#tellDropped(cursor.track, packets, log.dropped.fromUs);
  }

  #tellDropped({ number, firstRun }: FeedTrack, packets: number, fromUs: HostUs): void {
    const untilUs = firstRun?.encoding.log.dropped?.toUs ?? fromUs;
    this.#sink.writeEvent({ type: 'dropped', track: number, packets, fromUs, untilUs }, untilUs);
    this.#notes.onDropped(number, packets);
  }

  #rest(): void {
    if (this.#sink.isFull) this.#isLive = false;
  }
}

/** Moves the cursor to the beginning of a run. */
function enter(cursor: Cursor, run: Run): void {
  cursor.run = run;
  cursor.index = run.from;
  cursor.atStart = true;
  cursor.needsSets = true;
}

/** Whether there is surely nothing more of the cursor's track, as after nearly every packet of the present. */
function isAtHead({ run, index, track }: Cursor): boolean {
  return run !== undefined && run.next === undefined && track.ended === undefined && index === run.encoding.log.end;
}

/** Whether an entry came in after its track had ended. */
function isBehind({ ended }: FeedTrack, { encoding: { log } }: Run, index: number): boolean {
  return ended !== undefined && log.order(index) > ended.order;
}
