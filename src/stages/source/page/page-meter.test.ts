import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { PageMeter } from './page-meter.ts';

let proc: string;
beforeEach(() => {
  proc = mkdtempSync(join(tmpdir(), 'aircheck-proc-'));
});
afterEach(() => rmSync(proc, { recursive: true }));

type Told = { ticks: number; pssKb?: number; children?: number[]; started?: number; words?: string[] };
/** A process as Linux tells of it. */
function put(pid: number, { ticks, pssKb, children = [], started = 5, words = ['x'] }: Told): void {
  const dir = join(proc, String(pid));
  mkdirSync(join(dir, 'task', String(pid)), { recursive: true });
  const before = `${pid} (a (b) c) S 1 ${'0 '.repeat(9)}`;
  writeFileSync(join(dir, 'stat'), `${before}${ticks} 0 0 0 0 0 1 0 ${started} 0`);
  writeFileSync(join(dir, 'status'), 'Name: x\nRssAnon:\t     300 kB\n');
  writeFileSync(join(dir, 'cmdline'), words.join('\0'));
  writeFileSync(join(dir, 'task', String(pid), 'children'), `${children.join(' ')} `);
  if (pssKb !== undefined) writeFileSync(join(dir, 'smaps_rollup'), `Rss: 9 kB\nPss:     ${pssKb} kB\n`);
}

test('a program counts with all that it started, and what has ended goes on counting its CPU time', async () => {
  put(10, { ticks: 100, pssKb: 1000, children: [11, 12] });
  put(11, { ticks: 50, pssKb: 500 });
  put(12, { ticks: 10 });
  put(99, { ticks: 7, pssKb: 7 });
  const meter = new PageMeter(() => [10, 404], proc);
  expect(await meter.read()).toEqual({ cpuUs: 1_600_000, memoryBytes: 1800 * 1024, processes: 3 });
  put(10, { ticks: 110, pssKb: 1000, children: [11] });
  rmSync(join(proc, '12'), { recursive: true });
  expect(await meter.read()).toMatchObject({ cpuUs: 1_700_000, processes: 2 });
  // Another process under the number of the one before it.
  put(11, { ticks: 1, pssKb: 500, started: 6 });
  expect(await meter.read()).toMatchObject({ cpuUs: 1_710_000 });
});

test('the largest of one kind is found', async () => {
  put(10, { ticks: 0, pssKb: 9000, children: [11, 12, 13] });
  for (const [pid, pssKb] of [
    [11, 100],
    [12, 300],
    [13, 200],
  ] as const)
    put(pid, { ticks: 0, pssKb, words: ['chromium', pid === 13 ? '--type=gpu' : '--type=renderer'] });
  const meter = new PageMeter(() => [10], proc);
  await meter.read();
  expect(await meter.largest('--type=renderer')).toBe(12);
  expect(await meter.largest('--type=zygote')).toBeUndefined();
});
