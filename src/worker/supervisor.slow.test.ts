import { join } from 'node:path';
import { afterAll, afterEach, expect, test } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import type { ChangeCommand, StartCommand } from '../contract/line/commands.ts';
import type { Fact } from '../contract/line/facts.ts';
import { type Clock, systemClock } from '../kernel/clock.ts';
import type { RecorderProcess } from '../session/ports.ts';
import type { ProcessIdentity } from '../session/run-record.ts';
import { Forks } from './forks.ts';
import { identityOf, isAlive } from './process-identity.ts';
import { Sharing } from './sharing.ts';
import { Supervisor, type SupervisorOptions } from './supervisor.ts';

const start: StartCommand = {
  type: 'start',
  plan: {
    mode: 'mix',
    sid: 'a'.repeat(32),
    baseName: 'a',
    audio: { channels: 1, bitrateKbps: 48 },
    subscribe: { audio: { kind: 'all' }, video: { kind: 'none' } },
    files: { hls: true, mp4: false },
    maxIdleMs: 1000,
    mp4Limit: { durationMs: 1000, bytes: 1_000_000 },
  },
  generation: 1,
  source: { kind: 'feed', path: '/tmp/none.sock' },
  spoolDir: '/tmp',
  earlierDirs: [],
  changes: [],
  zeroUtcMs: 0,
  zeroMonoUs: 0,
};

const silent = { debug() {}, info() {}, warn() {}, error() {} };
const forks = new Forks({ clock: systemClock, log: silent, env: {} });
afterAll(() => forks.close());
const supervisors: Supervisor[] = [];
afterEach(() => Promise.all(supervisors.splice(0).map((supervisor) => supervisor.close())));

function launch<C extends Clock = ManualClock>(
  mode: string,
  clock: C = new ManualClock() as never,
  options: Partial<SupervisorOptions> = {},
) {
  const lines: string[] = [];
  const line = (_details: object, text: string) => void lines.push(text);
  const supervisor = new Supervisor({
    clock,
    log: { debug: line, info: line, warn: line, error: line },
    forks,
    entry: join(import.meta.dirname, '../../test/support/fake-recorder.ts'),
    args: [mode],
    env: {},
    readyTimeoutMs: 10_000,
    stopTimeoutMs: 15_000,
    completeArgs: [],
    warmRecorders: 0,
    sharing: new Sharing(1),
    completeParallel: 1,
    completeTimeoutMs: 60_000,
    ...options,
  });
  supervisors.push(supervisor);
  const facts: Fact[] = [];
  const waiting: { type: string; resolve: () => void }[] = [];
  let exits = 0;
  const exited = Promise.withResolvers<string>();
  const identity = Promise.withResolvers<ProcessIdentity>();
  const recorder: RecorderProcess = supervisor.launch(start, {
    onProcess: identity.resolve,
    onFact: (fact) => {
      facts.push(fact);
      for (const each of waiting) if (each.type === fact.type) each.resolve();
    },
    onExit: (why) => {
      exits++;
      exited.resolve(why);
    },
  });
  const heard = (type: Fact['type']) =>
    facts.some((fact) => fact.type === type)
      ? Promise.resolve()
      : new Promise<void>((resolve) => waiting.push({ type, resolve }));
  return {
    supervisor,
    recorder,
    identity: identity.promise,
    facts,
    lines,
    clock,
    heard,
    exited: exited.promise,
    exits: () => exits,
  };
}

test('a stop is handed on, the last fact comes before the exit, and the exit comes once', async () => {
  const run = launch('good');
  await run.heard('joined');
  run.recorder.stop(123);
  run.recorder.stop(456);
  expect(await run.exited).toBe('the recorder process ended with exit code 0');
  expect(run.facts.map((fact) => fact.type)).toEqual(['ready', 'joined', 'degraded', 'ended']);
  expect(run.facts[2]).toMatchObject({ what: 'stopped at 123' });
  expect(run.supervisor.isAlive(await run.identity)).toBe(false);
  expect(run.exits()).toBe(1);
});

