import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { transition } from './machine.ts';
import { isRunning, newTaskState, type TaskEffect, type TaskEvent, type TaskState } from './task.ts';

const file = { key: 'a/b.m3u8', startUtcMs: 1000 };
const started: TaskEvent[] = [
  { type: 'startAccepted' },
  { type: 'recorderReady' },
  { type: 'recorderJoined', atMs: 0 },
  { type: 'playlistStored', file },
];
const stopped: TaskEvent = { type: 'recorderEnded', atMs: 0, reason: 'stopped', message: '' };

function run(events: TaskEvent[], from: TaskState = newTaskState()) {
  const effects: TaskEffect[] = [];
  const statuses: number[] = [];
  let state = from;
  for (const event of events) {
    const next = transition(state, event);
    state = next.state;
    effects.push(...next.effects);
    statuses.push(state.status);
  }
  return { state, effects, statuses };
}

test('a good recording goes through the statuses of the contract', () => {
  const { statuses, effects } = run([
    ...started,
    { type: 'stopRequested', request: 1, wait: true },
    stopped,
    { type: 'uploadsFinished', where: 'uploaded' },
  ]);
  expect(statuses).toEqual([2, 3, 4, 5, 6, 7, 8]);
  expect(effects.map((effect) => effect.type)).toEqual([
    'launchRecorder',
    'stopRecorder',
    'armStopTimer',
    'releaseChannel',
    'finishUpload',
    'answerStop',
    'discardSpool',
  ]);
  expect(effects).toContainEqual({ type: 'answerStop', request: 1, outcome: 'stored' });
});

test('a stop that need not wait is answered at once', () => {
  const { effects } = run([...started, { type: 'stopRequested', request: 1, wait: false }]);
  expect(effects).toContainEqual({ type: 'answerStop', request: 1, outcome: 'accepted' });
});

test('a second stop is told that the first is at work, and one after the end that the task is gone', () => {
  const { effects } = run([
    ...started,
    { type: 'stopRequested', request: 1, wait: true },
    { type: 'stopRequested', request: 2, wait: true },
    stopped,
    { type: 'stopRequested', request: 3, wait: false },
    { type: 'uploadsFinished', where: 'uploaded' },
    { type: 'stopRequested', request: 4, wait: true },
  ]);
  const answers = effects.filter((effect) => effect.type === 'answerStop');
  expect(answers).toEqual([
    { type: 'answerStop', request: 2, outcome: 'exiting' },
    { type: 'answerStop', request: 3, outcome: 'exiting' },
    { type: 'answerStop', request: 1, outcome: 'stored' },
    { type: 'answerStop', request: 4, outcome: 'gone' },
  ]);
});

test('without any file a stop says so', () => {
  const { effects } = run([
    { type: 'startAccepted' },
    { type: 'stopRequested', request: 1, wait: true },
    stopped,
    { type: 'uploadsFinished', where: 'uploaded' },
  ]);
  expect(effects).toContainEqual({ type: 'answerStop', request: 1, outcome: 'nothing' });
});

test('a stop that waited too long is answered once, and uploading goes on', () => {
  const { state, effects } = run([
    ...started,
    { type: 'stopRequested', request: 1, wait: true },
    stopped,
    { type: 'stopTimedOut', request: 1 },
    { type: 'uploadsFinished', where: 'uploaded' },
  ]);
  expect(effects.filter((effect) => effect.type === 'answerStop')).toEqual([
    { type: 'answerStop', request: 1, outcome: 'late' },
  ]);
  expect(state).toMatchObject({ phase: 'ended', status: 8 });
});

const lostAt = (atMs: number): TaskEvent => ({ type: 'recorderLost', atMs, message: 'SIGSEGV' });

test('a run that is lost is followed by the next, and callers see no difference', () => {
  const { state, effects } = run([...started, lostAt(1_000)]);
  expect(effects.at(-1)).toEqual({ type: 'launchRecorder', generation: 2 });
  expect(state).toMatchObject({ phase: 'recording', status: 5, healthy: true, generation: 2 });
});

