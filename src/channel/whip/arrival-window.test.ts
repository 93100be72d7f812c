/**
 * The window knows of each number what a map of all arrivals would, within its bounds.
 */
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { ArrivalWindow } from './arrival-window.ts';

const MAX_NUMBERS = 1024;

test('a number is at its arrival until it is forgotten or the window has moved on', () => {
  const deed = fc.oneof(
    {
      weight: 100,
      arbitrary: fc.record({ does: fc.constant('note' as const), by: fc.integer({ min: -300, max: 40 }) }),
    },
    {
      weight: 5,
      arbitrary: fc.record({ does: fc.constant('note' as const), by: fc.integer({ min: 300, max: 3000 }) }),
    },
    {
      weight: 5,
      arbitrary: fc.record({ does: fc.constant('forget' as const), by: fc.integer({ min: -1500, max: 100 }) }),
    },
    { weight: 1, arbitrary: fc.record({ does: fc.constant('restart' as const), by: fc.constant(0) }) },
  );
  fc.assert(
    fc.property(
      fc.integer({ min: -2000, max: 2 ** 40 }),
      fc.array(deed, { minLength: 1, maxLength: 400 }),
      (zero, deeds) => {
        const window = new ArrivalWindow(MAX_NUMBERS);
        window.restart(zero);
        const came = new Map<number, number>();
        let [first, end] = [zero, zero];
        deeds.forEach(({ does, by }, n) => {
          const number = end + by;
          if (does === 'note' && number >= first) {
            came.set(number, n);
            end = Math.max(end, number + 1);
            first = Math.max(first, end - MAX_NUMBERS);
          }
          if (does === 'forget') [first, end] = [Math.max(first, number), Math.max(end, number)];
          if (does === 'restart') [first, end] = [number, number];
          if (does === 'restart') came.clear();
          if (does === 'note') window.note(number, n);
          if (does === 'forget') window.forgetTo(number);
          if (does === 'restart') window.restart(number);
          expect([window.first, window.end]).toEqual([first, end]);
        });
        for (let number = first - 3; number < end + 3; number++) {
          const at = number >= first && number < end ? came.get(number) : undefined;
          expect(window.at(number)).toBe(at ?? Number.NaN);
          expect(window.has(number)).toBe(at !== undefined);
        }
      },
    ),
  );
});
