import { beforeEach, expect, test } from 'vitest';
import { FakeWorld, settle, taskOf } from '../../test/support/fake-ports.ts';
import { running } from '../../test/support/task-scene.ts';
import { HeldTasks } from './held-tasks.ts';
import { Resources } from './resources.ts';
import { newTaskState } from './task.ts';

let world: FakeWorld;
let tasks: HeldTasks;
beforeEach(async () => {
  world = new FakeWorld();
  world.store.shared = true;
  world.store.fleet = true;
  tasks = new HeldTasks(world.ports(), new Resources(world.ports()));
  await tasks.recover();
});

async function pass(ms: number): Promise<void> {
  world.clock.advance(ms);
  await settle();
}

/** A node is overdue, as is seen at the next look, and its recording can be claimed from the end of its lease on. */
async function overdue(endsInMs: number): Promise<string> {
  world.store.leaseEndsInMs = endsInMs;
  await pass(1_000);
  world.store.leaseEndsInMs = undefined;
  const task = taskOf();
  world.store.tasks.set(task.sid, { task, state: { ...newTaskState(), phase: 'recording', generation: 1 } });
  world.store.runs.set(task.sid, [{ ...running, phase: 'ended' }]);
  return task.sid;
}

test('what a node had that is gone is claimed as its lease ends, and not at the next look', async () => {
  const sid = await overdue(300);
  await pass(299);
  expect(tasks.get(sid)).toBeUndefined();
  await pass(1);
  expect(tasks.get(sid)).toBeDefined();
});

test('where the end of a lease was wrong, it is claimed at the next look', async () => {
  const sid = await overdue(5_000);
  await pass(1_000);
  expect(tasks.get(sid)).toBeDefined();
});
