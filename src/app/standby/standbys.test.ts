import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import { individualPlanOf, planOf } from '../../../test/support/scripted-recording.ts';
import type { ChangeCommand, StartCommand } from '../../contract/line/commands.ts';
import { readTakenOver } from '../../pipeline/individual/taken-over.ts';
import type { RunListener } from '../../session/ports.ts';
import { Journal } from '../../stages/spool/journal.ts';
import type { Standing } from '../../store/standby-tables.ts';
import { Standbys } from './standbys.ts';

const SID = 'b'.repeat(32);
const line = () => {};
const log = { trace: line, debug: line, info: line, warn: line, error: line, fatal: line } as never;
const STANDING: Standing = {
  ...{ sid: SID, appid: 'a', cname: 'room', uid: '9', keeper: 'B', home: 'A', zeroUs: 1_000_000, zeroUtcMs: 5_000 },
  ...{ originUs: 250_000, sliceFrame: 0, owner: undefined, plan: { before: planOf({ sid: SID }), changes: [] } },
};

let folder: string;
let clock: ManualClock;
let wanted: Standing[];
let mine: Standing[];
let stored: { name: string; startUtcMs: number; endUtcMs: number; isStored: boolean }[];
let done: string[];
let refusal: string | undefined;
let launched: { start: StartCommand; listener: RunListener; changes: ChangeCommand[] }[];
let standbys: Standbys;

beforeEach(async () => {
  folder = mkdtempSync(join(tmpdir(), 'aircheck-standbys-'));
  clock = new ManualClock();
  [wanted, mine, stored, done, launched] = [[STANDING], [], [], [], []];
  refusal = undefined;
  standbys = new Standbys({
    tables: {
      wanted: async () => wanted,
      mine: async () => mine,
      claim: async (standing) => {
        [wanted, mine] = [[], [{ ...standing, owner: 'C' }]];
        return true;
      },
      release: async () => {
        mine = [];
        done.push('released');
      },
      slices: async () => stored,
      protect: async () => void done.push('protected'),
    },
    feeds: {
      // The home's clock is 400 000 µs ahead of this node's.
      openAt: async (home, who) => ({
        ...{ path: `/feed of ${home}`, openedMonoUs: 0, toOwn: (us: number) => us - 400_000 },
        close: () => done.push(`closed ${who.uid.split('#')[0]}`),
      }),
    },
    recorders: {
      launch(start, listener) {
        const run = { start, listener, changes: [] as ChangeCommand[] };
        launched.push(run);
        return {
          stop: line,
          kill: () => listener.onExit('killed'),
          change: (command) => void run.changes.push(command),
        };
      },
    },
    admission: { refusalOf: () => refusal, forget: line },
    follow: async () => {},
    isLeaving: () => false,
    onTakenOver: (mode) => done.push(`took over ${mode}`),
    ...{ self: 'C', name: 'c', root: join(folder, 'standby'), spoolRoot: join(folder, 'spool'), minFreeBytes: 0 },
    ...{ given: {}, clock, log },
  });
  await standbys.start();
});
afterEach(async () => {
  await standbys.close();
  rmSync(folder, { recursive: true, force: true });
});

/** Looks once, and lets what that begins come to its end. */
async function look(): Promise<void> {
  clock.advance(1_000);
  for (let n = 0; n < 20; n++) await new Promise((resolve) => setImmediate(resolve));
  await expect.poll(() => readdirSync(folder).length, { interval: 5 }).toBeGreaterThanOrEqual(0);
}
async function begun(): Promise<(typeof launched)[number]> {
  await expect
    .poll(async () => {
      if (launched.length === 0) await look();
      return launched.length;
    })
    .toBe(1);
  return launched[0]!;
}
/** The recorder has finished a slice of this name. */
async function finish({ start, listener }: (typeof launched)[number], name: string, index: number): Promise<void> {
  const owner = name.startsWith(SID) ? { uid: '1', trackType: 'video' } : {};
  listener.onFact({ type: 'sliceStarted', startUtcMs: index, ...owner } as never);
  writeFileSync(join(start.spoolDir, name), 'slice');
  const times = { startUtcMs: index, durationUs: name.startsWith(SID) ? 15_000_000 : 1, bytes: 5 };
  const marks = { discontinuity: false, starts: [], rotations: [] };
  const file = { type: 'slice' as const, name, playlist: 'x.m3u8', index, ...times, ...marks };
  const journal = await Journal.open(start.spoolDir);
  await journal.append(file);
  await journal.close();
  listener.onFact({ type: 'fileSpooled', generation: 2, sid: SID, file } as never);
}

test('a standby makes the slices of the recording, in time that the home tells, and learns of changes once', async () => {
  const run = await begun();
  expect(run.start).toMatchObject({
    ...{ zeroMonoUs: 600_000, zeroUtcMs: 5_000, earlierDirs: [], source: { kind: 'feed', path: '/feed of A' } },
    follows: { originUs: 250_000, sliceFrame: 0 },
  });
  const change = { atUs: 3_000_000, change: { type: 'changeHold' as const, onhold: true } };
  mine = [{ ...STANDING, owner: 'C', plan: { ...STANDING.plan, changes: [change] } }];
  await look();
  await look();
  await expect.poll(() => run.changes).toEqual([{ type: 'changeHold', onhold: true, atMonoUs: 3_600_000 }]);
});

