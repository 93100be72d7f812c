import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { openTestDatabase } from '../../test/support/test-database.ts';
import type { Database } from './database.ts';
import { KeyedJobs, type Work } from './jobs.ts';

const targets: [string, string][] = [['PGlite', '']];
const postgres = process.env['AIRCHECK_TEST_DATABASE_URL'];
if (postgres) targets.push(['Postgres', postgres]);

/** A promise and how to resolve it. */
function gate(): { opened: Promise<void>; open: () => void } {
  const { promise, resolve } = Promise.withResolvers<void>();
  return { opened: promise, open: resolve };
}

describe.each(targets)('%s', (_name, url) => {
  let database: Database;
  let count = 0;
  let lines: string[];
  let jobs: KeyedJobs[] = [];
  beforeAll(async () => {
    database = await openTestDatabase(url);
  }, 60_000);
  afterEach(async () => {
    await Promise.all(jobs.map((each) => each.close()));
    jobs = [];
  });
  afterAll(() => database?.close());

  async function begin(work: Work, options: { queue?: string; parallel?: number } = {}): Promise<KeyedJobs> {
    lines = [];
    const line = (details: object, text: string) => void lines.push(`${text} ${JSON.stringify(details)}`);
    const log = { debug: () => {}, info: () => {}, warn: line, error: line };
    const made = new KeyedJobs({ database, log, queue: `test-${process.pid}-${count++}`, ...options });
    jobs.push(made);
    await made.start(work);
    return made;
  }

  test('a key that is enqueued is worked on once', async () => {
    const worked: string[] = [];
    const done = gate();
    const made = await begin(async (key) => {
      worked.push(key);
      if (worked.length === 2) done.open();
      return undefined;
    });
    await made.enqueue('a');
    await made.enqueue('b');
    await done.opened;
    expect(worked).toEqual(['a', 'b']);
  });

  test('what is enqueued while its key is at work gets another turn, after the first and never beside it', async () => {
    const [entered, release, second] = [gate(), gate(), gate()];
    let turns = 0;
    let atWork = 0;
    let overlap = 0;
    const made = await begin(async () => {
      turns++;
      overlap = Math.max(overlap, ++atWork);
      if (turns === 1) {
        entered.open();
        await release.opened;
      }
      atWork--;
      if (turns === 2) second.open();
      return undefined;
    });
    await made.enqueue('a');
    await entered.opened;
    // Many at once: the one turn that waits stands for all of them.
    await Promise.all(Array.from({ length: 10 }, () => made.enqueue('a')));
    const other = gate();
    const beside = await begin(async () => {
      other.open();
      return undefined;
    });
    await beside.enqueue('a');
    await other.opened;
    expect(turns).toBe(1);
    release.open();
    await second.opened;
    expect([turns, overlap]).toEqual([2, 1]);
  });

  test('under many askers no two turns of a key overlap, and each asker is followed by a turn', async () => {
    const keys = ['a', 'b', 'c'];
    const asked = new Map<string, number>(keys.map((key) => [key, 0]));
    const seen = new Map<string, number>();
    const atWork = new Set<string>();
    const all = gate();
    let overlaps = 0;
    const work: Work = async (key) => {
      if (atWork.has(key)) overlaps++;
      atWork.add(key);
      const asks = asked.get(key) ?? 0;
      await new Promise((resolve) => setImmediate(resolve));
      atWork.delete(key);
      seen.set(key, asks);
      if (keys.every((each) => seen.get(each) === 20)) all.open();
      return undefined;
    };
    const queue = `test-${process.pid}-shared-${count++}`;
    const [one, two] = [await begin(work, { queue }), await begin(work, { queue })];
    await Promise.all(
      keys.map(async (key) => {
        for (let i = 1; i <= 20; i++) {
          asked.set(key, i);
          await (i % 2 ? one : two).enqueue(key);
        }
      }),
    );
    await all.opened;
    expect(overlaps).toBe(0);
  });

  test('no more keys are at work at once than may be', async () => {
    const all = gate();
    let [atWork, most, turns] = [0, 0, 0];
    const made = await begin(
      async () => {
        most = Math.max(most, ++atWork);
        await new Promise((resolve) => setImmediate(resolve));
        atWork--;
        if (++turns === 12) all.open();
        return undefined;
      },
      { parallel: 3 },
    );
    await Promise.all(Array.from({ length: 12 }, (_, i) => made.enqueue(`key${i}`)));
    await all.opened;
    expect(most).toBe(3);
  });

  test('what is enqueued while there is no room is worked on when there is', async () => {
    const [entered, release, done] = [gate(), gate(), gate()];
    const made = await begin(
      async (key) => {
        if (key === 'b') done.open();
        else entered.open();
        await release.opened;
        return undefined;
      },
      { parallel: 1 },
    );
    await made.enqueue('a');
    await entered.opened;
    await made.enqueue('b');
    await made.enqueue('b');
    release.open();
    await done.opened;
    expect(lines).toEqual([]);
  });

  test('a turn that wants another gets it after its time, and at once when hastened', async () => {
    const times: number[] = [];
    const [first, second, third] = [gate(), gate(), gate()];
    const made = await begin(async () => {
      times.push(performance.now());
      if (times.length === 1) {
        first.open();
        return 300;
      }
      if (times.length === 2) {
        second.open();
        return 3_600_000;
      }
      third.open();
      return undefined;
    });
    await made.enqueue('a');
    await first.opened;
    await second.opened;
    expect((times[1] ?? 0) - (times[0] ?? 0)).toBeGreaterThanOrEqual(300);
    // Asked for again, it still waits for its time; hastened, it does not.
    await made.enqueue('a');
    await made.hasten('a');
    await third.opened;
    expect(times).toHaveLength(3);
  });

  test('a job that fails comes again', async () => {
    const done = gate();
    let turns = 0;
    const made = await begin(async () => {
      if (++turns === 1) throw new Error('the database hiccuped');
      done.open();
      return undefined;
    });
    await made.enqueue('a');
    await done.opened;
    expect(lines.join()).toMatch(/a job failed.*the database hiccuped/);
  });

  test('closing lets a job end that ends in time, and breaks off one that does not', async () => {
    const entered = gate();
    let reason: unknown;
    let turns = 0;
    const made = await begin(async (_key, signal) => {
      if (++turns === 2) entered.open();
      await new Promise<void>((resolve) => {
        signal.addEventListener('abort', () => {
          reason = signal.reason;
          resolve();
        });
      });
      return undefined;
    });
    await made.enqueue('a');
    await made.enqueue('b');
    await entered.opened;
    await made.close();
    expect(reason).toEqual(new Error('the server is ending'));
  });

  test.runIf(url === '')('jobs of a server that crashed do not hold up the next one', async () => {
    const queue = `test-${process.pid}-crash-${count++}`;
    const [entered, never, done] = [gate(), gate(), gate()];
    const crashed = await begin(
      async () => {
        entered.open();
        await never.opened;
        return undefined;
      },
      { queue },
    );
    await crashed.enqueue('a');
    await entered.opened;
    const next = await begin(
      async () => {
        done.open();
        return undefined;
      },
      { queue },
    );
    await next.enqueue('a');
    await done.opened;
    never.open();
  });
});
