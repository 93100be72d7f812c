/**
 * PageReport: what is noted of a web page for the quality report: how much its picture moved, when it stood still or
 * was silent, what went wrong in it, and what it took of the machine. Bounded. Times are microseconds of the recording.
 */
import type { PageReportData } from '../../contract/line/quality-report.ts';
import type { RecordingUs } from '../../kernel/time.ts';
import type { Sound } from '../../media/frame.ts';
import { Kept, MOST_SPANS, toMs } from './kept.ts';
import { SpanWatch } from './span-watch.ts';

/** A picture that stands still for less, or a shorter silence, is not reported. */
const LEAST_US = 2_000_000;
/** Sound below −80 dBFS cannot be heard. */
const SILENT = 1e-4;

type ErrorKind = PageReportData['errors'][number]['kind'];
type Use = { cpuUs: number; memoryBytes: number; processes: number };

export class PageReport {
  readonly #fps: number;
  readonly #frozen = new SpanWatch(LEAST_US);
  readonly #silent = new SpanWatch(LEAST_US);
  readonly #errors = new Kept<{ atUs: RecordingUs; kind: ErrorKind; text: string; count: number }>(MOST_SPANS);
  #lateness: { us: number; measured: boolean } | undefined;
  #frames: { first: number; last: number; written: number; distinct: number } | undefined;
  #use: Use | undefined;
  #peakBytes = 0;
  #peakProcesses = 0;

  constructor(fps: number) {
    this.#fps = fps;
  }

  onLateness(lateness: { us: number; measured: boolean }): void {
    this.#lateness = lateness;
  }

  /** A picture became frame `frame` of the files. @param changed whether it differs from the one read before it */
  onPicture(frame: number, atUs: RecordingUs, changed: boolean): void {
    const frames = this.#frames ?? { first: frame, last: frame, written: 0, distinct: 0 };
    frames.last = frame;
    frames.written++;
    if (changed) frames.distinct++;
    this.#frames = frames;
    this.#frozen.note(atUs, !changed);
  }

  /** A piece of sound that begins at `atUs`. */
  onSound(atUs: RecordingUs, { channels }: Sound): void {
    const isSilent = channels.every((samples) => samples.every((sample) => Math.abs(sample) < SILENT));
    this.#silent.note(atUs, isSilent);
  }

  /** The recording is on hold at `atUs`. */
  onHeld(atUs: RecordingUs): void {
    this.#frozen.note(atUs, false);
    this.#silent.note(atUs, false);
  }

  onError(kind: ErrorKind, text: string, atUs: RecordingUs): void {
    const known = this.#errors.items.find((each) => each.text === text && each.kind === kind);
    if (known) known.count++;
    else this.#errors.add({ atUs, kind, text, count: 1 });
  }

  onUse(use: Use): void {
    this.#use = use;
    this.#peakBytes = Math.max(this.#peakBytes, use.memoryBytes);
    this.#peakProcesses = Math.max(this.#peakProcesses, use.processes);
  }

  report(untilUs: RecordingUs): PageReportData {
    const { first, last, written, distinct } = this.#frames ?? { first: 0, last: -1, written: 0, distinct: 0 };
    const places = last - first + 1;
    const frozen = this.#frozen.report(untilUs);
    const silent = this.#silent.report(untilUs);
    return {
      pictureLatenessMs: this.#lateness ? toMs(this.#lateness.us) : null,
      latenessMeasured: this.#lateness?.measured ?? false,
      frames: written,
      distinctFrames: distinct,
      leftOutFrames: places - written,
      distinctFramesPerS: places > 0 ? Math.round((1000 * distinct * this.#fps) / places) / 1000 : 0,
      frozen: frozen.spans,
      moreFrozen: frozen.more,
      frozenMs: frozen.totalMs,
      silent: silent.spans,
      moreSilent: silent.more,
      silentMs: silent.totalMs,
      errors: this.#errors.items.map(({ atUs, ...error }) => ({ atMs: toMs(atUs), ...error })),
      moreErrors: this.#errors.more,
      machine: this.#use
        ? { cpuMs: toMs(this.#use.cpuUs), peakMemoryBytes: this.#peakBytes, peakProcesses: this.#peakProcesses }
        : null,
    };
  }
}

/** `now`, of the newest run, completed with what the runs before it knew. */
export function joinPages(before: PageReportData, now: PageReportData): PageReportData {
  const places = (page: PageReportData) => page.frames + page.leftOutFrames;
  const rate = (page: PageReportData) => page.distinctFramesPerS * places(page);
  const all = places(before) + places(now);
  const first = <T>(a: readonly T[], b: readonly T[]) => [...a, ...b].slice(0, MOST_SPANS);
  const beyond = (a: readonly unknown[], b: readonly unknown[]) => Math.max(0, a.length + b.length - MOST_SPANS);
  return {
    ...now,
    frames: before.frames + now.frames,
    distinctFrames: before.distinctFrames + now.distinctFrames,
    leftOutFrames: before.leftOutFrames + now.leftOutFrames,
    distinctFramesPerS: all > 0 ? Math.round((1000 * (rate(before) + rate(now))) / all) / 1000 : 0,
    frozen: first(before.frozen, now.frozen),
    moreFrozen: before.moreFrozen + now.moreFrozen + beyond(before.frozen, now.frozen),
    frozenMs: before.frozenMs + now.frozenMs,
    silent: first(before.silent, now.silent),
    moreSilent: before.moreSilent + now.moreSilent + beyond(before.silent, now.silent),
    silentMs: before.silentMs + now.silentMs,
    errors: first(before.errors, now.errors),
    moreErrors: before.moreErrors + now.moreErrors + beyond(before.errors, now.errors),
    machine: now.machine && {
      cpuMs: now.machine.cpuMs + (before.machine?.cpuMs ?? 0),
      peakMemoryBytes: Math.max(now.machine.peakMemoryBytes, before.machine?.peakMemoryBytes ?? 0),
      peakProcesses: Math.max(now.machine.peakProcesses, before.machine?.peakProcesses ?? 0),
    },
  };
}