test('a stop before the process is ready still lets it begin first', async () => {
  const run = launch('good');
  run.recorder.stop(5);
  await run.exited;
  expect(run.facts.map((fact) => fact.type)).toEqual(['ready', 'joined', 'degraded', 'ended']);
});

const changeLayout = (atMonoUs: number): ChangeCommand => ({
  type: 'changeLayout',
  atMonoUs,
  layout: { kind: 'bestFit' },
  backgroundColor: '#000000',
});
const changeSubscription = (atMonoUs: number): ChangeCommand => ({
  type: 'changeSubscription',
  atMonoUs,
  subscribe: { audio: { kind: 'all' }, video: { kind: 'none' } },
});
const told = (facts: Fact[]) => facts.flatMap((fact) => (fact.type === 'degraded' ? [fact.what] : []));

test('changes are handed on in order, and one after a stop is not', async () => {
  const run = launch('good');
  await run.heard('joined');
  run.recorder.change(changeLayout(1));
  run.recorder.change(changeSubscription(2));
  run.recorder.change(changeLayout(3));
  run.recorder.stop(4);
  run.recorder.change(changeLayout(5));
  await run.exited;
  expect(told(run.facts)).toEqual([
    'changeLayout at 1',
    'changeSubscription at 2',
    'changeLayout at 3',
    'stopped at 4',
  ]);
});

test('changes before the process is ready wait for the start, and go before a stop that waits too', async () => {
  const run = launch('good');
  run.recorder.change(changeSubscription(1));
  run.recorder.change(changeLayout(2));
  run.recorder.stop(3);
  run.recorder.change(changeLayout(4));
  await run.exited;
  expect(run.facts.slice(0, 2).map((fact) => fact.type)).toEqual(['ready', 'joined']);
  expect(told(run.facts)).toEqual(['changeSubscription at 1', 'changeLayout at 2', 'stopped at 3']);
});

test('a crash is told by its signal, a failure by its exit code and its last words', async () => {
  expect(await launch('crash').exited).toBe('the recorder process was ended by SIGSEGV');
  const failing = launch('fail');
  expect(await failing.exited).toBe('the recorder process ended with exit code 70');
  expect(failing.lines).toContain('recorder: something broke');
});

test('malformed facts are logged and not passed on', async () => {
  const run = launch('nonsense');
  await run.heard('degraded');
  expect(run.facts.map((fact) => fact.type)).toEqual(['ready', 'joined', 'degraded']);
  expect(run.lines.filter((text) => text.includes('malformed'))).toHaveLength(2);
});

test('a process that does not get ready is given up', async () => {
  const run = launch('silent');
  run.clock.advance(10_000);
  expect(await run.exited).toBe('the recorder process was not ready after 10000 ms');
});

test('a process that hangs is found out by the pings it leaves unanswered', async () => {
  const run = launch('hang');
  await run.heard('joined');
  run.clock.advance(12_000);
  expect(await run.exited).toBe('the recorder process left 5 pings unanswered');
});

/** The machine's clock, whose ticks a test can hold back and let go, as they are of a server that was stopped. */
function heldClock() {
  const ticks: (() => void)[] = [];
  let aheadUs = 0;
  const clock: Clock = {
    ...systemClock,
    monoUs: () => systemClock.monoUs() + aheadUs,
    every: (_periodMs, run) => {
      ticks.push(run);
      return { cancel: () => void ticks.splice(ticks.indexOf(run), 1) };
    },
  };
  const tick = (afterMs: number) => {
    aheadUs += afterMs * 1000;
    for (const run of [...ticks]) run();
  };
  return { clock, tick };
}

test('a server that was stopped for 12 s does not judge its recorders by that time', async () => {
  const { clock, tick } = heldClock();
  const run = launch('hang', clock);
  await run.heard('joined');
  // Whatever a recorder sent meanwhile is still unread when the first tick comes.
  for (let stops = 0; stops < 20; stops++) tick(12_000);
  expect(run.exits()).toBe(0);
  for (let s = 0; s < 12; s++) tick(1_000);
  expect(await run.exited).toMatch(/left 5 pings unanswered/);
});

