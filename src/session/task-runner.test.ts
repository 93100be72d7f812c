import { beforeEach, describe, expect, test } from 'vitest';
import { documentOf, FakeStore, FakeWorld, fakeFault, settle, taskOf } from '../../test/support/fake-ports.ts';
import { qualityOf } from '../../test/support/quality.ts';
import type { SpooledFile } from '../media/segment.ts';
import type { TaskHold } from './hold.ts';
import { Recordings } from './recordings.ts';
import { newTaskState, type TaskState } from './task.ts';
import { TaskRunner } from './task-runner.ts';

let world: FakeWorld;
beforeEach(() => {
  world = new FakeWorld();
});

const mp4 = (name: string): SpooledFile => ({ type: 'mp4', name, index: 0, startUtcMs: 1, durationUs: 1, bytes: 1 });

function hold(task = taskOf(), state: TaskState = newTaskState()): TaskRunner {
  world.store.tasks.set(task.sid, { task, state });
  return new TaskRunner(task, state, world.store.holdOf(task.sid), world.ports());
}
function recordings(): Recordings {
  return new Recordings({
    ...world.ports(),
    resourceLifeMs: 1,
    sliceStartTimeUnit: 's',
    forceExtinfComma: false,
    storeReports: 'local',
    mp4Limit: { durationMs: 1000, bytes: 1_000_000 },
    baseName: (sid) => sid,
    callTimeoutMs: 4000,
    maxRecordings: 10,
    start: {},
    mayRecord: () => true,
  });
}

test('what a crashed recorder had put on the spool is uploaded, also what it could not tell', async () => {
  const runner = hold();
  await runner.start();
  const [recorder] = world.recorders;
  world.spool(recorder!, mp4('told.mp4'));
  world.spooled.get(runner.task.sid)?.push(mp4('untold.mp4'));
  recorder!.exit('the recorder process was ended by SIGSEGV');
  await settle();
  expect(runner.state).toMatchObject({ phase: 'uploading', status: 20, healthy: false });
  expect(world.uploads[0]?.files.map((file) => file.name)).toEqual(['told.mp4', 'untold.mp4']);
  expect(world.feedsOpen).toBe(0);
  expect(world.lines.some(({ level, text }) => level === 'warn' && text.includes('SIGSEGV'))).toBe(true);
  world.uploads[0]?.letFinish();
  await runner.ended;
  expect(world.store.tasks.get(runner.task.sid)?.state).toMatchObject({ phase: 'ended', status: 20 });
});

test('what a crash left unfinished is kept and told of', async () => {
  world.leftovers = ['half.ts.part'];
  const runner = hold();
  await runner.start();
  world.recorders[0]!.exit('gone');
  await runner.ended;
  expect(world.removed).toEqual([]);
  expect(world.lines.some(({ text }) => text.includes(`kept in /spool/${runner.task.sid}`))).toBe(true);
});

test('a new state is stored before anything is done about it', async () => {
  const ports = world.ports();
  const order: string[] = [];
  const task = taskOf();
  const runner = new TaskRunner(task, newTaskState(), world.store.holdOf(task.sid), {
    ...ports,
    store: Object.assign(new FakeStore(), {
      saveState: async (_hold: TaskHold, state: TaskState) => void order.push(state.phase),
    }),
    channel: {
      ...ports.channel,
      openFeed: async (who) => {
        order.push('feed');
        return ports.channel.openFeed(who);
      },
    },
  });
  await runner.start();
  expect(order.slice(0, 2)).toEqual(['recording', 'feed']);
});

