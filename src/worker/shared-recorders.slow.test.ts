/**
 * Recorder processes that runs share, real processes of a fake recorder: who comes into which, and what the end of one
 * run, or of the process, means to the others.
 */
import { join } from 'node:path';
import { afterAll, afterEach, expect, test } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { individualPlanOf } from '../../test/support/scripted-recording.ts';
import type { Fact } from '../contract/line/facts.ts';
import { systemClock } from '../kernel/clock.ts';
import { newSid } from '../kernel/ids.ts';
import type { ProcessIdentity } from '../session/run-record.ts';
import { Forks } from './forks.ts';
import { isAlive } from './process-identity.ts';
import { Sharing } from './sharing.ts';
import { Supervisor } from './supervisor.ts';

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const forks = new Forks({ clock: systemClock, log: silent, env: {} });
afterAll(() => forks.close());
let open: Scene | undefined;
afterEach(() => open?.supervisor.close());

/** A supervisor whose recorders behave as `mode` says. */
class Scene {
  readonly clock = new ManualClock();
  readonly supervisor: Supervisor;

  constructor(mode: string, places = 3) {
    this.supervisor = new Supervisor({
      ...{ clock: this.clock, log: silent, forks, env: {}, args: [mode], completeArgs: [] },
      entry: join(import.meta.dirname, '../../test/support/fake-recorder.ts'),
      ...{ readyTimeoutMs: 60_000, stopTimeoutMs: 15_000, warmRecorders: 0, sharing: new Sharing(places) },
      ...{ completeParallel: 1, completeTimeoutMs: 60_000 },
    });
    open = this;
  }

  /** Resolves when the run is at work. */
  async launch(sid = newSid(), generation = 1) {
    const facts: Fact[] = [];
    const exited = Promise.withResolvers<string>();
    const identity = Promise.withResolvers<ProcessIdentity>();
    const joined = Promise.withResolvers<void>();
    const process = this.supervisor.launch(
      {
        ...{
          type: 'start',
          plan: individualPlanOf({ sid, maxUsers: 2 }),
          generation,
          spoolDir: '/tmp',
          earlierDirs: [],
        },
        ...{ source: { kind: 'feed', path: '/tmp/none.sock' }, changes: [], zeroUtcMs: 0, zeroMonoUs: 0 },
      },
      {
        onProcess: identity.resolve,
        onFact: (fact) => {
          facts.push(fact);
          if (fact.type === 'joined') joined.resolve();
        },
        onExit: exited.resolve,
      },
    );
    await joined.promise;
    return { sid, process, facts, exited: exited.promise, identity: await identity.promise };
  }

  /** Lets seconds pass, and what the processes say to each be heard. */
  async pass(seconds: number): Promise<void> {
    for (let s = 0; s < seconds; s++) {
      this.clock.advance(1_000);
      await new Promise<void>((resolve) => systemClock.after(20, resolve));
    }
  }
}

async function gone(identity: ProcessIdentity): Promise<void> {
  while (isAlive(identity)) await new Promise<void>((resolve) => systemClock.after(5, resolve));
}

test('runs share a process up to its places, and it ends with the last of them', async () => {
  const scene = new Scene('good');
  const runs = [await scene.launch(), await scene.launch(), await scene.launch(), await scene.launch()];
  const [first, second, third, fourth] = runs as [Run, Run, Run, Run];
  expect([second, third].map(({ identity }) => identity)).toEqual([first.identity, first.identity]);
  expect(fourth.identity).not.toEqual(first.identity);
  expect([...scene.supervisor.atWork().keys()]).toEqual(runs.map(({ sid }) => sid));

  second.process.stop(7);
  expect(await second.exited).toBe('the run has ended: stopped');
  expect(second.facts.map(({ type }) => type)).toEqual(['ready', 'joined', 'degraded', 'ended']);
  for (const { facts } of [first, third]) expect(facts.map(({ type }) => type)).toEqual(['ready', 'joined']);
  // Its place is free again.
  const fifth = await scene.launch();
  expect(fifth.identity).toEqual(first.identity);

  for (const { process } of [first, third, fifth]) process.stop(8);
  await Promise.all([first, third, fifth].map(({ exited }) => exited));
  await gone(first.identity);
  expect([...scene.supervisor.atWork().keys()]).toEqual([fourth.sid]);
});
type Run = Awaited<ReturnType<Scene['launch']>>;

test('each run answers for itself', async () => {
  const scene = new Scene('good');
  const [first, second] = [await scene.launch(), await scene.launch()];
  await scene.pass(4);
  for (const { sid } of [first, second])
    expect(scene.supervisor.atWork().get(sid)?.pong).toMatchObject({ sid, n: expect.any(Number) });
});

test('of a process that dies each run is told, and goes on alone', async () => {
  const scene = new Scene('good');
  const [first, second] = [await scene.launch(), await scene.launch()];
  process.kill(first.identity.pid, 'SIGKILL');
  for (const { exited } of [first, second]) expect(await exited).toBe('the recorder process was ended by SIGKILL');
  const [one, other, fresh] = [
    await scene.launch(first.sid, 2),
    await scene.launch(second.sid, 2),
    await scene.launch(),
  ];
  expect(new Set([one, other, fresh].map(({ identity }) => identity.pid)).size).toBe(3);
  // Nobody comes to one that may die again.
  expect((await scene.launch()).identity).toEqual(fresh.identity);
});

test('a run that is ended by force leaves the others of its process alone', async () => {
  const scene = new Scene('good');
  const [first, second] = [await scene.launch(), await scene.launch()];
  first.process.kill();
  expect(await first.exited).toMatch(/^the run has ended/);
  expect(second.facts.map(({ type }) => type)).toEqual(['ready', 'joined']);
  expect(isAlive(second.identity)).toBe(true);
  // What made one fail may be about to fail others.
  expect((await scene.launch()).identity).not.toEqual(second.identity);
});

test('a run that is deaf to its stop is given up alone', async () => {
  const scene = new Scene('deaf');
  const [first, second] = [await scene.launch(), await scene.launch()];
  first.process.stop(1);
  await scene.pass(16);
  expect(await first.exited).toBe('the recorder had not finished 15000 ms after a stop');
  expect(second.facts.some(({ type }) => type === 'ended')).toBe(false);
  expect(isAlive(second.identity)).toBe(true);
});

test('a run that cannot be given up takes its process with it, and it alone is suspected', async () => {
  const scene = new Scene('deafer');
  const [first, second] = [await scene.launch(), await scene.launch()];
  first.process.stop(1);
  await scene.pass(21);
  expect(await first.exited).toBe('the recorder had not finished 15000 ms after a stop');
  expect(await second.exited).toBe('the recorder process was ended by SIGKILL');
  const [third, fourth] = [await scene.launch(second.sid, 2), await scene.launch()];
  expect(fourth.identity).toEqual(third.identity);
  expect((await scene.launch(first.sid, 2)).identity).not.toEqual(third.identity);
});