test('three runs lost within a minute end the recording, and all there is goes up', () => {
  const { state, statuses, effects } = run([...started, lostAt(1_000), lostAt(30_000), lostAt(60_999)]);
  expect(statuses.at(-1)).toBe(20);
  expect(state.ending).toMatch(/3 recorders were lost within a minute.*SIGSEGV/);
  expect(effects.slice(-2)).toEqual([{ type: 'releaseChannel' }, { type: 'finishUpload', generation: 4 }]);
  const slower = run([...started, lostAt(1_000), lostAt(30_000), lostAt(61_000)]);
  expect(slower.state).toMatchObject({ phase: 'recording', generation: 4 });
});

test('a recorder that fails, loses its feed or is told to stop by a stranger is lost as one that crashes', () => {
  for (const reason of ['failed', 'feedLost', 'stopped'] as const) {
    const { effects } = run([...started, { type: 'recorderEnded', atMs: 0, reason, message: '' }]);
    expect(effects.at(-1)).toEqual({ type: 'launchRecorder', generation: 2 });
  }
});

test('a run lost between a stop and its end is followed by one that records what came before the stop', () => {
  const { state, effects } = run([...started, { type: 'stopRequested', request: 1, wait: true }, lostAt(1_000)]);
  expect(effects.at(-1)).toEqual({ type: 'launchRecorder', generation: 2 });
  expect(state).toMatchObject({ phase: 'stopping', status: 6, waitingStop: 1 });
  const ended = run([stopped, { type: 'uploadsFinished', where: 'uploaded' }], state);
  expect(ended.effects).toContainEqual({ type: 'answerStop', request: 1, outcome: 'stored' });
  expect(ended.state).toMatchObject({ status: 8, healthy: true });
});

test('where there can be no recorder the recording ends at once', () => {
  const { state } = run([{ type: 'startAccepted' }, { type: 'launchFailed', message: 'no', errorCode: 110 }]);
  expect(state).toMatchObject({ phase: 'uploading', status: 20, healthy: false });
});

test('an idle channel ends the recording in good health', () => {
  const { state } = run([
    ...started,
    { type: 'recorderEnded', atMs: 0, reason: 'idle', message: 'nobody sent for 30 s' },
  ]);
  expect(state).toMatchObject({ phase: 'uploading', status: 7, healthy: true, ending: 'nobody sent for 30 s' });
  expect(isRunning(state)).toBe(false);
});

describe('after a restart of the server', () => {
  const restarted: TaskEvent = { type: 'serverRestarted', newestGeneration: 6 };
  const stop = (request: number): TaskEvent => ({ type: 'stopRequested', request, wait: true });

  test('a recording stays what it was, and goes on when the old recorder has ended', () => {
    const { state, effects } = run([...started, restarted]);
    expect(state).toMatchObject({ phase: 'recording', status: 5, healthy: true });
    expect(effects.at(-1)).toEqual({ type: 'awaitOrphans' });
    expect(run([{ type: 'orphansEnded' }], state).effects).toEqual([{ type: 'launchRecorder', generation: 7 }]);
  });

  test('one that was stopping, or is stopped while the old recorder ends, is completed', () => {
    for (const events of [
      [stop(1), restarted],
      [restarted, stop(2)],
    ]) {
      const { state } = run([...started, ...events]);
      expect(state).toMatchObject({ phase: 'stopping', status: 6 });
      const then = run([{ type: 'orphansEnded' }, { type: 'uploadsFinished', where: 'uploaded' }], state);
      expect(then.effects).toContainEqual({ type: 'finishUpload', generation: 7 });
      expect(then.statuses).toEqual([7, 8]);
    }
  });

  test('one that was uploading says so still, and goes on with it', () => {
    const { state } = run([...started, stop(1), stopped, restarted]);
    expect(state).toMatchObject({ phase: 'uploading', status: 7, healthy: true, waitingStop: undefined });
    const then = run([stop(2), { type: 'orphansEnded' }], state);
    expect(then.effects).toEqual([
      { type: 'answerStop', request: 2, outcome: 'exiting' },
      { type: 'finishUpload', generation: 7 },
    ]);
  });
});

test('files that can never be uploaded stay on the spool', () => {
  const { state, effects } = run([
    ...started,
    { type: 'stopRequested', request: 1, wait: true },
    stopped,
    { type: 'uploadsAbandoned', message: 'no such bucket' },
  ]);
  expect(effects.some((effect) => effect.type === 'discardSpool')).toBe(false);
  expect(effects).toContainEqual({ type: 'answerStop', request: 1, outcome: 'late' });
  expect(state).toMatchObject({ phase: 'ended', status: 20 });
});

