/**
 * The renewal of a lease by a held clock, against a database that is slow, ends statements, and breaks connections as
 * the test wants: what it costs, and that no server is sure of a task which another may have claimed.
 */
import { setImmediate as turn } from 'node:timers/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { newHexId } from '../kernel/ids.ts';
import { isFenced, type TaskHold } from '../session/hold.ts';
import { LATE_MS } from './claim.ts';
import type { Connection, Database, Row } from './database.ts';
import { Ownership } from './ownership.ts';

/** What becomes of a renewal; all times in milliseconds. */
type Fate = {
  /** Until the database reads it, writes it after that, and its answer is there after that. */
  readMs: number;
  writtenMs: number;
  answeredMs: number;
  /** `ended`: for its time, instead of being written. `broken`: its answer never comes, the connection ends instead. */
  end: 'answered' | 'ended' | 'broken';
};
const AT_ONCE: Fate = { readMs: 0, writtenMs: 0, answeredMs: 0, end: 'answered' };

/** One owner's row and one task, with the rules of the statements that matter, where nobody holds the lock. */
class SlowDatabase {
  readonly clock = new ManualClock();
  readonly connectedMs: number[] = [];
  readonly askedMs: number[] = [];
  fates: Fate[] = [];
  isAway = false;
  /** Answers to those who ask for the lock. */
  lockGiven = true;
  locksAsked = 0;
  task = { owner: '', epoch: 1 };
  #renewedMs = 0;
  #lose: () => void = () => {};

  get database(): Database {
    const query = async (sql: string) => (sql.startsWith('select owner, epoch from tasks') ? [this.task] : []);
    const connect = async (onLost: () => void): Promise<Connection> => {
      this.connectedMs.push(this.clock.nowMs());
      if (this.isAway) throw new Error('away');
      this.#lose = onLost;
      return { query: (sql) => this.#ask(sql), close: async () => {} };
    };
    return { description: 'a slow one', exclusive: false, query, repeated: query, connect } as unknown as Database;
  }

  break(): void {
    this.#lose();
  }

  /** Whether another may take the task now: what it sees of the owner's renewals says that the owner is gone. */
  claim(): void {
    if (this.#renewedMs < this.clock.nowMs() - LATE_MS) this.task = { owner: 'another', epoch: 2 };
  }

  async #ask(sql: string): Promise<Row[]> {
    if (sql.startsWith('select pg_try_advisory_lock')) {
      this.locksAsked++;
      return [{ locked: this.lockGiven }];
    }
    this.askedMs.push(this.clock.nowMs());
    const { readMs, writtenMs, answeredMs, end } = this.fates.shift() ?? AT_ONCE;
    await this.#after(readMs);
    const readAtMs = this.clock.nowMs();
    await this.#after(writtenMs);
    if (end === 'ended') throw Object.assign(new Error('canceling statement due to timeout'), { code: '57014' });
    this.#renewedMs = readAtMs;
    await this.#after(answeredMs);
    if (end === 'answered') return [{ lock_key: 1, now_ms: this.clock.nowMs() }];
    this.break();
    throw new Error('Connection terminated');
  }

  async #after(ms: number): Promise<void> {
    if (ms > 0) await new Promise<void>((resolve) => void this.clock.after(ms, resolve));
  }
}

const silent = () => {};
async function begin(slow: SlowDatabase): Promise<{ ownership: Ownership; hold: TaskHold }> {
  const ownership = await Ownership.begin({
    ...{ database: slow.database, folder: newHexId(), bootId: newHexId(), clock: slow.clock },
    log: { debug: silent, info: silent, warn: silent, error: silent },
  });
  const { owner } = ownership;
  slow.task = { owner, epoch: 1 };
  return { ownership, hold: { sid: 'a task', owner, epoch: 1 } };
}

async function advance(slow: SlowDatabase, ms: number): Promise<void> {
  slow.clock.advance(ms);
  // What was waited for goes on, and what that waits for in turn.
  for (let n = 0; n < 3; n++) await turn();
}

/** Whether the server is sure of its task at this moment. */
async function sureness(wait: (signal: AbortSignal) => Promise<void>): Promise<'sure' | 'unsure' | 'fenced'> {
  const controller = new AbortController();
  const outcome = wait(controller.signal).then(
    () => 'sure' as const,
    (error: unknown) => (isFenced(error) ? ('fenced' as const) : ('unsure' as const)),
  );
  await turn();
  controller.abort();
  return await outcome;
}

