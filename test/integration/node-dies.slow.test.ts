/**
 * A node of a fleet is killed while it records: another goes on with the recording, and what the dead node had on its
 * disk alone comes into its place when the node is back. Judged by what is seen and heard in the files.
 */
import { afterAll, beforeAll, expect, onTestFinished, test } from 'vitest';
import { FleetScene } from '../support/fleet.ts';
import { PostgresServer } from '../support/postgres.ts';

let postgres: PostgresServer;
beforeAll(async () => {
  postgres = await PostgresServer.start();
}, 60_000);
afterAll(() => postgres?.close());

test('another node goes on within seconds, and the dead one brings what it had', { timeout: 120_000 }, async () => {
  const scene = await FleetScene.open(postgres);
  onTestFinished(() => scene.close());
  const { first, second, recording } = scene;
  await first.kill();
  const statuses: number[] = [];
  const asking = new AbortController();
  const asked = (async () => {
    while (!asking.signal.aborted) statuses.push((await scene.query(second)).status);
  })();
  await scene.takenOver();
  await scene.publish(second);
  const liveMs = await scene.live(second);
  asking.abort();
  await asked;
  expect(statuses).not.toContain(404);
  expect(statuses.at(-1)).toBe(200);

  await first.start();
  await scene.broughtBack();
  const stopped = await scene.stop(second);
  expect(stopped).toMatchObject({ status: 200, body: { serverResponse: { uploadingStatus: 'uploaded' } } });
  await scene.mended();
  expect(await scene.problems(liveMs)).toEqual([]);
  const events = await second.events(recording.sid);
  expect(events.map(({ payload }) => payload.sequence)).toEqual(events.map((_, n) => n));
  expect(events.filter(({ eventType }) => eventType === 12)).toHaveLength(1);
  expect(events.filter(({ eventType }) => eventType === 11)).toHaveLength(1);
});
