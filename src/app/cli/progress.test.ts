/**
 * What is told of a long command, on a terminal and elsewhere.
 */
import { expect, test } from 'vitest';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { Progress } from './progress.ts';

function telling(isTTY: boolean) {
  const clock = new ManualClock();
  const written: string[] = [];
  const out = { isTTY, write: (text: string) => written.push(text) };
  return { clock, written, progress: new Progress(clock, out, 100) };
}

test('a line for each tenth where there is no terminal', () => {
  const { clock, written, progress } = telling(false);
  for (let s = 1; s <= 25; s++) {
    clock.advance(500);
    progress.show(s);
  }
  progress.end('done');
  expect(written).toEqual([
    'aircheck: 10 %, 2.0× real time, 45 s left\n',
    'aircheck: 20 %, 2.0× real time, 40 s left\n',
    'aircheck: done\n',
  ]);
});

test('one line, not too often, on a terminal', () => {
  const { clock, written, progress } = telling(true);
  for (let s = 1; s <= 5; s++) {
    clock.advance(100);
    progress.show(s);
  }
  progress.end();
  expect(written.map((text) => text.trimEnd())).toEqual([
    '\raircheck: 2 %, 10.0× real time, 10 s left',
    '\raircheck: 4 %, 10.0× real time, 10 s left',
    '',
  ]);
  expect(written.at(-1)).toBe('\n');
});
