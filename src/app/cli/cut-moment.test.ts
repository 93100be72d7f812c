import { expect, test } from 'vitest';
import { readMoment } from './cut-moment.ts';

/** A local time of this machine, as a time of day is. */
const STARTED = new Date(2026, 4, 4, 23, 30, 0).getTime();
const at = (day: number, ...time: [h: number, m: number, s?: number, ms?: number]) =>
  new Date(2026, 4, day, ...time).toISOString();

test.each([
  ['842', 842],
  ['842.5', 842.5],
  ['+14:02', 842],
  ['+14:02.25', 842.25],
  ['+1:14:02', 4442],
  ['+90:00', 5400],
  ['23:45', at(4, 23, 45)],
  ['23:45:01.5', at(4, 23, 45, 1, 500)],
  // Shortly before the start call, and after midnight.
  ['23:29:30', at(4, 23, 29, 30)],
  ['0:15', at(5, 0, 15)],
  ['2026-05-04T14:02:00+02:00', '2026-05-04T12:02:00.000Z'],
  ['2026-05-04T14:02Z', '2026-05-04T14:02:00.000Z'],
])('%s', (text, moment) => {
  expect(readMoment('--from', text, STARTED)).toBe(moment);
});

test.each(['', 'soon', '-5', '24:00', '14:60', '+1:2:3:4', '2026-05-04T14:02:00', '2026-13-04T14:02:00Z', '1e3'])(
  '"%s" is refused',
  (text) => {
    expect(() => readMoment('--to', text, STARTED)).toThrow(/^--to .*: it is a time of day/);
  },
);
