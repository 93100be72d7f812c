import { beforeEach, describe, expect, test } from 'vitest';
import { documentOf, FakeWorld, fakeFault, mixPlanOf, settle, taskOf } from '../../test/support/fake-ports.ts';
import { qualityOf } from '../../test/support/quality.ts';
import type { SpooledFile } from '../media/segment.ts';
import { newTaskState } from './task.ts';
import { TaskRunner } from './task-runner.ts';

let world: FakeWorld;
beforeEach(() => {
  world = new FakeWorld();
});

const S = 1_000_000;
const mp4 = (name: string, durationUs = 1): SpooledFile => ({
  ...{ type: 'mp4', name, index: 0, startUtcMs: 1, durationUs, bytes: 1 },
});
const slice = (durationUs: number): SpooledFile => ({
  ...{ type: 'slice', name: 'a_1.ts', playlist: 'a.m3u8', index: 0, startUtcMs: 1, durationUs, bytes: 1 },
  ...{ discontinuity: true, starts: [], rotations: [] },
});

function hold(task = taskOf()): TaskRunner {
  const state = newTaskState();
  world.store.tasks.set(task.sid, { task, state });
  return new TaskRunner(task, state, world.store.holdOf(task.sid), world.ports());
}
/** Has three runs of a recording crash one after another, which ends it. */
async function crash(): Promise<void> {
  for (let losses = 0; losses < 3; losses++) {
    world.recorders.at(-1)!.exit('gone');
    await settle();
  }
}

test('what a crash left unfinished is kept and told of', async () => {
  world.leftovers = ['half.ts.part'];
  const runner = hold();
  await runner.start();
  await crash();
  await runner.ended;
  expect(world.removed).toEqual([]);
  expect(world.lines.some(({ text }) => text.includes(`kept in /spool/${runner.task.sid}`))).toBe(true);
});

test('what a crash left empty holds nothing and is let go', async () => {
  world.leftovers = ['begun.ts.part'];
  world.leftoverBytes = 0;
  const runner = hold();
  await runner.start();
  await crash();
  await runner.ended;
  expect(world.removed).toEqual([runner.task.sid]);
});

test('what completes a recording is started again when somebody kills it, each time in a folder of its own', async () => {
  world.leftovers = ['half.ts.part'];
  world.completeFaults.push(fakeFault('killed', true), fakeFault('killed again', true));
  const runner = hold();
  await runner.start();
  await crash();
  world.uploads[0]!.letFinish();
  await runner.ended;
  const { sid } = runner.task;
  expect(world.completed.map(({ spoolDir }) => spoolDir)).toEqual([`/spool/${sid}/6`]);
  expect(world.store.runs.get(sid)?.slice(-3)).toMatchObject([
    { generation: 4, kind: 'complete', why: 'fault killed' },
    { generation: 5, kind: 'complete', why: 'fault killed again' },
    { generation: 6, kind: 'complete', why: 'completed' },
  ]);
});

describe('on a disk without room', () => {
  const noRoom = () => fakeFault('spool-full', true);
  /** A recording whose recorder left a slice, and another one unfinished. */
  async function left(): Promise<TaskRunner> {
    world.leftovers = ['half.ts.part'];
    const runner = hold();
    await runner.start();
    world.spool(world.recorders[0]!, slice(20 * S));
    await crash();
    return runner;
  }

  test('what completes a recording is tried again until there is some, and what is whole is stored meanwhile', async () => {
    world.completeFaults.push(...Array.from({ length: 5 }, noRoom));
    const runner = await left();
    expect(world.completed).toEqual([]);
    expect(world.uploads[0]?.files.map(({ name }) => name)).toEqual(['a_1.ts']);
    for (const pauseMs of [10_000, 20_000, 40_000, 80_000]) {
      world.clock.advance(pauseMs);
      await settle();
      expect(world.completed).toEqual([]);
      expect(world.uploads[0]?.finishing).toBe(false);
    }
    world.clock.advance(160_000);
    await settle();
    expect(world.completed.map(({ spoolDir }) => spoolDir)).toEqual([`/spool/${runner.task.sid}/9`]);
    world.uploads[0]!.letFinish();
    await runner.ended;
  });

  test('it ends with what there is after an hour', async () => {
    world.repairFault = noRoom();
    const runner = await left();
    for (let minutes = 0; minutes < 70; minutes++) {
      world.clock.advance(60_000);
      await settle();
      if (minutes < 55) expect(world.uploads[0]?.finishing).toBe(false);
    }
    expect(world.uploads[0]?.finishing).toBe(true);
    world.uploads[0]!.letFinish();
    await runner.ended;
    expect(world.removed).toEqual([]);
  });

  test('it is left to the next server when this one ends', async () => {
    world.repairFault = noRoom();
    const runner = await left();
    runner.abandon();
    await settle();
    expect(runner.state.phase).toBe('uploading');
    expect(world.lines.filter(({ level }) => level === 'error')).toEqual([]);
  });
});