test.each([
  [undefined, 0],
  [1, 1],
] as const)('the plan’s videoStreamType %s opens a feed of type %i', async (videoStreamType, expected) => {
  const ports = world.ports();
  const task = taskOf();
  const plan = { ...task.document.plan, ...(videoStreamType && { videoStreamType }) };
  const asked: unknown[] = [];
  const runner = new TaskRunner(
    { ...task, document: { ...task.document, plan } },
    newTaskState(),
    world.store.holdOf(task.sid),
    {
      ...ports,
      channel: {
        ...ports.channel,
        openFeed: async (who) => {
          asked.push(who.videoStreamType);
          return ports.channel.openFeed(who);
        },
      },
    },
  );
  await runner.start();
  expect(asked).toEqual([expected]);
});

test('a database that fails does not end a recording', async () => {
  const runner = hold();
  world.store.broken = true;
  await runner.start();
  world.recorders[0]?.tell({ type: 'joined' });
  await settle();
  expect(runner.state.status).toBe(4);
  expect(world.lines.some(({ level }) => level === 'error')).toBe(true);
});

test('files finished before the uploader is there are not lost', async () => {
  const runner = hold();
  const starting = runner.start();
  await starting;
  world.spool(world.recorders[0]!, mp4('early.mp4'));
  await settle();
  expect(world.uploads[0]?.files).toEqual([mp4('early.mp4')]);
});

test('a store that can never be used stops the recording and leaves its files on the spool', async () => {
  world.uploadFault = fakeFault('bucket-invalid');
  const runner = hold();
  await runner.start();
  await settle();
  const [recorder] = world.recorders;
  expect(recorder?.stoppedAtUs).toBeDefined();
  world.spool(recorder!, mp4('kept.mp4'));
  recorder!.tell({ type: 'ended', reason: 'stopped', recorded: true, message: '' });
  await runner.ended;
  expect(runner.state.ending).toContain(`/spool/${runner.task.sid}`);
  expect(world.removed).toEqual([]);
});

test('after a crash of the server the old recorder may finish, then its files are uploaded and the task ends', async () => {
  const task = taskOf();
  const state: TaskState = { ...newTaskState(), phase: 'recording', status: 5, recorderPid: 99 };
  world.store.tasks.set(task.sid, { task, state });
  world.spooled.set(task.sid, [mp4('a.mp4')]);
  world.alive.add(99);
  const all = recordings();
  await all.recover();
  await settle();
  expect(world.uploads).toHaveLength(0);
  world.spooled.get(task.sid)?.push(mp4('last.mp4'));
  world.alive.delete(99);
  world.clock.advance(500);
  await settle();
  expect(world.uploads[0]?.files.map((file) => file.name)).toEqual(['a.mp4', 'last.mp4']);
  world.uploads[0]?.letFinish();
  await settle();
  expect(all.size).toBe(0);
  expect(world.removed).toEqual([task.sid]);
  expect(world.recorders).toHaveLength(0);
});

test('a process that merely has the number of the old recorder is not waited for without end', async () => {
  const task = taskOf();
  world.store.tasks.set(task.sid, { task, state: { ...newTaskState(), phase: 'recording', recorderPid: 99 } });
  world.spooled.set(task.sid, [mp4('a.mp4')]);
  world.alive.add(99);
  await recordings().recover();
  for (let i = 0; i < 70; i++) {
    await settle();
    world.clock.advance(500);
  }
  await settle();
  expect(world.uploads).toHaveLength(1);
});

test('closing ends recordings properly; what is not uploaded in time is left for the next server', async () => {
  const all = recordings();
  const task = taskOf();
  world.store.tasks.set(task.sid, { task, state: { ...newTaskState(), phase: 'uploading', status: 7 } });
  world.spooled.set(task.sid, [mp4('a.mp4')]);
  await all.recover();
  await settle();
  const closing = all.close(30_000);
  await settle();
  world.clock.advance(30_000);
  await closing;
  expect(world.uploads[0]?.aborted).toBe(true);
  expect(world.removed).toEqual([]);
  expect(world.store.unfinished).toHaveLength(1);
});

