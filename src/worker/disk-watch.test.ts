import { tmpdir } from 'node:os';
import { expect, test } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { DiskWatch, type DiskWatchOptions } from './disk-watch.ts';

const NONE = { reserveBytes: 0, totalBytes: 0, recordingBytes: 0, appPercent: 100 };

function setUp(over: Partial<DiskWatchOptions>) {
  const clock = new ManualClock();
  const ended: string[] = [];
  const lines: string[] = [];
  const line = (_details: object, text: string) => void lines.push(text);
  const occupants = ['a', 'b'].map((sid) => ({ sid, appid: 'app', isRunning: true }));
  const watch = new DiskWatch({
    clock,
    log: { debug: line, info: line, warn: line, error: line },
    spoolRoot: tmpdir(),
    limits: NONE,
    isShared: false,
    measure: async () =>
      new Map([
        ['a', 10],
        ['b', 20],
      ]),
    backupBytes: async () => new Map(),
    recordings: () => occupants,
    end: (sid) => {
      ended.push(sid);
      for (const each of occupants) if (each.sid === sid) each.isRunning = false;
    },
    ...over,
  });
  const pass = async (seconds: number) => {
    for (let i = 0; i < seconds; i++) {
      clock.advance(1_000);
      await watch.look();
    }
  };
  return { watch, clock, ended, lines, pass };
}

test('a recording beyond its share ends at once, and the next only when its files had time to be stored', async () => {
  const { watch, ended, pass } = setUp({ limits: { ...NONE, totalBytes: 5 } });
  expect(watch.refusalOf('app')).toBeUndefined();
  await watch.start();
  expect(ended).toEqual(['b']);
  expect(watch.refusalOf('app')).toMatch(/spoolTotalMb/);
  await pass(29);
  expect(ended).toEqual(['b']);
  await pass(2);
  expect(ended).toEqual(['b', 'a']);
  await watch.close();
});

test('a disk that is nearly full is said once, and ends all', async () => {
  const { watch, ended, lines, pass } = setUp({ limits: { ...NONE, reserveBytes: Number.MAX_SAFE_INTEGER } });
  await watch.start();
  await pass(3);
  expect(ended).toEqual(['a', 'b']);
  expect(lines.filter((line) => line.includes('nearly full: recordings are ended'))).toHaveLength(1);
  await watch.close();
});

test('a disk that cannot be looked at is said, and refuses nobody', async () => {
  const { watch, ended, lines } = setUp({ spoolRoot: '/no/such/folder', limits: { ...NONE, reserveBytes: 1e18 } });
  await watch.start();
  expect(lines).toEqual(['the disk of the spool cannot be looked at']);
  expect(watch.refusalOf('app')).toBeUndefined();
  expect(ended).toEqual([]);
  await watch.close();
});
