import { beforeEach, describe, expect, test } from 'vitest';
import { FakeWorld, settle, taskOf } from '../../test/support/fake-ports.ts';
import { hold, lying, mp4, recordingsOf, running } from '../../test/support/task-scene.ts';
import { newTaskState, type TaskState } from './task.ts';
import { TaskRunner } from './task-runner.ts';

let world: FakeWorld;
beforeEach(() => {
  world = new FakeWorld();
});

describe('after a crash of the server', () => {
  /** A task that the server before left in this state, with a recorder that is still at work. */
  async function left(state: Partial<TaskState>, folders = [1], files = [lying('a.mp4')]) {
    const task = taskOf();
    world.store.tasks.set(task.sid, { task, state: { ...newTaskState(), generation: 1, ...state } });
    world.store.runs.set(task.sid, [running]);
    world.spooled.set(task.sid, files);
    world.runs.set(task.sid, folders);
    world.alive.add(99);
    const all = recordingsOf(world);
    await all.recover();
    await settle();
    return { task, all };
  }
  test('a recording that the database lost is told of with its folder, once, and one that it knows is not', async () => {
    world.spooled.set('lost', [lying('b.mp4')]);
    const { task } = await left({ phase: 'recording' });
    const said = world.lines.filter(({ text }) => text.includes('knows no such recording'));
    expect(said).toEqual([
      { level: 'warn', details: { sid: 'lost' }, text: expect.stringContaining('stay in /spool/lost') },
    ]);
    expect(world.store.tasks.has(task.sid)).toBe(true);
  });

  async function orphanEnds(): Promise<void> {
    world.alive.delete(99);
    world.clock.advance(500);
    await settle();
  }

  test('the old recorder may finish, then another goes on under the same sid and counts from the same zero', async () => {
    world.clock.advance(100_000);
    const zeroUtcMs = world.clock.nowMs() - 60_000;
    const { task, all } = await left({ phase: 'recording', status: 5, zeroUtcMs });
    expect(world.recorders).toHaveLength(0);
    await orphanEnds();
    const [recorder] = world.recorders;
    expect(recorder?.start).toMatchObject({ generation: 2, zeroUtcMs, zeroMonoUs: 40_000_000 });
    expect(recorder?.start.earlierDirs).toEqual([`/spool/${task.sid}/1`]);
    recorder!.tell({ type: 'ended', reason: 'idle', recorded: true, message: '' });
    await settle();
    world.uploads[0]?.letFinish();
    await settle();
    expect(all.size).toBe(0);
    expect(world.removed).toEqual([task.sid]);
  });

  test.each([
    ['that was set back by an hour', { bootId: 'boot', us: 30_000_000 }, 30_000_000],
    ['is believed once the machine was started anew', { bootId: 'before', us: 7 }, 40_000_000 + 3_600_000_000],
  ])('wall time %s', async (_what, zeroMono, zeroMonoUs) => {
    world.clock.advance(100_000);
    const zeroUtcMs = world.clock.nowMs() - 60_000 + 3_600_000;
    await left({ phase: 'recording', status: 5, zeroUtcMs, zeroMono });
    await orphanEnds();
    expect(world.recorders[0]?.start).toMatchObject({ generation: 2, zeroUtcMs, zeroMonoUs });
  });

  test('wall time that was set back while the machine was started anew makes nobody wait', async () => {
    world.clock.advance(100_000);
    const zeroUtcMs = world.clock.nowMs() - 60_000 + 3_600_000;
    const file = mp4('a.mp4', zeroUtcMs + 30_000, 15_000_000);
    const zeroMono = { bootId: 'before', us: 7 };
    await left({ phase: 'recording', status: 5, zeroUtcMs, zeroMono }, [1], [{ ...lying('a.mp4'), file }]);
    await orphanEnds();
    // It is at least 45 s after the zero: so much lies on the spool.
    expect(world.recorders[0]?.start).toMatchObject({ zeroUtcMs, zeroMonoUs: 100_000_000 - 45_000_000 });
  });

  test('a run whose folder somebody removed is told, and the recording goes on', async () => {
    await left({ phase: 'recording', status: 5, zeroUtcMs: 0 }, []);
    await orphanEnds();
    expect(world.lines).toContainEqual({
      level: 'error',
      details: { sid: expect.any(String), generation: 1 },
      text: 'the spool folder of a run is gone: what was not stored of it is lost',
    });
    expect(world.recorders[0]?.start).toMatchObject({ generation: 2 });
  });

  test('one that was stopping is completed and stored, with what the old recorder finished', async () => {
    const { task, all } = await left({ phase: 'stopping', status: 6, stoppedBy: 'call' });
    world.spooled.get(task.sid)?.push(lying('last.mp4'));
    await orphanEnds();
    expect(world.recorders).toHaveLength(0);
    expect(world.uploads[0]?.files.map((file) => file.name)).toEqual(['a.mp4', 'last.mp4']);
    world.uploads[0]?.letFinish();
    await settle();
    expect(all.size).toBe(0);
    expect(world.store.tasks.get(task.sid)?.state).toMatchObject({ phase: 'ended', status: 8 });
  });

  test('an old recorder that does not end in time is ended by force', async () => {
    await left({ phase: 'recording', status: 5, zeroUtcMs: 0 });
    for (let i = 0; i < 70; i++) {
      await settle();
      world.clock.advance(500);
    }
    await settle();
    expect(world.ended).toEqual([99]);
    expect(world.recorders).toHaveLength(1);
  });

  test('a stop while the old recorder finishes waits for it, and is answered', async () => {
    const { task } = await left({ phase: 'recording', status: 5, zeroUtcMs: 0 });
    const runner = new TaskRunner(task, world.store.tasks.get(task.sid)!.state, world.store.holdOf(task.sid), {
      ...world.ports(),
    });
    await runner.resume([running]);
    const stopped = runner.stop(true);
    await settle();
    expect(runner.state).toMatchObject({ phase: 'stopping', status: 6 });
    await orphanEnds();
    world.uploads.at(-1)?.letFinish();
    await settle();
    expect(await stopped).toBe('nothing');
  });

  test('no number of a run is used twice, also of one that only the spool knows', async () => {
    const task = taskOf();
    world.store.tasks.set(task.sid, { task, state: { ...newTaskState(), phase: 'recording', generation: 1 } });
    world.runs.set(task.sid, [1, 4]);
    await recordingsOf(world).recover();
    await settle();
    expect(world.recorders[0]?.start.generation).toBe(5);
  });
});

