import { expect, test } from 'vitest';
import { settle } from '../../test/support/fake-ports.ts';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { StateWriter } from './state-writer.ts';
import { newTaskState } from './task.ts';

// A database that works again is told the last state; the next one may come at any point of that.
test.each(Array.from({ length: 30 }, (_, turns) => turns))(
  'a state that comes %i microtasks after the database works again is stored too',
  async (turns) => {
    const clock = new ManualClock();
    const stored: number[] = [];
    let isAway = true;
    const silent = () => {};
    const writer = new StateWriter({
      store: {
        async saveState(_hold, { revision }) {
          if (isAway) throw new Error('connect ECONNREFUSED');
          stored.push(revision);
        },
        saveQuality: async () => {},
      },
      hold: { sid: 'a'.repeat(32), owner: 'me', epoch: 1 },
      clock,
      log: { debug: silent, info: silent, warn: silent, error: silent },
      onFenced: silent,
    });
    await writer.save({ ...newTaskState(), revision: 1 }, []);
    isAway = false;
    clock.advance(1_000);
    for (let turn = 0; turn < turns; turn++) await Promise.resolve();
    await writer.save({ ...newTaskState(), revision: 2 }, []);
    await settle();
    clock.advance(1_000);
    await settle();
    expect(stored.at(-1)).toBe(2);
  },
);