const STEP_MS = 250;
const delayMs = fc.oneof(fc.constant(0), fc.integer({ min: 0, max: 3_500 }));
const fate = fc.record({
  ...{ readMs: delayMs, writtenMs: delayMs, answeredMs: delayMs },
  end: fc.constantFrom('answered', 'answered', 'answered', 'ended', 'broken') as fc.Arbitrary<Fate['end']>,
});

test('no server is sure of a task that another has, however late renewals are written and answered', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fate, { maxLength: 12 }),
      fc.array(fc.boolean(), { maxLength: 80 }),
      async (all, asks) => {
        const slow = new SlowDatabase();
        const { ownership, hold } = await begin(slow);
        const wait = ownership.certainty(hold);
        slow.fates = [...all];
        for (const asksForIt of asks) {
          await advance(slow, STEP_MS);
          if (asksForIt) slow.claim();
          if ((await sureness(wait)) === 'sure') expect(slow.task.owner).toBe(hold.owner);
        }
      },
    ),
    { numRuns: 60 },
  );
});

test('a renewal that was asked for in time and written late has the server look whose the task is', async () => {
  const slow = new SlowDatabase();
  const { ownership, hold } = await begin(slow);
  const wait = ownership.certainty(hold);
  expect(await sureness(wait)).toBe('sure');
  slow.fates = [{ ...AT_ONCE, writtenMs: 1_300 }];
  await advance(slow, 1_000);
  expect(await sureness(wait)).toBe('sure');
  await advance(slow, 1_200);
  expect(await sureness(wait)).toBe('unsure');
  slow.claim();
  expect(slow.task.owner).not.toBe(hold.owner);
  await advance(slow, 100);
  // By now it has renewed, and would be sure for most of a second to come.
  expect(await sureness(wait)).toBe('fenced');
});

test('a server whose database answers again is sure of its task, and has its connection unless that broke', async () => {
  const atWork = fate.map((each) => (each.end === 'broken' ? { ...each, end: 'ended' as const } : each));
  await fc.assert(
    fc.asyncProperty(fc.array(atWork, { maxLength: 6 }), async (all) => {
      const slow = new SlowDatabase();
      const { ownership, hold } = await begin(slow);
      const wait = ownership.certainty(hold);
      slow.fates = [...all];
      for (let n = 0; slow.fates.length > 0 && n < 400; n++) await advance(slow, STEP_MS);
      // The last of them, which may take three delays, and one that is answered at once.
      for (let n = 0; n < 3 * 14 + 5; n++) await advance(slow, STEP_MS);
      expect(await sureness(wait)).toBe('sure');
      expect(slow.connectedMs).toHaveLength(1);
    }),
    { numRuns: 30 },
  );
});

test('a server that loses its connection waits longer each time, but never a lease, and renews at once after that', async () => {
  const slow = new SlowDatabase();
  const { ownership, hold } = await begin(slow);
  const wait = ownership.certainty(hold);
  slow.isAway = true;
  const brokenMs = slow.clock.nowMs();
  slow.break();
  while (slow.clock.nowMs() < brokenMs + 30_000) await advance(slow, 50);
  const tried = [brokenMs, ...slow.connectedMs.slice(1)];
  const waits = tried.slice(1).map((ms, n) => ms - tried[n]!);
  const bounds = waits.map((_, n) => [250, 500, 750][Math.min(n, 2)]!);
  for (const [n, waited] of waits.entries()) {
    expect(waited).toBeGreaterThanOrEqual(bounds[n]!);
    expect(waited).toBeLessThanOrEqual(3 * bounds[n]! + 50);
  }
  expect(waits.length).toBeGreaterThanOrEqual(12);
  expect(new Set(waits).size).toBeGreaterThan(5);
  expect(await sureness(wait)).toBe('unsure');
  slow.isAway = false;
  await advance(slow, 2_250);
  expect(await sureness(wait)).toBe('sure');
  // The lock went with the old connection.
  expect(slow.locksAsked).toBe(2);
  await ownership.close();
});

test('the lock is asked for at each renewal while the connection before has it, and then no more', async () => {
  const slow = new SlowDatabase();
  slow.lockGiven = false;
  const { ownership } = await begin(slow);
  await advance(slow, 1_000);
  expect(slow.locksAsked).toBe(2);
  slow.lockGiven = true;
  await advance(slow, 1_000);
  await advance(slow, 1_000);
  expect(slow.locksAsked).toBe(3);
  await ownership.close();
});
