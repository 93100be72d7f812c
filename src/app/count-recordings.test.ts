import { expect, test } from 'vitest';
import { FakeWorld, settle, taskOf } from '../../test/support/fake-ports.ts';
import { newTaskState } from '../session/task.ts';
import { TaskRunner } from '../session/task-runner.ts';
import { countRecordings } from './count-recordings.ts';

/** A recording whose events are counted, and what was. */
function counted() {
  const calls: unknown[][] = [];
  const note =
    (name: string) =>
    (...given: unknown[]) =>
      void calls.push([name, ...given]);
  const metrics = {
    recordingStarted: note('started'),
    recordingEnded: note('ended'),
    runLost: note('lost'),
    degraded: note('degraded'),
  };
  const world = new FakeWorld();
  const task = { ...taskOf(), createdMs: world.clock.nowMs() };
  world.store.tasks.set(task.sid, { task, state: newTaskState() });
  const ports = { ...world.ports(), observer: countRecordings(metrics) };
  return { world, calls, runner: new TaskRunner(task, newTaskState(), world.store.holdOf(task.sid), ports) };
}

test('a start is counted once, with the time until the first recorder was there', async () => {
  const { world, calls, runner } = counted();
  await runner.start();
  const joined = (ms: number) => runner.dispatch({ type: 'recorderJoined', atMs: runner.task.createdMs + ms });
  await joined(350);
  expect(calls).toEqual([['started', 'mix', 0.35]]);
  world.recorders[0]!.exit('it crashed');
  await settle();
  await joined(9000);
  expect(calls).toEqual([
    ['started', 'mix', 0.35],
    ['lost', 'mix'],
  ]);
});

test('steps down the ladder are counted, steps up are not, and what was lost counts by its number', async () => {
  const { world, calls, runner } = counted();
  await runner.start();
  const recorder = world.recorders[0]!;
  recorder.tell({ type: 'rungChanged', sid: runner.task.sid, rung: 'halfRate', lagMs: 900 });
  recorder.tell({ type: 'rungChanged', sid: runner.task.sid, rung: 'fastCoding', lagMs: 100 });
  recorder.tell({ type: 'degraded', sid: runner.task.sid, what: 'frames', count: 4 });
  await settle();
  expect(calls).toEqual([
    ['degraded', 'mix', 'damage', 4],
    ['degraded', 'mix', 'rung', 1],
  ]);
});

test('an end is counted once, with whether a failure ended it', async () => {
  const { world, calls, runner } = counted();
  await runner.start();
  await runner.stop(false);
  world.recorders[0]!.tell({ type: 'ended', sid: runner.task.sid, reason: 'stopped', recorded: false, message: '' });
  await settle();
  world.uploads[0]!.letFinish();
  await runner.ended;
  expect(calls.filter(([name]) => name === 'ended')).toEqual([['ended', 'mix', true]]);

  const failed = counted();
  await failed.runner.start();
  for (let run = 0; run < 3; run++) {
    failed.world.recorders[run]!.exit('it crashed');
    await settle();
  }
  await settle();
  failed.world.uploads[0]!.letFinish();
  await failed.runner.ended;
  expect(failed.calls.filter(([name]) => name === 'ended')).toEqual([['ended', 'mix', false]]);
});
