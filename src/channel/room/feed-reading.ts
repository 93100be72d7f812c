/**
 * FeedReading: one reading of a feed by one recorder. It begins with who was there at the point it is read from, goes
 * on with all that came since in the order it came, and then stays with the present.
 */

import type { FeedEvent } from '../../contract/line/feed.ts';
import type { HostUs } from '../../kernel/time.ts';
import type { FeedTrack, Run } from './feed-track.ts';

/** Where a reading is written to. */
export type FeedSink = {
  writeEvent(event: FeedEvent, atUs: HostUs): void;
  writeMedia(kind: 'rtp' | 'rtcp', track: number, datagram: Buffer, arrivalUs: HostUs): void;
  /** True when the recorder is to take some of what was written before it is given more; `onDrained` goes on then. */
  readonly isFull: boolean;
};

/** Presence as it is told, and tracks that start; with its place in the order of everything. */
export type FeedNote = { event: FeedEvent; track?: FeedTrack; atUs: HostUs; order: number };

/** What a reading begins with. */
export type FeedStart = {
  hello: FeedNote;
  /** When what arrived is read again, monotonic microseconds. */
  fromUs: HostUs;
  /** Of those who are there, in order of joining. */
  joined: readonly FeedNote[];
  /** Of the tracks that are there, or whose last picture is still to be seen. */
  started: readonly FeedNote[];
  /** What is told after this point in the order of everything happened after the recorder came. */
  nowOrder: number;
  nowUs: HostUs;
  /** The first of the notes that came since. */
  firstNote: number;
};

export type FeedNotes = {
  /** @param n counts from the feed's opening */
  note(n: number): FeedNote | undefined;
  /** Packets of a track were given up at a bound before this reading came to them. */
  onDropped(track: number, packets: number): void;
};

type Cursor = {
  track: FeedTrack;
  run: Run | undefined;
  /** Of the next entry in the run's log. */
  index: number;
  /** Whether nothing of the run was read yet, and it begins here. */
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
    this.#note = start.firstNote;
    for (const { event, atUs } of [start.hello, ...start.joined, ...start.started]) sink.writeEvent(event, atUs);
    // Reports first, so that every packet's clock can be mapped.
    for (const { track } of start.started) if (track) this.#resume(track);
    this.#readOn();
  }

  /** True when there is nothing that was not written. */
  get isLive(): boolean {
    return this.#isLive;
  }

  /** True when all that came before the end was written. */
  get isFinished(): boolean {
    return this.#isLive && this.#endOrder < NEVER;
  }

  /** The first note that is not read yet, counted from the feed's opening. */
  get nextNote(): number {
    return this.#note;
  }

  /** Whether all of a track, and its end, is read. */
  hasFinished(track: FeedTrack): boolean {
    return !this.#cursors.has(track);
  }

  /** There is something new of a track. */
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

  /** What comes from now on is not read. */
  end(order: number): void {
    this.#endOrder = order;
  }

  /** The recorder took what was written. */
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
    const run = track?.firstRun;
    if (track) this.#cursors.set(track, { track, run, index: run?.from ?? 0, atStart: true, needsSets: true });
    this.#rest();
  }

  /** A track that is there already goes on from the last place that a recorder can begin at. */
  #resume(track: FeedTrack): void {
    const run = track.firstRun;
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

  /** Place of the cursor's next entry in the order of everything. */
  #orderOf(cursor: Cursor): number {
    const { ended } = cursor.track;
    if (!cursor.run && cursor.track.firstRun) enter(cursor, cursor.track.firstRun);
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

  /** Reports from before a run are given as its newest one alone. */
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
      // Its clock comes right behind the first packet, by which it is known.
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

/** Goes on with the beginning of a run. */
function enter(cursor: Cursor, run: Run): void {
  cursor.run = run;
  cursor.index = run.from;
  cursor.atStart = true;
  cursor.needsSets = true;
}

/** Whether there is surely nothing more of a cursor's track, as after nearly every packet of the present. */
function isAtHead({ run, index, track }: Cursor): boolean {
  return run !== undefined && run.next === undefined && track.ended === undefined && index === run.encoding.log.end;
}

/** Whether an entry came in after the track had ended. */
function isBehind({ ended }: FeedTrack, { encoding: { log } }: Run, index: number): boolean {
  return ended !== undefined && log.order(index) > ended.order;
}
