import { beforeEach, expect, test } from 'vitest';
import { FakeWorld, settle, taskOf } from '../../test/support/fake-ports.ts';
import { hold, recordingsOf, running } from '../../test/support/task-scene.ts';
import { HeldTasks } from './held-tasks.ts';
import { isMoved } from './hold.ts';
import { Resources } from './resources.ts';
import { newTaskState, type Task } from './task.ts';

let world: FakeWorld;
beforeEach(() => {
  world = new FakeWorld();
  world.store.shared = true;
  world.store.fleet = true;
});

/** A server that goes on with one recording, which has a recorder at work. */
async function held(plan: Partial<Task['document']['plan']> = {}) {
  const task = taskOf();
  Object.assign(task.document.plan, plan);
  world.store.tasks.set(task.sid, { task, state: { ...newTaskState(), phase: 'recording', generation: 1 } });
  world.store.runs.set(task.sid, [{ ...running, phase: 'ended' }]);
  world.spooled.set(task.sid, []);
  const tasks = new HeldTasks(world.ports(), new Resources(world.ports()));
  await tasks.recover();
  await settle();
  const recorder = world.recorders[0]!;
  recorder.tell({ type: 'joined' });
  await settle();
  return { task, tasks, recorder };
}
/** The second in which servers look for what others did. */
async function look(): Promise<void> {
  world.clock.advance(1_000);
  await settle();
}

test('the recorder of one that was handed over goes on until the publishers have moved; then it is stopped', async () => {
  const { task, tasks, recorder } = await held();
  await tasks.offer(true);
  expect([...world.store.offered]).toEqual([task.sid]);
  world.store.taken.add(task.sid);
  await look();
  expect([tasks.get(task.sid), tasks.hasMoved(task.sid), tasks.size]).toEqual([undefined, true, 1]);
  expect(world.sentAway).toEqual([{ cname: task.cname, graceMs: 10_000 }]);
  expect([recorder.stoppedAtUs, recorder.killed, world.feedsOpen]).toEqual([undefined, false, 1]);
  world.channelEmptied.resolve();
  await settle();
  expect([recorder.stoppedAtUs, recorder.killed]).toEqual([world.clock.monoUs(), false]);
  world.unstored.add(task.sid);
  recorder.tell({ type: 'ended', reason: 'stopped', recorded: true, message: '' });
  recorder.exit('it ended');
  await look();
  // Its files are not stored yet.
  expect([tasks.size, world.feedsOpen]).toEqual([1, 0]);
  world.unstored.delete(task.sid);
  await look();
  expect([tasks.size, tasks.hasMoved(task.sid)]).toEqual([0, false]);
  expect(world.recorders).toHaveLength(1);
});

test('a recorder that is lost meanwhile is not replaced', async () => {
  const { task, tasks, recorder } = await held();
  await tasks.offer(true);
  world.store.taken.add(task.sid);
  await look();
  recorder.exit('it crashed');
  world.channelEmptied.resolve();
  await settle();
  await look();
  expect([world.recorders.length, tasks.size]).toEqual([1, 0]);
});

test('publishers are disconnected before the other node would take the channel for deserted', async () => {
  const { task, tasks } = await held({ maxIdleMs: 5_000 });
  await tasks.offer(true);
  world.store.taken.add(task.sid);
  await look();
  expect(world.sentAway).toEqual([{ cname: task.cname, graceMs: 2_500 }]);
});

test('one that was taken over unasked goes on as well, as of a node that only the database was away from', async () => {
  const { task, tasks, recorder } = await held();
  await tasks.offer(true);
  await tasks.offer(false);
  world.store.taken.add(task.sid);
  await look();
  expect([recorder.killed, recorder.stoppedAtUs, tasks.hasMoved(task.sid)]).toEqual([false, undefined, true]);
  expect(world.sentAway).toEqual([{ cname: task.cname, graceMs: 10_000 }]);
  world.channelEmptied.resolve();
  await settle();
  expect([recorder.stoppedAtUs, recorder.killed]).toEqual([world.clock.monoUs(), false]);
});

test('of a page nothing goes on here once another server has it unasked', async () => {
  const { task, tasks, recorder } = await held();
  Object.assign(task.document.plan, { mode: 'web' });
  world.store.taken.add(task.sid);
  await look();
  expect([recorder.killed, tasks.size, world.sentAway]).toEqual([true, 0, []]);
});

test('of one that is being stopped nothing goes on here once another server has it', async () => {
  const runner = hold(world);
  await runner.start();
  const stopped = runner.stop(true);
  await settle();
  world.store.taken.add(runner.task.sid);
  world.recorders[0]!.tell({ type: 'streamStateChanged', uid: '5', kind: 'audio', receiving: true });
  expect(await stopped).toBe('gone');
  expect([world.recorders[0]!.killed, world.sentAway]).toEqual([true, []]);
});

test('an offer that another node was faster than cannot be taken back', async () => {
  const { task, tasks, recorder } = await held();
  await tasks.offer(true);
  world.store.taken.add(task.sid);
  await tasks.offer(false);
  await look();
  expect([recorder.killed, tasks.hasMoved(task.sid)]).toEqual([false, true]);
});

test('a stop and an update that come in the moment of the move are for the other node', async () => {
  const runner = hold(world);
  await runner.start();
  await runner.setOffered(true);
  world.store.taken.add(runner.task.sid);
  expect(await runner.stop(true)).toBe('moved');
  await expect(runner.change({ onhold: true })).rejects.toSatisfy(isMoved);
});

test('a server that ends waits for its recordings to be taken over, and no longer than it may', async () => {
  const { task, tasks } = await held();
  await tasks.offer(true);
  let over = false;
  void tasks.handedOver(3_000).then(() => {
    over = true;
  });
  await look();
  expect(over).toBe(false);
  world.store.taken.add(task.sid);
  await look();
  expect(over).toBe(true);
  const late = tasks.handedOver(3_000);
  await expect(late).resolves.toBeUndefined();
});

test('its end waits until what it had of them is stored', async () => {
  const { task, tasks, recorder } = await held();
  await tasks.offer(true);
  world.store.taken.add(task.sid);
  await look();
  let closed = false;
  const closing = tasks.close(30_000).then(() => {
    closed = true;
  });
  world.channelEmptied.resolve();
  await settle();
  recorder.exit('it ended');
  world.unstored.add(task.sid);
  await look();
  expect(closed).toBe(false);
  world.unstored.delete(task.sid);
  await look();
  await closing;
  expect(tasks.size).toBe(0);
});

test('a recording that begins while a server drains is offered too, and a web page never', async () => {
  const all = recordingsOf(world);
  await all.recover();
  await all.offer(true);
  const [task, page] = [taskOf(), taskOf()];
  Object.assign(page.document, { plan: { ...page.document.plan, mode: 'web' } });
  for (const each of [task, page]) {
    world.store.tasks.set(each.sid, { task: each, state: { ...newTaskState(), phase: 'recording' } });
    world.spooled.set(each.sid, []);
  }
  await look();
  await look();
  expect([...world.store.offered]).toEqual([task.sid]);
});
