/**
 * QualityCollector: notes what happens to a recording, for its quality report. Every mode's line tells it through the
 * same few calls; it is bounded however long a recording goes on. Times are microseconds of the recording.
 */

import type { PushReport, QualityReport } from '../../contract/line/quality-report.ts';
import type { RecordingUs } from '../../kernel/time.ts';
import type { Track } from '../../media/track.ts';
import { HoldWatch } from './hold-watch.ts';
import { Kept, MOST_SPANS, toMs } from './kept.ts';
import { OverloadWatch } from './overload-watch.ts';
import { PageReport } from './page-report.ts';
import { ParticipantReport } from './participant-report.ts';
import { TrackReport } from './track-report.ts';

const MOST_PARTICIPANTS = 200;
/** Limit for all participants together. */
const MOST_TRACKS = 600;
export const MOST_PUSHES = 50;

export type QualityCollectorOptions = {
  sid: string;
  mode: string;
  /** The recording's zero, Unix milliseconds. */
  zeroUtcMs: number;
  /** The number of this run, and when it began, microseconds of the recording. */
  run?: { generation: number; startedUs: RecordingUs } | undefined;
};
export type MachineFacts = { cpuUs: number; peakRssBytes: number };
/** What is measured when a report is made. */
export type Measurement = { atUs: RecordingUs; lagUs: number; machine: MachineFacts | undefined };

export class QualityCollector {
  /** Takes down what is taken from the picture. */
  readonly overload = new OverloadWatch();
  readonly #o: QualityCollectorOptions;
  readonly #participants = new Map<string, ParticipantReport>();
  readonly #others = new Set<string>();
  readonly #pushes = new Map<string, PushReport>();
  readonly #degraded = new Kept<{ atUs: RecordingUs; what: string; count: number }>(2 * MOST_SPANS);
  #page: PageReport | undefined;
  readonly #holds = new HoldWatch();
  #tracks = 0;
  #filesFromUs: RecordingUs | undefined;
  #runFilesFromUs: RecordingUs | undefined;
  #endUs: RecordingUs | undefined;
  #worstLagUs = 0;

  constructor(options: QualityCollectorOptions) {
    this.#o = options;
  }

  onJoined(uid: string, atUs: RecordingUs): void {
    this.#of(uid)?.onJoined(atUs);
  }

  onLeft(uid: string, atUs: RecordingUs): void {
    const participant = this.#participants.get(uid);
    participant?.measure(atUs);
    participant?.onLeft(atUs);
  }

  /**
   * A track is received from now on. What is told to the returned report becomes part of the recording's, as long as
   * there is room.
   */
  onTrack(track: Track, atUs: RecordingUs): TrackReport {
    const report = new TrackReport(track, atUs, (fromUs, toUs) => this.#holds.heldIn(fromUs, toUs));
    this.#of(track.uid)?.onTrack(report, this.#tracks < MOST_TRACKS);
    this.#tracks++;
    return report;
  }

  /** The present state of a push; only the first many pushes of a recording are noted. */
  onPush(id: string, push: PushReport): void {
    if (this.#pushes.has(id) || this.#pushes.size < MOST_PUSHES) this.#pushes.set(id, { ...push });
  }

  /** The recording is of a web page; what is told to the returned report becomes part of the recording's. */
  onPage(fps: number): PageReport {
    this.#page = new PageReport(fps);
    return this.#page;
  }

  /** The recording is put on hold, or goes on, from `atUs` on; undefined: since before this run. As in HoldWatch. */
  onHold(atUs: RecordingUs | undefined, onhold: boolean): void {
    this.#holds.onHold(atUs ?? this.#o.run?.startedUs ?? 0, onhold);
  }

  onDegraded(what: string, count: number, atUs: RecordingUs): void {
    const last = this.#degraded.items.at(-1);
    // The same message again and again, as from a machine that is too slow, is one entry.
    if (last?.what === what) last.count += count;
    else this.#degraded.add({ atUs, what, count });
  }

  /** The recording's files begin at `atUs`, and those of this run at `runFromUs`. */
  onFilesBegun(atUs: RecordingUs, runFromUs = atUs): void {
    this.#filesFromUs ??= atUs;
    this.#runFilesFromUs ??= runFromUs;
  }

  /** Nothing after `atUs` is recorded. Called before the tracks are closed. */
  onEnd(atUs: RecordingUs): void {
    this.#endUs ??= atUs;
    for (const participant of this.#participants.values()) participant.measure(atUs);
  }

  /** Called now and then, for what can be measured only while it lasts. */
  measure({ atUs, lagUs }: Pick<Measurement, 'atUs' | 'lagUs'>): void {
    this.#worstLagUs = Math.max(this.#worstLagUs, lagUs);
    for (const participant of this.#participants.values()) participant.measure(atUs);
  }

  /** The report so far; with an `endReason`, the final one. */
  report(measurement: Measurement, endReason?: string): QualityReport {
    this.measure(measurement);
    const isFinal = endReason !== undefined;
    const untilUs = isFinal ? (this.#endUs ?? measurement.atUs) : measurement.atUs;
    const { sid, mode, zeroUtcMs, run } = this.#o;
    const filesFromMs = this.#runFilesFromUs === undefined ? null : toMs(this.#runFilesFromUs);
    const { machine } = measurement;
    const overload = this.overload.report(untilUs);
    return {
      version: 1,
      sid,
      mode,
      state: isFinal ? 'final' : 'recording',
      zeroUtcMs: Math.round(zeroUtcMs),
      filesFromMs: this.#filesFromUs === undefined ? null : toMs(this.#filesFromUs),
      measuredMs: toMs(measurement.atUs),
      endedMs: isFinal ? toMs(untilUs) : null,
      endReason: endReason ?? null,
      ...(run && {
        runs: [{ generation: run.generation, startedMs: toMs(run.startedUs), filesFromMs, lastKnownMs: null }],
      }),
      ...this.#holds.report(untilUs),
      participants: [...this.#participants.values()].map((each) => each.report(untilUs, zeroUtcMs)),
      moreParticipants: this.#others.size,
      ...(this.#pushes.size > 0 && { pushes: [...this.#pushes.values()] }),
      ...(this.#page && { page: this.#page.report(untilUs) }),
      ...(overload && { overload }),
      degraded: this.#degraded.items.map(({ atUs, what, count }) => ({ atMs: toMs(atUs), what, count })),
      moreDegraded: this.#degraded.more,
      machine: machine
        ? {
            cpuMs: toMs(machine.cpuUs),
            peakRssBytes: Math.round(machine.peakRssBytes),
            worstLagMs: toMs(this.#worstLagUs),
          }
        : null,
    };
  }

  #of(uid: string): ParticipantReport | undefined {
    const known = this.#participants.get(uid);
    if (known) return known;
    if (this.#participants.size >= MOST_PARTICIPANTS) {
      if (this.#others.size < 100_000) this.#others.add(uid);
      return undefined;
    }
    const participant = new ParticipantReport(uid);
    this.#participants.set(uid, participant);
    return participant;
  }
}
