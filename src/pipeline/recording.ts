/**
 * Recording: a running pipeline as its process sees it, and what it is handed.
 */

import type { ChildProcess } from 'node:child_process';
import type { ChangeCommand } from '../contract/line/commands.ts';
import type { EndReason, Fact } from '../contract/line/facts.ts';
import type { Clock } from '../kernel/clock.ts';
import type { HostUs } from '../kernel/time.ts';
import type { MachineFacts, QualityCollector } from './report/quality-collector.ts';
import type { PreparedPage } from './web/prepared-page.ts';

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
  /** Lets this process into an X server: the key is in this file (XAUTHORITY). */
  useXAuthority?(path: string): void;
  /** Starts the process that pushes, with a pipe as its standard input and a channel for messages. */
  startPusher?(): ChildProcess;
  /** An empty page that this recording is to have; absent where none was made ready. */
  preparedPage?: PreparedPage | undefined;
};
/** What a mode's line is handed. */
export type LineContext = RecordingContext & {
  /** Takes down what happens, for the recording's quality report. */
  report: QualityCollector;
};

export type Recording = {
  /** Records up to monotonic `atMonoUs`, finishes the files and settles `done`. Calling it again does nothing. */
  stop(atMonoUs: HostUs, reason: EndReason): void;
  /**
   * Holds from the frame of the command's time on, or from the next one when that is made already. Ignored after a
   * stop.
   */
  change(command: ChangeCommand): void;
  /** Settles once every file lies on the spool. Rejects when an invariant broke. */
  readonly done: Promise<Ending>;
  /** How far encoding lags behind its due time, microseconds. */
  lagUs(): number;
  /** What programs besides this process take for it, as was seen last; undefined where there are none. */
  programs?(): { memoryBytes: number; cpuUs: number } | undefined;
};
