/** Recording: a running pipeline as its process sees it, and what it is given. */

import type { ChildProcess } from 'node:child_process';
import type { ChangeCommand } from '../contract/line/commands.ts';
import type { EndReason, Fact } from '../contract/line/facts.ts';
import type { RungName } from '../contract/line/rungs.ts';
import type { Clock } from '../kernel/clock.ts';
import type { HostUs, RecordingUs } from '../kernel/time.ts';
import type { MachineFacts, QualityCollector } from './report/quality-collector.ts';
import type { PreparedPage } from './web/prepared-page.ts';

/** A Fact without its time and generation. */
export type Happening = Fact extends infer F
  ? F extends { atMs: number }
    ? Omit<F, 'atMs' | 'generation'>
    : never
  : never;
export type Ending = { reason: EndReason; recorded: boolean; message: string };

export type RecordingContext = {
  clock: Clock;
  /** Tells the control process what happened; the caller adds the time. */
  emit(happening: Happening): void;
  /** What the process has taken of its machine, or this recording's part of that; absent where nobody measures. */
  machine?(): MachineFacts;
  /** Lets this process use an X server, whose key is in this file (XAUTHORITY). */
  useXAuthority?(path: string): void;
  /** Starts the process that pushes, with a pipe as its standard input and a channel for messages. */
  startPusher?(): ChildProcess;
  /** An empty page for this recording; absent when none was made ready. */
  preparedPage?: PreparedPage | undefined;
};
/** What a mode's line is given. */
export type LineContext = RecordingContext & {
  /** Notes what happens, for the recording's quality report. */
  report: QualityCollector;
};

export type Recording = {
  /** Records up to monotonic `atMonoUs`, finishes the files and settles `done`. Calling it again does nothing. */
  stop(atMonoUs: HostUs, reason: EndReason): void;
  /**
   * The change holds from the frame at the command's time on, or from the next one when that frame is made already.
   * Ignored after a stop.
   */
  change(command: ChangeCommand): void;
  /**
   * Settles once every file is on the spool. Rejects when an invariant broke; of a recording that may share its process
   * only once nothing is written any more, because another run reads what lies there.
   */
  readonly done: Promise<Ending>;
  /**
   * Gives up at once, finishes no file, and has `done` reject with `why`. Only recordings that may share their process
   * can be given up: the others end with theirs.
   */
  abort?(why: unknown): void;
  /** How far encoding lags behind its due time, microseconds. */
  lagUs(): number;
  /**
   * Up to when it has heard what happened in its channel, microseconds of the recording; undefined before it has heard
   * anything. Absent where there is no channel.
   */
  heardUs?(): RecordingUs | undefined;
  /** What is taken from the picture now; undefined where none is encoded. */
  rung?(): RungName | undefined;
  /** How many packets it has taken so far, by which a shared process shares out its CPU time; undefined where none. */
  packets?(): number;
  /** What other programs took for the recording when it was last measured; undefined where there are none. */
  programs?(): { memoryBytes: number; cpuUs: number } | undefined;
};