const anyEvent: fc.Arbitrary<TaskEvent> = fc.oneof(
  fc.constant<TaskEvent>({ type: 'startAccepted' }),
  fc.nat(9).map((zeroUtcMs): TaskEvent => ({ type: 'runLaunched', zeroUtcMs, zeroMono: { bootId: 'boot', us: 0 } })),
  fc.constant<TaskEvent>({ type: 'recorderReady' }),
  fc.constant<TaskEvent>({ type: 'recorderJoined', atMs: 0 }),
  fc.constant<TaskEvent>({ type: 'playlistStored', file }),
  fc.nat(3).map((n): TaskEvent => ({ type: 'wholeFileStored', file: { key: `${n}.mp4`, startUtcMs: n } })),
  fc.boolean().map((wait): TaskEvent => ({ type: 'stopRequested', request: 0, wait })),
  fc.nat(20).map((request): TaskEvent => ({ type: 'stopTimedOut', request })),
  fc.constant<TaskEvent>({ type: 'shutdownRequested' }),
  fc.constant<TaskEvent>({ type: 'roomRanOut', message: 'full' }),
  fc
    .constantFrom('stopped' as const, 'idle' as const, 'feedLost' as const, 'failed' as const)
    .map((reason): TaskEvent => ({ type: 'recorderEnded', atMs: 0, reason, message: '' })),
  fc.nat(200_000).map((atMs): TaskEvent => ({ type: 'recorderLost', atMs, message: 'gone' })),
  fc.constant<TaskEvent>({ type: 'launchFailed', message: 'no', errorCode: 500 }),
  fc.nat(9).map((newestGeneration): TaskEvent => ({ type: 'serverRestarted', newestGeneration })),
  fc.constant<TaskEvent>({ type: 'orphansEnded' }),
  fc.constant<TaskEvent>({ type: 'uploadsFinished', where: 'uploaded' }),
  fc.constant<TaskEvent>({ type: 'uploadsAbandoned', message: 'never' }),
);
/** The order statuses come in; 20 may follow any but 8. */
const ORDER = [1, 2, 3, 4, 5, 6, 7, 8];

test('whatever happens in whatever order, the rules of a task hold', () => {
  fc.assert(
    fc.property(fc.array(anyEvent, { maxLength: 40 }), (events) => {
      let state = newTaskState();
      let restarted = false;
      let requests = 0;
      const answered = new Set<number>();
      const counts = new Map<string, number>();
      for (const raw of events) {
        const event = raw.type === 'stopRequested' ? { ...raw, request: ++requests } : raw;
        const before = structuredClone(state);
        const next = transition(state, event);
        expect(state).toEqual(before);
        if (state.phase === 'ended') expect(next.state).toBe(state);
        if (next.state.status !== state.status) {
          if (next.state.status === 20) expect(state.status).not.toBe(8);
          else expect(ORDER.indexOf(next.state.status)).toBeGreaterThan(ORDER.indexOf(state.status));
        }
        expect(next.state.status === 8 || next.state.phase !== 'ended' || next.state.status === 20).toBe(true);
        for (const effect of next.effects) {
          counts.set(effect.type, (counts.get(effect.type) ?? 0) + 1);
          if (effect.type === 'launchRecorder' || effect.type === 'finishUpload')
            expect(effect.generation).toBeGreaterThan(state.generation);
          if (effect.type === 'launchRecorder') expect(['recording', 'stopping']).toContain(next.state.phase);
          if (effect.type !== 'answerStop') continue;
          expect(answered.has(effect.request)).toBe(false);
          answered.add(effect.request);
        }
        restarted ||= event.type === 'serverRestarted';
        state = next.state;
      }
      for (const once of ['stopRecorder', 'releaseChannel', 'discardSpool'])
        expect(counts.get(once) ?? 0).toBeLessThanOrEqual(1);
      // Every call but the one that still waits was answered, unless its server died with it.
      if (!restarted) expect(requests - answered.size).toBe(state.waitingStop === undefined ? 0 : 1);
      if (state.phase === 'ended') expect(state.waitingStop).toBeUndefined();
    }),
    { numRuns: 2000 },
  );
});