test('nothing that a recorder started outlives it', async () => {
  const run = launch('parent');
  await run.heard('degraded');
  const child = identityOf(Number(told(run.facts)[0]));
  expect(isAlive(child!)).toBe(true);
  process.kill((await run.identity).pid, 'SIGKILL');
  await run.exited;
  while (isAlive(child!)) await new Promise<void>((resolve) => systemClock.after(5, resolve));
});

test('a recorder that is kept ready is taken, and replaced', async () => {
  const clock = new ManualClock();
  const { supervisor, heard } = launch('good', clock, { warmRecorders: 1 });
  supervisor.warmUp();
  // The first start found none; when it has begun there is one.
  await heard('joined');
  clock.advance(1_000);
  await until(() => supervisor.isWarm('mix'));
  const facts: Fact[] = [];
  supervisor.launch(
    { ...start, generation: 7 },
    { onProcess: () => {}, onFact: (fact) => facts.push(fact), onExit: () => {} },
  );
  // It was up before it was asked: nothing has to come from a process for that.
  await Promise.resolve();
  expect(facts).toMatchObject([{ type: 'ready', generation: 7 }]);
  await until(() => facts.some(({ type }) => type === 'joined'));
  expect(facts.every(({ generation }) => generation === 7)).toBe(true);
  expect(supervisor.isWarm('mix')).toBe(false);
  clock.advance(1_000);
  await until(() => supervisor.isWarm('mix'));
});

test('a recording that lost its recorder gets one that waits for another mode, and a new one does not', async () => {
  const clock = new ManualClock();
  const { supervisor, heard } = launch('good', clock, { warmRecorders: 1 });
  supervisor.warmUp();
  await heard('joined');
  clock.advance(1_000);
  await until(() => supervisor.isWarm('mix'));
  const begun = (generation: number) => {
    const facts: Fact[] = [];
    supervisor.launch(
      { ...start, plan: { ...start.plan, mode: 'individual' } as never, generation },
      { onProcess: () => {}, onFact: (fact) => facts.push(fact), onExit: () => {} },
    );
    return facts;
  };
  const ofNew = begun(1);
  await Promise.resolve();
  expect(ofNew).toEqual([]);
  expect(supervisor.isWarm('mix')).toBe(true);
  const ofLost = begun(2);
  await Promise.resolve();
  expect(ofLost).toMatchObject([{ type: 'ready', generation: 2 }]);
  expect(supervisor.isWarm('mix')).toBe(false);
});

test('a server that cannot go on lets its recorders finish', async () => {
  const run = launch('good');
  await run.heard('joined');
  await run.supervisor.release(10_000);
  expect(run.supervisor.isAlive(await run.identity)).toBe(false);
  // Nobody takes that for a run that was lost.
  expect(run.exits()).toBe(0);
});

async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise<void>((resolve) => systemClock.after(5, resolve));
}

test('pings are answered, and the last answer is kept', async () => {
  const run = launch('good');
  await run.heard('joined');
  run.clock.advance(2_000);
  await run.heard('pong');
  expect(run.supervisor.pongs().get(start.plan.sid)).toMatchObject({ n: 1, rssBytes: 1000 });
});

test('a process deaf to a stop and to SIGTERM is killed', async () => {
  const run = launch('deaf');
  await run.heard('joined');
  run.recorder.stop(1);
  // Pings go on being answered meanwhile; here the clock jumps, so the silence rule must not come first.
  for (let ms = 0; ms < 15_000; ms += 2_000) {
    run.clock.advance(2_000);
    await new Promise<void>((resolve) => systemClock.after(20, resolve));
  }
  run.clock.advance(6_000);
  expect(await run.exited).toBe('the recorder had not finished 15000 ms after a stop');
});

test('closing ends every process', async () => {
  const run = launch('deaf');
  await run.heard('joined');
  await run.supervisor.close();
  expect(await run.exited).toBe('the recorder process was ended by SIGKILL');
});
