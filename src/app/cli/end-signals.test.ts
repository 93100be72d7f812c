import { beforeEach, expect, test } from 'vitest';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { EndSignals, type Wish } from './end-signals.ts';

let clock: ManualClock;
let done: string[];
let signals: EndSignals;
beforeEach(() => {
  clock = new ManualClock();
  done = [];
  signals = new EndSignals({ clock, say: (words) => void done.push(words), endNow: () => void done.push('now') });
});
const end = (wish: Wish) => void done.push(wish);

test('the first signal ends a server in order, and one more at once', () => {
  expect(signals.started(end)).toBe(true);
  signals.take('SIGTERM');
  expect(done).toEqual(['SIGTERM: finishing recordings; a second signal ends at once', 'close']);
  clock.advance(1_000);
  signals.take('SIGTERM');
  expect(done.slice(2)).toEqual(['ended at once; the next start uploads what is left', 'now']);
});

test('Ctrl-C that closes the terminal as well is one wish', () => {
  signals.started(end);
  signals.take('SIGINT');
  clock.advance(999);
  signals.take('SIGHUP');
  expect(done.slice(1)).toEqual(['close']);
});

test('to hang up leaves recordings to the next start', () => {
  signals.started(end);
  signals.take('SIGHUP');
  expect(done).toEqual(['SIGHUP: leaving recordings to the next start; a second signal ends at once', 'leave']);
});

test('a server that is told to end while it starts ends in order as soon as it has, once', () => {
  signals.take('SIGHUP');
  expect(done).toEqual(['SIGHUP: the server ends as soon as it has started; a second signal ends it at once']);
  expect(signals.started(end)).toBe(false);
  expect(done.slice(1)).toEqual(['leave']);
});

test('a start that hangs is ended by one more signal', () => {
  signals.take('SIGINT');
  clock.advance(5_000);
  signals.take('SIGINT');
  expect(done.slice(1)).toEqual(['ended at once; the next start uploads what is left', 'now']);
});
