import { beforeEach, describe, expect, test, vi } from 'vitest';
import { FakeStore, FakeWorld, fakeFault, settle, taskOf } from '../../test/support/fake-ports.ts';
import { hold, lying, mp4, recordingsOf } from '../../test/support/task-scene.ts';
import type { TaskHold } from './hold.ts';
import type { RecordingStore } from './ports.ts';
import { newTaskState, type TaskState } from './task.ts';
import type { TaskChange } from './task-change.ts';
import { TaskRunner } from './task-runner.ts';

let world: FakeWorld;
beforeEach(() => {
  world = new FakeWorld();
});

/** Has three runs of a recording crash one after another, which ends it. */
async function crash(why = 'gone'): Promise<void> {
  for (let losses = 0; losses < 3; losses++) {
    world.recorders.at(-1)!.exit(why);
    await settle();
  }
}

test('what waits for a store is tried at once when somebody of its app asks for it', async () => {
  const all = recordingsOf(world);
  const task = taskOf();
  world.store.tasks.set(task.sid, { task, state: { ...newTaskState(), phase: 'uploading', status: 7, generation: 1 } });
  world.spooled.set(task.sid, [lying('x_0.mp4')]);
  await all.recover();
  await settle();
  expect(all.retryUpload('another', task.sid)).toBe(false);
  expect(all.retryUpload(task.appid, 'none')).toBe(false);
  expect(all.retryUpload(task.appid, task.sid)).toBe(true);
  expect(world.uploads.at(-1)?.retries).toBe(1);
});

test('what crashed recorders had put on the spool is uploaded, also what they could not tell', async () => {
  const runner = hold(world);
  await runner.start();
  const [recorder] = world.recorders;
  world.spool(recorder!, mp4('told.mp4'));
  world.spooled.get(runner.task.sid)?.push(lying('untold.mp4'));
  await crash('the recorder process was ended by SIGSEGV');
  expect(runner.state).toMatchObject({ phase: 'uploading', status: 20, healthy: false });
  expect(world.uploads[0]?.files.map((file) => file.name)).toEqual(['told.mp4', 'untold.mp4']);
  expect(world.feedsOpen).toBe(0);
  expect(world.lines.some(({ level, text }) => level === 'warn' && text.includes('SIGSEGV'))).toBe(true);
  world.uploads[0]?.letFinish();
  await runner.ended;
  expect(world.store.tasks.get(runner.task.sid)?.state).toMatchObject({ phase: 'ended', status: 20 });
});

describe('a run that is lost', () => {
  test('is followed by one that reads the same feed, with the same zero and a folder of its own', async () => {
    const runner = hold(world);
    await runner.start();
    const { sid } = runner.task;
    world.clock.advance(5_000);
    world.recorders[0]!.exit('SIGKILL');
    await settle();
    const [first, second] = world.recorders.map(({ start }) => start);
    expect(second).toMatchObject({ generation: 2, source: first!.source, spoolDir: `/spool/${sid}/2` });
    expect(second!.earlierDirs).toEqual([`/spool/${sid}/1`]);
    expect([second!.zeroUtcMs, second!.zeroMonoUs]).toEqual([first!.zeroUtcMs, first!.zeroMonoUs]);
    expect(world.feedsOpen).toBe(1);
    expect(runner.state).toMatchObject({ phase: 'recording', healthy: true });
  });

  test('has the next one hear again what it told, of which nobody is told twice', async () => {
    const runner = hold(world);
    await runner.start();
    const [first] = world.recorders;
    const told = (recorder = first, kind: 'audio' | 'video', receiving: boolean) =>
      recorder!.tell({ type: 'streamStateChanged', uid: '5', kind, receiving });
    first!.tell({ type: 'joined' });
    told(first, 'audio', true);
    told(first, 'video', true);
    told(first, 'video', false);
    first!.exit('SIGKILL');
    await settle();
    const second = world.recorders[1];
    told(second, 'audio', true);
    told(second, 'video', false);
    told(second, 'audio', false);
    told(second, 'video', true);
    await settle();
    const states = world.store.notices.flatMap(({ eventType, payload }) =>
      eventType === 43 || eventType === 44 ? [[eventType, (payload.details as { state?: unknown }).state]] : [],
    );
    expect(states).toEqual([
      [43, 0],
      [44, 0],
      [44, 1],
      [43, 1],
      [44, 0],
    ]);
  });

  test('says nothing any more that counts', async () => {
    const runner = hold(world);
    await runner.start();
    const [first] = world.recorders;
    first!.tell({ type: 'ended', reason: 'failed', recorded: true, message: 'ENOSPC' });
    await settle();
    expect(world.recorders).toHaveLength(2);
    world.spool(first!, mp4('late.mp4'));
    first!.tell({ type: 'ended', reason: 'idle', recorded: true, message: '' });
    first!.exit('exit code 70');
    await settle();
    expect(world.recorders).toHaveLength(2);
    expect(world.uploads[0]?.files).toEqual([]);
    expect(runner.state).toMatchObject({ phase: 'recording', generation: 2 });
  });

  test('hands on the changes of the last minute, one by one; those before are part of the plan', async () => {
    const runner = hold(world);
    await runner.start();
    const only = (uid: string): NonNullable<TaskChange['subscribe']> => ({
      audio: { kind: 'only', uids: [uid] },
      video: { kind: 'none' },
    });
    for (const uid of ['1', '2', '3']) {
      await runner.change({ subscribe: only(uid) });
      world.clock.advance(40_000);
    }
    world.recorders[0]!.exit('SIGKILL');
    await settle();
    const { plan, changes } = world.recorders[1]!.start;
    expect(plan).toMatchObject({ subscribe: only('2') });
    expect(changes).toEqual([{ type: 'changeSubscription', atMonoUs: 80_000_000, subscribe: only('3') }]);
    expect(runner.task.document.plan).toMatchObject({ subscribe: only('3') });
  });

  test('leaves a stop that waits to the run after it, which records what came before', async () => {
    const runner = hold(world);
    await runner.start();
    const [first] = world.recorders;
    const stopped = runner.stop(true);
    await settle();
    world.clock.advance(1_000);
    first!.exit('SIGKILL');
    await settle();
    const second = world.recorders[1]!;
    expect(second.stoppedAtUs).toBe(first!.stoppedAtUs);
    world.spool(second, mp4('rest.mp4'));
    second.tell({ type: 'ended', reason: 'stopped', recorded: true, message: '' });
    await settle();
    world.uploads[0]!.tell({ type: 'wholeFileStored', key: 'rest.mp4', startUtcMs: 1 });
    world.uploads[0]!.letFinish();
    expect(await stopped).toBe('stored');
    expect(world.uploads[0]?.dirs.get('rest.mp4')).toBe(`/spool/${runner.task.sid}/2`);
  });

  test('just as a stop comes in is followed all the same, by one that is told of the stop', async () => {
    const runner = hold(world);
    await runner.start();
    const [first] = world.recorders;
    // The loss is known, and not yet taken in, when the stop is: its turn is before the loss's.
    const stopped = runner.stop(true);
    first!.exit('SIGKILL');
    await settle();
    const second = world.recorders[1]!;
    expect(second.stoppedAtUs).toBe(world.clock.monoUs());
    expect(runner.state.phase).toBe('stopping');
    second.tell({ type: 'ended', reason: 'stopped', recorded: true, message: '' });
    await settle();
    world.uploads[0]!.letFinish();
    await runner.ended;
    await stopped;
  });

  test('is kept, with its process and why it ended', async () => {
    const runner = hold(world);
    await runner.start();
    world.recorders[0]!.exit('SIGKILL');
    await settle();
    expect(world.store.runs.get(runner.task.sid)).toMatchObject([
      { generation: 1, phase: 'ended', process: { pid: 4242 }, why: 'SIGKILL' },
      { generation: 2, phase: 'running', process: { pid: 4242 } },
    ]);
  });
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
  const runner = hold(world);
  world.store.broken = true;
  await runner.start();
  world.recorders[0]?.tell({ type: 'joined' });
  await settle();
  expect(runner.state.status).toBe(4);
  expect(world.lines.some(({ level }) => level === 'error')).toBe(true);
});

