import { beforeEach, describe, expect, test } from 'vitest';
import { FakeWorld, settle, taskOf } from '../../test/support/fake-ports.ts';
import { hold, lying, mp4, recordingsOf, running, sliceOf } from '../../test/support/task-scene.ts';
import type { QualityReport } from '../contract/line/quality-report.ts';
import type { Stray } from './ports.ts';
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

  test('what a version left that made no folder for each run is gone on from', async () => {
    const task = taskOf();
    const zeroUtcMs = world.clock.nowMs();
    world.store.tasks.set(task.sid, { task, state: { ...newTaskState(), phase: 'recording', status: 5, zeroUtcMs } });
    world.runs.set(task.sid, [0]);
    world.spooled.set(task.sid, [lying('a.mp4')]);
    await recordingsOf(world).recover();
    await settle();
    expect(world.recorders[0]?.start).toMatchObject({ generation: 2, earlierDirs: [`/spool/${task.sid}/0`] });
  });

  test('what is left of a recording that had ended, with all its files stored, is removed', async () => {
    const { task } = await left({ phase: 'ended', status: 8, uploadedTo: 'uploaded' });
    expect(world.removed).toEqual([task.sid]);
  });

  test.each([
    ['that only its store’s word says to be stored', { uploadedTo: 'unknown' as const }, []],
    ['that was given up', { uploadedTo: undefined }, []],
    ['of which a crash left something unfinished', { uploadedTo: 'uploaded' as const }, ['half.ts.part']],
  ])('what is left of a recording that had ended stays, %s', async (_which, state, leftovers) => {
    world.leftovers = leftovers;
    await left({ phase: 'ended', status: 8, ...state });
    expect(world.removed).toEqual([]);
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

describe('a task whose files lie on another node', () => {
  const elsewhere = { ...running, elsewhere: 'the other folder' };
  const report = { sid: 'x', measuredMs: 7 } as unknown as QualityReport;

  /** A task that the other node left in this state. */
  async function taken(state: Partial<TaskState>, quality: QualityReport | undefined = report, recordedUntilMs = 0) {
    world.store.shared = true;
    world.store.fleet = true;
    const task = taskOf();
    world.store.tasks.set(task.sid, { task, state: { ...newTaskState(), generation: 1, zeroUtcMs: 0, ...state } });
    world.store.runs.set(task.sid, [elsewhere]);
    world.store.left.set(task.sid, { quality, recordedUntilMs });
    // A process of this machine has the number that the recorder had on the other.
    world.alive.add(99);
    const all = recordingsOf(world);
    await all.recover();
    await settle();
    return { task, all };
  }

  test('goes on at once under the same sid in a run of its own, which begins anew and has event 12', async () => {
    const { task } = await taken({ phase: 'recording', status: 5 });
    const [recorder] = world.recorders;
    expect(recorder?.start).toMatchObject({ generation: 2, zeroUtcMs: 0 });
    // Of the other node's run there is only what the database knows.
    expect(recorder?.start.earlierDirs).toEqual([`/spool/${task.sid}/1`]);
    expect(world.left.get(task.sid)).toBe(report);
    expect(world.ended).toEqual([]);
    expect(world.store.notices.map(({ eventType }) => eventType)).toEqual([12]);
    expect(world.uploads[0]?.options.stretches).toEqual([
      { from: 1, isHere: false },
      { from: 2, isHere: true },
    ]);
    expect(world.lines.filter(({ level }) => level === 'error')).toEqual([]);
  });

  test('counts from no earlier than where the other node had recorded, whose clock may be ahead', async () => {
    world.clock.advance(100_000);
    const zeroUtcMs = world.clock.nowMs() - 60_000;
    const zeroMono = { bootId: 'another machine', us: 7 };
    await taken({ phase: 'recording', status: 5, zeroUtcMs, zeroMono }, report, zeroUtcMs + 360_000);
    expect(world.recorders[0]?.start).toMatchObject({ zeroUtcMs, zeroMonoUs: 100_000_000 - 360_000_000 });
  });

  test('goes on from what the standby of this node made, which is stored as a run, from the same zero', async () => {
    const ports = world.ports();
    const file = sliceOf('of the standby.ts');
    const takeover = { node: 'c', sinceMs: 30_000, protectedMs: null, fromMs: 45_000, untilMs: 60_000 };
    const adopt = async (sid: string, generation: number) => ({
      ...{ zeroMonoUs: -5_000_000, files: [{ dir: `/spool/${sid}/${generation}`, file }], takeover },
    });
    world.ports = () => ({ ...ports, standbys: { adopt } });
    const { task } = await taken({ phase: 'recording', status: 5, zeroMono: { bootId: 'another machine', us: 7 } });
    expect(world.recorders[0]?.start).toMatchObject({
      ...{ generation: 3, zeroUtcMs: 0, zeroMonoUs: -5_000_000, earlierDirs: [`/spool/${task.sid}/2`] },
    });
    expect(world.uploads[0]?.options.stretches).toEqual([
      { from: 1, isHere: false },
      { from: 2, isHere: true },
    ]);
    expect(world.uploads[0]?.files.map(({ name }) => name)).toEqual(['of the standby.ts']);
    expect(world.store.notices.map(({ eventType }) => eventType)).toEqual([12]);
  });

  test('runs that follow here go on from those here alone', async () => {
    const { task } = await taken({ phase: 'recording', status: 5 });
    world.recorders[0]?.exit('SIGKILL');
    await settle();
    expect(world.recorders[1]?.start).toMatchObject({
      generation: 3,
      earlierDirs: [`/spool/${task.sid}/1`, `/spool/${task.sid}/2`],
    });
  });

  test('that was being stored has its playlists finished though nothing of it lies here', async () => {
    const { task, all } = await taken({ phase: 'uploading', status: 7, playlists: [{ key: 'k', startUtcMs: 1 }] });
    expect(world.recorders).toEqual([]);
    expect(world.uploads[0]?.finishing).toBe(true);
    world.uploads[0]?.letFinish();
    await settle();
    expect(all.size).toBe(0);
    expect(world.store.tasks.get(task.sid)?.state).toMatchObject({ phase: 'ended', uploadedTo: 'uploaded' });
  });

  test('numbers its MP4s after one that the other node may still make, and says what is missing', async () => {
    const { task, all } = await taken({ phase: 'recording', status: 5 });
    const stray = { sid: task.sid, folder: 'the other folder', sinceMs: 0, storedMs: undefined };
    world.strays.push(stray);
    world.filesElsewhere.push({ file: mp4('x_0.mp4'), isStored: false });
    const [recorder] = world.recorders;
    world.spool(recorder!, sliceOf('b.ts'));
    recorder!.tell({ type: 'ended', reason: 'idle', recorded: true, message: '' });
    await settle();
    expect(world.completed[0]).toMatchObject({
      firstMp4: 2,
      lacks: [expect.stringMatching(/until 1970-01-01T00:00:00.000Z .* \(1 files that are known/)],
    });
    world.uploads[0]?.letFinish();
    await settle();
    expect(all.size).toBe(0);
  });

  test('gives what the other node stores when it is back its place, once', async () => {
    const { task } = await taken({ phase: 'recording', status: 5 });
    const stray: Stray = { sid: task.sid, folder: 'the other folder', sinceMs: 0, storedMs: undefined };
    world.strays.push(stray);
    const sweep = async () => {
      world.clock.advance(1_000);
      await settle();
    };
    await sweep();
    expect(world.uploads[0]?.recalls).toBe(0);
    stray.storedMs = 5;
    await sweep();
    await sweep();
    expect(world.uploads[0]?.recalls).toBe(1);
  });

  test('that comes back to the node that had it first begins anew there, and knows what both had', async () => {
    const task = taskOf();
    world.store.tasks.set(task.sid, { task, state: { ...newTaskState(), phase: 'recording', generation: 2 } });
    world.store.runs.set(task.sid, [
      { ...running, phase: 'ended' },
      { ...elsewhere, generation: 2 },
    ]);
    world.store.left.set(task.sid, { quality: undefined, recordedUntilMs: 0 });
    world.runs.set(task.sid, [1]);
    await recordingsOf(world).recover();
    await settle();
    expect(world.recorders[0]?.start).toMatchObject({ generation: 3, earlierDirs: [] });
    const stretches = (isHere: boolean) => [
      { from: 1, isHere },
      { from: 2, isHere: false },
      { from: 3, isHere: true },
    ];
    expect(world.uploads[0]?.options.stretches).toEqual(stretches(true));
    // Once it has stored its part and freed its spool, that too is known from the database alone.
    world = new FakeWorld();
    world.store.tasks.set(task.sid, { task, state: { ...newTaskState(), phase: 'recording', generation: 2 } });
    world.store.runs.set(task.sid, [
      { ...running, phase: 'ended' },
      { ...elsewhere, generation: 2 },
    ]);
    await recordingsOf(world).recover();
    await settle();
    expect(world.uploads[0]?.options.stretches).toEqual(stretches(false));
  });

  test('has its quality report kept now and then, for whoever goes on with it', async () => {
    const { task } = await taken({ phase: 'recording', status: 5 });
    const tell = async (measuredMs: number) => {
      world.recorders[0]?.tell({ type: 'qualityMeasured', report: { ...report, measuredMs } });
      await settle();
    };
    const kept = () => world.store.reports.get(task.sid)?.measuredMs;
    await tell(1);
    await tell(2);
    expect(kept()).toBe(1);
    world.clock.advance(15_000);
    await tell(3);
    expect(kept()).toBe(3);
  });
});