describe('a task that another server has', () => {
  test('ends here at once: its recorder is killed, nothing is uploaded or told, and who waits hears that it is gone', async () => {
    const runner = hold(world);
    await runner.start();
    const [recorder] = world.recorders;
    world.spool(recorder!, mp4('a.mp4'));
    const stopped = runner.stop(true);
    await settle();
    const told = world.store.notices.length;
    world.store.taken.add(runner.task.sid);
    recorder!.tell({ type: 'streamStateChanged', uid: '5', kind: 'audio', receiving: true });
    await runner.ended;
    expect(await stopped).toBe('gone');
    expect(recorder!.killed).toBe(true);
    expect(world.uploads[0]?.aborted).toBe(true);
    expect(world.feedsOpen).toBe(0);
    expect(world.store.notices).toHaveLength(told);
    recorder!.exit('SIGKILL');
    await settle();
    expect(world.recorders).toHaveLength(1);
    expect(world.removed).toEqual([]);
    expect(await runner.stop(true)).toBe('gone');
  });

  test('is found out also while nothing happens', async () => {
    world.store.shared = true;
    const task = taskOf();
    world.store.tasks.set(task.sid, { task, state: { ...newTaskState(), phase: 'recording', zeroUtcMs: 0 } });
    const all = recordingsOf(world);
    await all.recover();
    await settle();
    expect(all.size).toBe(1);
    world.store.taken.add(task.sid);
    world.clock.advance(1_000);
    await settle();
    expect(all.size).toBe(0);
    expect(world.recorders[0]?.killed).toBe(true);
  });
});
