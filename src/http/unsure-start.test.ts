/**
 * Starts whose task was stored by a database that broke off before it said so.
 */
import { beforeEach, expect, test } from 'vitest';
import { settle } from '../../test/support/fake-ports.ts';
import { acquire, buildApi, call, startBody, startPath, world } from '../../test/support/rest-api.ts';

beforeEach(() => buildApi());

test('a start that the database broke off can be sent again, with the same resource or another', async () => {
  const resourceId = await acquire();
  const { addTask } = world.store;
  world.store.addTask = async (...given) => {
    await addTask.apply(world.store, given);
    throw new Error('Connection terminated unexpectedly');
  };
  expect(await call('POST', startPath(resourceId), startBody())).toMatchObject({ status: 500 });
  const other = await acquire();
  expect(await call('POST', startPath(other), startBody())).toMatchObject({ status: 500 });
  world.store.addTask = addTask;
  expect(await call('POST', startPath(resourceId), startBody())).toMatchObject({ status: 200 });
});

test('while the database stays away the start is taken back later', async () => {
  const resourceId = await acquire();
  world.store.broken = true;
  expect(await call('POST', startPath(resourceId), startBody())).toMatchObject({ status: 500 });
  world.clock.advance(1_000);
  await settle();
  expect(world.store.tasks.size).toBe(1);
  world.store.broken = false;
  world.clock.advance(1_000);
  await settle();
  expect(world.store.tasks.size).toBe(0);
  expect(await call('POST', startPath(resourceId), startBody())).toMatchObject({ status: 200 });
});