test('a stop before the recorder is ready reaches it', async () => {
  const runner = hold();
  const starting = runner.start();
  const stopping = runner.stop(false);
  await starting;
  expect(await stopping).toBe('accepted');
  expect(world.recorders[0]?.stoppedAtUs).toBeDefined();
});

describe('the quality report', () => {
  /** A recording with one file, and a report on its spool if `written`. */
  async function ended(task = taskOf(), { written = true, told = true } = {}) {
    const runner = hold(task);
    await runner.start();
    const [recorder] = world.recorders;
    world.spool(recorder!, mp4('a.mp4'));
    if (told) recorder!.tell({ type: 'qualityMeasured', report: qualityOf(task.sid) });
    if (written) {
      world.written.set(task.sid, qualityOf(task.sid, 'stopped'));
      world.spool(recorder!, documentOf(task.sid));
    }
    return { runner, recorder: recorder! };
  }
  const storedNames = () => world.uploads[0]?.files.map((file) => file.name);

  test('is what was last told while it records, and what lies on the spool in the end', async () => {
    const { runner, recorder } = await ended();
    expect(runner.quality).toMatchObject({ state: 'recording' });
    await settle();
    // Callers are told of media alone, so nothing may come before it.
    expect(storedNames()).toEqual(['a.mp4']);
    recorder.tell({ type: 'ended', reason: 'stopped', recorded: true, message: '' });
    await settle();
    const { sid } = runner.task;
    expect(storedNames()).toEqual(['a.mp4', `${sid}_report.json`]);
    expect(runner.quality).toMatchObject({ state: 'final' });
    expect(world.store.reports.get(sid)).toEqual(world.written.get(sid));
  });

  test('stays out of the store where it is not wanted', async () => {
    const task = taskOf();
    task.document.storeReport = false;
    const { recorder } = await ended(task);
    recorder.tell({ type: 'ended', reason: 'stopped', recorded: true, message: '' });
    await settle();
    expect(storedNames()).toEqual(['a.mp4']);
    expect(world.store.reports.get(task.sid)).toMatchObject({ state: 'final' });
  });

  test('of a recorder that is lost is what it told last', async () => {
    const { runner, recorder } = await ended(taskOf(), { written: false });
    recorder.exit('gone');
    await settle();
    const { sid } = runner.task;
    expect(storedNames()).toEqual(['a.mp4', `${sid}_report.json`]);
    expect(world.store.reports.get(sid)).toMatchObject({ state: 'partial', measuredMs: 5000 });
  });

  test('harms nothing when there is none, or it cannot be read or kept', async () => {
    const { runner, recorder } = await ended(taskOf(), { written: false, told: false });
    recorder.exit('gone');
    await settle();
    expect(storedNames()).toEqual(['a.mp4']);
    world.uploads[0]?.letFinish();
    await runner.ended;

    world = new FakeWorld();
    const second = await ended();
    world.written.clear();
    second.recorder.tell({ type: 'ended', reason: 'stopped', recorded: true, message: '' });
    await settle();
    expect(storedNames()?.[0]).toBe('a.mp4');
    expect(world.lines.some(({ text }) => text.includes('could not be kept'))).toBe(true);
    world.uploads[0]?.letFinish();
    await second.runner.ended;
    expect(second.runner.state).toMatchObject({ phase: 'ended', status: 8 });
  });

  test('alone on the spool is kept, and not stored', async () => {
    const runner = hold();
    await runner.start();
    const [recorder] = world.recorders;
    world.written.set(runner.task.sid, qualityOf(runner.task.sid, 'idle'));
    world.spool(recorder!, documentOf(runner.task.sid));
    recorder!.tell({ type: 'ended', reason: 'idle', recorded: false, message: '' });
    await runner.ended;
    expect(world.uploads[0]).toMatchObject({ files: [], aborted: true });
    expect(world.store.reports.get(runner.task.sid)).toMatchObject({ state: 'final', endReason: 'idle' });
  });
});
