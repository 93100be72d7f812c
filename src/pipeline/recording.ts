/**
 * Recording: a running pipeline as its process sees it, and the one switch from a plan's mode to the line that makes it.
 */
import type { ChangeCommand, StartCommand } from '../contract/line/commands.ts';
import type { EndReason, Fact } from '../contract/line/facts.ts';
import type { Clock } from '../kernel/clock.ts';
import { IndividualRecording } from './individual/individual-recording.ts';
import { MixRecording } from './mix/mix-recording.ts';
import type { MachineFacts, QualityCollector } from './report/quality-collector.ts';
import { reported } from './report/reported.ts';

/** A Fact before time and generation are put on. */
export type Happening = Fact extends infer F
  ? F extends { atMs: number }
    ? Omit<F, 'atMs' | 'generation'>
    : never
  : never;
export type Ending = { reason: EndReason; recorded: boolean; message: string };

export type RecordingContext = {
  clock: Clock;
  /** Tells the control process what happened; the time is put on by the caller. */
  emit(happening: Happening): void;
  /** What the process has taken of its machine; absent when there is none of its own. */
  machine?(): MachineFacts;
};
/** What a mode's line is handed. */
export type LineContext = RecordingContext & {
  /** Takes down what happens, for the recording's quality report. */
  report: QualityCollector;
};

export type Recording = {
  /** Records up to monotonic `atMonoUs`, finishes the files and settles `done`. Calling it again does nothing. */
  stop(atMonoUs: number, reason: EndReason): void;
  /** Holds from the frame of the command's time on, or from the next one when that is made already. Ignored after a stop. */
  change(command: ChangeCommand): void;
  /** Settles once every file lies on the spool. Rejects when an invariant broke. */
  readonly done: Promise<Ending>;
  /** How far encoding lags behind its due time, microseconds. */
  lagUs(): number;
};

/** Joins the channel and begins to record. Rejects with a Fault when the feed cannot be had. */
export function startRecording(start: StartCommand, context: RecordingContext): Promise<Recording> {
  return reported(start, context, (line) => startLine(start, line));
}

function startLine(start: StartCommand, context: LineContext): Promise<Recording> {
  switch (start.plan.mode) {
    case 'mix':
      return MixRecording.start(start, start.plan, context);
    case 'individual':
      return IndividualRecording.start(start, start.plan, context);
  }
}