test('files finished before the uploader is there are not lost', async () => {
  const runner = hold(world);
  const starting = runner.start();
  await starting;
  world.spool(world.recorders[0]!, mp4('early.mp4'));
  await settle();
  expect(world.uploads[0]?.files).toEqual([mp4('early.mp4')]);
});

test('a store that can never be used stops the recording and leaves its files on the spool', async () => {
  world.uploadFault = fakeFault('bucket-invalid');
  const runner = hold(world);
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

test('a database that is away for a minute holds no stop up, and is told all when it is back', async () => {
  const ports = world.ports();
  let away: Promise<never> | undefined;
  const saveState: typeof world.store.saveState = (...given) =>
    away ?? FakeStore.prototype.saveState.apply(world.store, given);
  const store: RecordingStore = Object.assign(Object.create(world.store), { saveState });
  const task = taskOf();
  world.store.tasks.set(task.sid, { task, state: newTaskState() });
  const runner = new TaskRunner(task, newTaskState(), world.store.holdOf(task.sid), { ...ports, store });
  await runner.start();
  away = new Promise<never>(() => {});
  world.recorders[0]!.tell({ type: 'joined' });
  await settle();
  world.clock.advance(5_000);
  await settle();
  // From now on nothing waits for it.
  const stopped = runner.stop(false);
  expect(await stopped).toBe('accepted');
  world.recorders[0]!.tell({ type: 'ended', reason: 'stopped', recorded: false, message: '' });
  await settle();
  expect(runner.state.phase).toBe('ended');
  expect(world.store.tasks.get(task.sid)?.state.phase).toBe('recording');
  away = undefined;
  for (let i = 0; i < 8; i++) {
    world.clock.advance(1_000);
    await settle();
  }
  await runner.ended;
  expect(world.store.tasks.get(task.sid)?.state).toEqual(runner.state);
  expect(world.store.notices.map(({ eventType }) => eventType)).toEqual([40, 30, 41, 11]);
});

test('a fault in one turn does not keep the next from being taken', async () => {
  const runner = hold(world);
  await runner.start();
  vi.spyOn(world.clock, 'nowMs').mockImplementationOnce(() => {
    throw new Error('a defect');
  });
  world.recorders[0]!.tell({ type: 'joined' });
  await settle();
  expect(world.lines.some(({ level, text }) => level === 'error' && text.includes('event'))).toBe(true);
  expect(await runner.stop(false)).toBe('accepted');
});

test('closing ends recordings properly; what is not uploaded in time is left for the next server', async () => {
  const all = recordingsOf(world);
  const task = taskOf();
  world.store.tasks.set(task.sid, { task, state: { ...newTaskState(), phase: 'uploading', status: 7 } });
  world.spooled.set(task.sid, [lying('a.mp4')]);
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
  const runner = hold(world);
  const starting = runner.start();
  const stopping = runner.stop(false);
  await starting;
  expect(await stopping).toBe('accepted');
  expect(world.recorders[0]?.stoppedAtUs).toBeDefined();
});
