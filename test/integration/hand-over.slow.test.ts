/**
 * A node of a fleet drains while it records, and then one is told to end: each time the other goes on with the
 * recording, and nothing of it is lost where the publisher can be at both for a moment. Judged by what is seen and
 * heard in the files.
 */
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { FleetScene, JUDGED_BYTES } from '../support/fleet.ts';
import { PostgresServer } from '../support/postgres.ts';

let postgres: PostgresServer;
beforeAll(async () => {
  postgres = await PostgresServer.start();
}, 60_000);
afterAll(() => postgres?.close());

test('a recording moves to the other node and back, and nothing of it is lost', {
  timeout: 150_000,
}, async () => {
  const scene = await FleetScene.open(postgres);
  onTestFinished(() => scene.close());
  const { first, second, recording } = scene;
  const statuses: number[] = [];
  const asking = new AbortController();
  onTestFinished(() => asking.abort());
  const ask = async (node: typeof first) => {
    while (!asking.signal.aborted) statuses.push((await scene.query(node).catch(() => ({ status: 0 }))).status);
  };
  const asked = [ask(first), ask(second)];

  const moving = await scene.ready(second);
  expect((await first.ask('POST', '/v1/aircheck/drain')).status).toBe(200);
  await scene.takenOver(2);
  await scene.follow(second, moving);
  await scene.live(second);
  await scene.emptied(first);
  asking.abort();
  await Promise.all(asked);
  expect(new Set(statuses)).toEqual(new Set([200]));

  await first.end();
  await first.start();
  const coming = await scene.ready(first);
  const endedMs = Date.now();
  const ending = second.end(60_000);
  await scene.takenOver(3);
  await scene.comeAgain(coming);
  await scene.live(first, JUDGED_BYTES, endedMs);
  await ending;
  expect((await scene.query(first)).status).toBe(200);
  const stopped = await scene.stop(first);
  expect(stopped).toMatchObject({ status: 200, body: { serverResponse: { uploadingStatus: 'uploaded' } } });
  await scene.mended();

  const spans = await scene.spans();
  expect(scene.problemsOf(spans)).toEqual([]);
  const [gapMs, brokenMs] = [1, 2].map((n) => spans[n]!.fromMs - spans[n - 1]!.untilMs);
  process.stdout.write(
    `recorded by neither: ${gapMs} ms of a publisher that moved, ${brokenMs} ms of one that came again\n`,
  );
  expect(gapMs).toBeLessThanOrEqual(0);
  expect(brokenMs).toBeLessThan(3_000);
  const events = await first.events(recording.sid);
  expect(events.map(({ payload }) => payload.sequence)).toEqual(events.map((_, n) => n));
  expect(events.filter(({ eventType }) => eventType === 12)).toHaveLength(2);
  expect(events.filter(({ eventType }) => eventType === 11)).toHaveLength(1);
});
