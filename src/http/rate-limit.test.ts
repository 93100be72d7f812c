import type { FastifyInstance } from 'fastify';
import { beforeEach, describe, expect, test } from 'vitest';
import { ACQUIRE, ACQUIRE_BODY, AUTHORIZATION, buildEdge } from '../../test/support/edge-server.ts';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { APP, OTHER_APP } from '../../test/support/rest-api.ts';
import { WindowCounts } from './window-counts.ts';

let clock: ManualClock;
let app: FastifyInstance;
beforeEach(() => {
  clock = new ManualClock();
  app = buildEdge({}, { rateLimit: { perS: 3, clock } });
});

const acquire = (url = ACQUIRE, headers: Record<string, string> = { authorization: AUTHORIZATION }) =>
  app.inject({ method: 'POST', url, headers, payload: ACQUIRE_BODY });
async function statuses(count: number, make: () => ReturnType<typeof acquire>): Promise<number[]> {
  const seen: number[] = [];
  for (let i = 0; i < count; i++) seen.push((await make()).statusCode);
  return seen;
}

describe('calls of one App ID', () => {
  test('beyond the limit are refused until the second is over', async () => {
    const answers = [];
    for (let i = 0; i < 3; i++) answers.push(await acquire());
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([200, 200, 200]);
    expect(answers.map(({ headers }) => headers['ratelimit-remaining'])).toEqual(['2', '1', '0']);
    expect(answers[0]?.headers).toMatchObject({ 'ratelimit-limit': '3', 'ratelimit-reset': '1' });

    clock.advance(999);
    const refused = await acquire();
    expect(refused.statusCode).toBe(429);
    expect(refused.json()).toEqual({ message: 'API rate limit exceeded' });
    expect(refused.headers).toMatchObject({
      'retry-after': '1',
      'ratelimit-limit': '3',
      'ratelimit-remaining': '0',
      'ratelimit-reset': '1',
      'x-request-id': expect.any(String),
    });

    clock.advance(1);
    expect(await statuses(4, acquire)).toEqual([200, 200, 200, 429]);
  });

  test('count together whatever the endpoint, the region and the credentials', async () => {
    const url = `/v1/apps/${APP}/cloud_recording/resourceid/r/sid/s/mode/mix/query`;
    const query = (path: string) => app.inject({ url: path, headers: { authorization: AUTHORIZATION } });
    expect((await query(url)).statusCode).toBe(404);
    expect((await acquire(ACQUIRE, {})).statusCode).toBe(401);
    expect((await query(`/eu${url}`)).statusCode).toBe(404);
    expect((await acquire(ACQUIRE, {})).statusCode).toBe(429);
    expect((await query(`/v1/apps/${APP}/aircheck/channels/ch1`)).statusCode).toBe(429);
    expect((await acquire(ACQUIRE.replace(APP, OTHER_APP))).statusCode).toBe(200);
  });

  test('that have no route are not counted', async () => {
    const nowhere = () => app.inject({ method: 'PUT', url: ACQUIRE });
    expect(await statuses(5, nowhere)).toEqual([404, 404, 404, 404, 404]);
    expect((await acquire()).statusCode).toBe(200);
  });
});

test('all that can be no App ID are one', async () => {
  let made = 0;
  const unknown = () => acquire(ACQUIRE.replace(APP, `unknown${made++}`));
  expect(await statuses(4, unknown)).toEqual([400, 400, 400, 429]);
});

test('0 sets no limit', async () => {
  app = buildEdge({}, { rateLimit: { perS: 0, clock } });
  expect(await statuses(50, acquire)).toEqual(Array(50).fill(200));
});

describe('in a fleet', () => {
  /** Nodes of whose calls each knows what they were in the second before. */
  function openFleet(count: number) {
    let told: ReadonlyMap<string, number>[] = [];
    const nodes = Array.from(
      { length: count },
      (_, self): WindowCounts =>
        new WindowCounts(clock, (key) =>
          told.reduce((sum, calls, n) => sum + (n === self ? 0 : (calls.get(key) ?? 0)), 0),
        ),
    );
    /** How many of a second's calls each node lets through. */
    const second = (calls: readonly number[], max: number) => {
      const passedBy = nodes.map((node, n) => {
        let passed = 0;
        for (let i = 0; i < calls[n]!; i++)
          node.incr(
            'app',
            (_error, result) => {
              if (result!.current <= max) passed++;
            },
            1000,
            max,
          );
        return passed;
      });
      clock.advance(1000);
      told = nodes.map((node) => node.take());
      return passedBy;
    };
    return { second };
  }
  const sum = (list: readonly number[]) => list.reduce((all, one) => all + one, 0);

  test('the limit is one for all nodes, from the second on in which they know of each other', () => {
    const { second } = openFleet(3);
    expect(second([8, 8, 8], 10)).toEqual([8, 8, 8]);
    for (let i = 0; i < 5; i++) expect(sum(second([8, 8, 8], 10))).toBeLessThanOrEqual(10);
    expect(sum(second([8, 8, 8], 10))).toBeGreaterThanOrEqual(8);
  });

  test('each node lets through its share of what is too much', () => {
    const { second } = openFleet(2);
    second([30, 10], 20);
    expect(second([30, 10], 20)).toEqual([15, 5]);
  });

  test('calls that are not too many all pass, however they are spread, and whichever node they change to', () => {
    const { second } = openFleet(2);
    for (const calls of [
      [10, 0],
      [5, 5],
      [2, 8],
      [1, 9],
      [1, 9],
    ])
      expect(second(calls, 20)).toEqual(calls);
  });
});

test('WHIP, health and pages are not of an app, and have no limit', async () => {
  for (const url of ['/other/:appid', '/healthz']) app.get(url, async () => 'ok');
  const other = () => app.inject({ url: `/other/${APP}` });
  expect(await statuses(20, other)).toEqual(Array(20).fill(200));
});

test('counts of App IDs made up by strangers are forgotten, the longest unseen first', () => {
  const counts = new WindowCounts(clock);
  const count = (key: string) => {
    let current = 0;
    counts.incr(
      key,
      (_error, result) => {
        current = result?.current ?? 0;
      },
      1000,
    );
    return current;
  };
  count('mine');
  for (let i = 0; i < 20_000; i++) {
    count(`stranger ${i}`);
    if (i % 1000 === 0) count('mine');
  }
  expect(counts.size).toBe(5000);
  expect(count('mine')).toBe(22);
  expect(count('stranger 0')).toBe(1);
});