test.each([
  ['made where there is none', [slice(20 * S)], true],
  ['made of the rest where one could not be written', [slice(20 * S), mp4('a_0.mp4', 7 * S)], true],
  ['left alone where it is whole', [slice(20 * S), mp4('a_0.mp4', 20 * S - 30_000)], false],
])('an MP4 is %s', async (_what, files, made) => {
  const task = taskOf();
  const { mp4Limit } = mixPlanOf(task.document);
  const runner = hold(task);
  await runner.start();
  const recorder = world.recorders[0]!;
  for (const file of files) world.spool(recorder, file);
  void runner.stop(true);
  await settle();
  recorder.tell({ type: 'ended', reason: 'stopped', recorded: true, message: '' });
  await settle();
  expect(world.completed.map(({ mp4: limit }) => limit)).toEqual(made ? [mp4Limit] : []);
  world.uploads[0]?.letFinish();
  await runner.ended;
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
      world.written.set(documentOf(task.sid).name, qualityOf(task.sid, 'stopped'));
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
    recorder.tell({ type: 'ended', reason: 'idle', recorded: true, message: '' });
    await settle();
    const { sid } = runner.task;
    expect(storedNames()).toEqual(['a.mp4', `${sid}_report.json`]);
    expect(runner.quality).toMatchObject({ state: 'final' });
    expect(world.store.reports.get(sid)).toEqual(world.written.get(`${sid}_report.json`));
  });

  test('stays out of the store where it is not wanted', async () => {
    const task = taskOf();
    task.document.storeReport = false;
    const { recorder } = await ended(task);
    recorder.tell({ type: 'ended', reason: 'idle', recorded: true, message: '' });
    await settle();
    expect(storedNames()).toEqual(['a.mp4']);
    expect(world.store.reports.get(task.sid)).toMatchObject({ state: 'final' });
  });

  test('of a recorder that is lost is what it told last', async () => {
    const { runner } = await ended(taskOf(), { written: false });
    await crash();
    const { sid } = runner.task;
    expect(storedNames()).toEqual(['a.mp4', `${sid}_report.json`]);
    expect(world.store.reports.get(sid)).toMatchObject({ state: 'partial', measuredMs: 5000 });
  });

  test('harms nothing when there is none, or it cannot be read or kept', async () => {
    const { runner } = await ended(taskOf(), { written: false, told: false });
    await crash();
    expect(storedNames()).toEqual(['a.mp4']);
    world.uploads[0]?.letFinish();
    await runner.ended;

    world = new FakeWorld();
    const second = await ended();
    world.written.clear();
    second.recorder.tell({ type: 'ended', reason: 'idle', recorded: true, message: '' });
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
    world.written.set(documentOf(runner.task.sid).name, qualityOf(runner.task.sid, 'idle'));
    world.spool(recorder!, documentOf(runner.task.sid));
    recorder!.tell({ type: 'ended', reason: 'idle', recorded: false, message: '' });
    await runner.ended;
    expect(world.uploads[0]).toMatchObject({ files: [], aborted: true });
    expect(world.store.reports.get(runner.task.sid)).toMatchObject({ state: 'final', endReason: 'idle' });
  });
});
