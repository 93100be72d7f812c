/**
 * What tests of a task's runs share: a runner and a server's recordings in a world of fakes, files on its spool, and a
 * run of the server before.
 */
import type { SpooledFile } from '../../src/media/segment.ts';
import type { RunFile } from '../../src/session/ports.ts';
import { Recordings } from '../../src/session/recordings.ts';
import type { RunRecord } from '../../src/session/run-record.ts';
import { newTaskState, type TaskState } from '../../src/session/task.ts';
import { TaskRunner } from '../../src/session/task-runner.ts';
import { type FakeWorld, OPEN, taskOf } from './fake-ports.ts';

/** A file on a spool, as the next server reads it. */
export const lying = (name: string): RunFile => ({ dir: '/spool/x/1', file: mp4(name) });
export const mp4 = (name: string, startUtcMs = 1, durationUs = 1): SpooledFile => ({
  ...{ type: 'mp4', name, index: 0, startUtcMs, durationUs, bytes: 1 },
});

export const sliceOf = (name: string): SpooledFile => ({
  ...{ type: 'slice', name, playlist: 'x.m3u8', index: 0, startUtcMs: 1, durationUs: 1, bytes: 1 },
  ...{ discontinuity: false, starts: [], rotations: [] },
});

/** The runner of a task that the world's store has. */
export function hold(world: FakeWorld, task = taskOf(), state: TaskState = newTaskState()): TaskRunner {
  world.store.tasks.set(task.sid, { task, state });
  return new TaskRunner(task, state, world.store.holdOf(task.sid), world.ports());
}
/** All recordings of a server in this world. */
export function recordingsOf(world: FakeWorld): Recordings {
  return new Recordings({
    ...world.ports(),
    resourceLifeMs: 1,
    sliceStartTimeUnit: 's',
    forceExtinfComma: false,
    failoverNames: false,
    storeReports: 'local',
    mp4Limit: { durationMs: 1000, bytes: 1_000_000 },
    baseName: (sid) => sid,
    callTimeoutMs: 4000,
    maxRecordings: 10,
    admission: OPEN,
    start: {},
    mayRecord: () => true,
  });
}

export const running: RunRecord = {
  generation: 1,
  kind: 'record',
  phase: 'running',
  process: { pid: 99, startTicks: 1, bootId: 'boot' },
  startedMs: 0,
  endedMs: undefined,
  why: undefined,
};
