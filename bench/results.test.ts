import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, expect, test } from 'vitest';
import { atLeast, atMost, type Figure } from './measure.ts';
import { checkWritable, inBoth, readResults, worseThan, writeResults } from './results.ts';

const dir = mkdtempSync(join(tmpdir(), 'aircheck-results-'));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const memory = (mb: number) => atMost('memory', mb, 200, 'MB', '');
const speed = (times: number) => atLeast('speed', times, 2, '×', '');
const estimate = (times: number): Figure => ({
  ...memory(0),
  value: times,
  unit: '×',
  goal: { atLeast: 0.8, atMost: 2 },
});

test.each([
  ['more of what is to be little, by a tenth', memory(100), memory(110), false],
  ['more of what is to be little, by more', memory(100), memory(111), true],
  ['less of it', memory(100), memory(10), false],
  ['less of what is to be much, by a tenth', speed(3), speed(2.7), false],
  ['less of what is to be much, by more', speed(3), speed(2.69), true],
  ['more of it', speed(3), speed(30), false],
  ['some where there was nothing', memory(0), memory(1), true],
  ['nothing, as before', memory(0), memory(0), false],
  ['further below nothing, which is to be much', speed(-1), speed(-1.2), true],
  ['anything within a range', estimate(0.8), estimate(2), false],
  ['out of the range', estimate(2), estimate(2.01), true],
  ['out of the range, as before', estimate(2.2), estimate(3), false],
  ['not measured any more', memory(100), memory(Number.NaN), true],
  ['measured for the first time', memory(Number.NaN), memory(1e9), false],
  ['another figure', memory(100), { ...memory(1e9), what: 'memory of two' }, false],
])('%s', (_, before, now, isWorse) => {
  expect(worseThan([before], [now])).toHaveLength(isWorse ? 1 : 0);
});

test('a goal that has been set anew counts, not the one of before', () => {
  expect(worseThan([{ ...memory(100), goal: { atMost: 90 } }], [memory(105)])).toEqual([]);
});

test('what became worse is told with both values', () => {
  expect(worseThan([memory(100)], [memory(150)])).toEqual(['memory: 150 MB, was 100 MB']);
});

test('results come back from their file, those that were not measured too', () => {
  const path = join(dir, 'results.json');
  const of = { command: 'npm run bench -- at-rest', date: '2026-01-02T03:04:05Z', commit: '0123abc', machine: '2 × x' };
  writeResults(path, { ...of, figures: [memory(100), speed(Number.POSITIVE_INFINITY)] });
  expect(readResults(path)).toEqual({ ...of, figures: [memory(100), speed(Number.NaN)] });
});

test('a file of something else is refused in words', () => {
  const path = join(dir, 'else.json');
  writeFileSync(path, '{"figures": [{"what": 1}]}');
  expect(() => readResults(path)).toThrow(/else\.json holds no results of the bench: .*command/s);
});

test.each([
  ['not JSON', 'root:x:0:0', /text\.json holds no results of the bench: it is not JSON$/],
  ['no file', undefined, /text\.json cannot be read: ENOENT/],
])('a file that is %s is refused in words', (_, text, words) => {
  const path = join(dir, 'text.json');
  rmSync(path, { force: true });
  if (text !== undefined) writeFileSync(path, text);
  expect(() => readResults(path)).toThrow(words);
});

test('results that could not be written are refused before anything is measured, and nothing is written by the look', () => {
  expect(() => checkWritable(dir)).toThrow(/it is a folder$/);
  expect(() => checkWritable(join(dir, 'none', 'results.json'))).toThrow(/cannot be written to .*ENOENT/);
  checkWritable(join(dir, 'new.json'));
  expect(existsSync(join(dir, 'new.json'))).toBe(false);
});

test('figures of something else are told from figures that are no worse', () => {
  expect(inBoth([memory(100)], [speed(3)])).toBe(0);
  expect(inBoth([memory(100), speed(3)], [speed(3)])).toBe(1);
});