test('what the store has is removed, but for the newest slices', async () => {
  const run = await begun();
  for (const [index, name] of ['1.ts', '2.ts', '3.ts', '4.ts'].entries()) await finish(run, name, index);
  stored = ['1.ts', '3.ts', '4.ts'].map((name) => ({ name, startUtcMs: 0, endUtcMs: 1, isStored: true }));
  await look();
  const left = () => readdirSync(run.start.spoolDir).filter((name) => name.endsWith('.ts'));
  await expect.poll(left).toEqual(['2.ts', '3.ts', '4.ts']);
});

test('of a recording that its node has claimed, what the standby made becomes a run, and its feed the next', async () => {
  const run = await begun();
  await finish(run, '1.ts', 0);
  await finish(run, '2.ts', 1);
  rmSync(join(run.start.spoolDir, '1.ts'));
  // The claim is in the database before the runner asks.
  mine = [{ ...STANDING, owner: 'C', keeper: 'C' }];
  await look();
  const adopted = await standbys.adopt(SID, 7);
  expect(adopted).toMatchObject({ zeroMonoUs: 600_000, files: [{ dir: join(folder, 'spool', SID, '7') }] });
  expect(adopted?.files.map(({ file }) => file.name)).toEqual(['2.ts']);
  expect(existsSync(join(folder, 'spool', SID, '7', '2.ts'))).toBe(true);
  expect(existsSync(join(folder, 'standby', SID))).toBe(false);
  expect(done).toEqual(['took over mix']);
  expect(adopted?.takeover).toMatchObject({ node: 'c', protectedMs: null });
  expect(standbys.takeFeed(SID)?.path).toBe('/feed of A');
  expect(standbys.takeFeed(SID)).toBeUndefined();
  expect(await standbys.adopt(SID, 8)).toBeUndefined();
});

test('nothing is adopted where nothing was recorded yet', async () => {
  await begun();
  expect(await standbys.adopt(SID, 7)).toBeUndefined();
  expect(done).toEqual(['closed 9']);
  expect([existsSync(join(folder, 'standby', SID)), existsSync(join(folder, 'spool', SID))]).toEqual([false, false]);
});

test.each<[string, Partial<Standing>]>([
  ['slices begin elsewhere', { sliceFrame: 100 }],
  ['another node has the recording', { keeper: 'D' }],
  ['the channel is at home elsewhere', { home: 'D' }],
])('a standby is ended when %s', async (_what, changed) => {
  await begun();
  mine = [{ ...STANDING, owner: 'C', ...changed }];
  await look();
  await expect.poll(() => done).toEqual(['closed 9', 'released']);
  expect([standbys.held.recorders, existsSync(join(folder, 'standby', SID))]).toEqual([0, false]);
});

test('a slice 15 s of frames further is still the same, and a node without room stands by for nothing', async () => {
  await begun();
  mine = [{ ...STANDING, owner: 'C', sliceFrame: 15 * 30 }];
  await look();
  expect(standbys.held.recorders).toBe(1);
  mine = [];
  await look();
  await expect.poll(() => standbys.held.recorders).toBe(0);
  [refusal, wanted] = ['full', [STANDING]];
  await look();
  expect(launched).toHaveLength(1);
});

const BASE = `${SID}_room__uid_s_1__uid_e_video`;
/** A slice of single users that begins so many seconds after 1970. */
const nameOf = (s: number) => `${BASE}_19700101${`0000${String(s).padStart(2, '0')}000`}.ts`;

test('slices of single users are removed by their times, and kept for the run that writes them again', async () => {
  const snapshots = { intervalMs: 5_000 };
  const before = individualPlanOf({ sid: SID, snapshots, extras: { mp4: true, manifest: true } });
  wanted = [{ ...STANDING, plan: { before, changes: [] } }];
  const run = await begun();
  expect(run.start).toMatchObject({ isTwin: true, follows: { originUs: 250_000 } });
  // It makes slices alone.
  expect(run.start.plan).toMatchObject({ streamMode: 'default', extras: { mp4: false, manifest: false } });
  expect(run.start.plan).not.toHaveProperty('snapshots');
  for (const s of [7, 23, 39]) await finish(run, nameOf(s), s * 1_000);
  const known = (s: number, isStored: boolean) => {
    return { name: nameOf(s), startUtcMs: s * 1_000, endUtcMs: (s + 15) * 1_000, isStored };
  };
  stored = [known(3, true), known(18, true), known(33, false)];
  await look();
  const left = () => readdirSync(run.start.spoolDir).filter((name) => name.endsWith('.ts'));
  // What the owner cut otherwise reaches further than the first alone.
  await expect.poll(left).toEqual([nameOf(23), nameOf(39)]);
  await expect.poll(() => standbys.held).toEqual({ recorders: 1, lagSlices: 1, bytes: 10 });
  expect(done).toEqual(['protected']);

  mine = [];
  const adopted = await standbys.adopt(SID, 7);
  const dir = join(folder, 'spool', SID, '7');
  expect(adopted).toMatchObject({ files: [], takeover: { node: 'c', fromMs: 33_000 - 5_000 } });
  expect(readdirSync(join(dir, 'standby')).sort()).toEqual([nameOf(23), nameOf(39), 'rows.json']);
  const taken = (await readTakenOver([dir], 5_000)).get('1 video');
  expect(taken).toMatchObject({ storedUs: 28_000_000, slices: [{ isTorn: false }, { isTorn: false }] });
});
