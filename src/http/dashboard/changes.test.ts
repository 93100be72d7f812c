import { expect, test } from 'vitest';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import type { ListedRecordingReply } from '../../contract/rest/recording-list.ts';
import { Changes } from './changes.ts';

type World = { unfinished: Map<string, number>; asked: string[][]; fails: boolean };

function begin() {
  const world: World = { unfinished: new Map(), asked: [], fails: false };
  const clock = new ManualClock();
  const warnings: string[] = [];
  const changes = new Changes({
    clock,
    log: { warn: (_details, text) => void warnings.push(text) },
    list: {
      unfinished: async () => {
        if (world.fails) throw new Error('away');
        return [...world.unfinished].map(([sid, revision]) => ({ sid, revision }));
      },
      of: async (_appid, sids) => {
        world.asked.push([...sids]);
        return sids.map((sid) => ({ sid }) as ListedRecordingReply);
      },
    },
  });
  const told: string[] = [];
  const end = changes.watch('app', (recordings) => told.push(...recordings.map(({ sid }) => sid)));
  /** A second passes. */
  const look = async () => {
    clock.advance(1000);
    for (let turn = 0; turn < 10; turn++) await Promise.resolve();
    return told.splice(0);
  };
  return { world, changes, look, end, warnings, clock };
}

test('what changes is told, what has ended is told once, and all that goes on now and then', async () => {
  const { world, look } = begin();
  world.unfinished.set('a', 1).set('b', 1);
  expect(await look()).toEqual(['a', 'b']);
  expect(await look()).toEqual([]);
  world.unfinished.set('b', 2);
  expect(await look()).toEqual(['b']);
  world.unfinished.delete('a');
  expect(await look()).toEqual(['a']);
  expect(await look()).toEqual([]);
  expect(await look()).toEqual(['b']);
});

test('many watchers of an app cost as much as one, and none costs nothing', async () => {
  const { world, changes, look, end } = begin();
  const ends = Array.from({ length: 20 }, () => changes.watch('app', () => {}));
  world.unfinished.set('a', 1);
  await look();
  expect(world.asked).toHaveLength(1);
  for (const each of [...ends, end]) each();
  expect(changes.watchers).toBe(0);
  await look();
  expect(world.asked).toHaveLength(1);
});

test('a database that is away for a while loses no change', async () => {
  const { world, look, warnings } = begin();
  world.unfinished.set('a', 1);
  await look();
  world.fails = true;
  expect(await look()).toEqual([]);
  expect(warnings).toHaveLength(1);
  world.fails = false;
  world.unfinished.delete('a');
  expect(await look()).toEqual(['a']);
});
