/**
 * Recordings that a standby goes on with where the store has the files of a recorder that is lost (ADR 0042), judged by
 * the samples in the files of both: together they are what a recorder that lived wrote, none lost and none twice.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { storedRows } from '../../src/app/standby/stored-rows.ts';
import type { IndividualPlan } from '../../src/contract/line/plan.ts';
import type { Segment, SpooledFile } from '../../src/media/segment.ts';
import { keepTakenOver, rowKeyOf } from '../../src/pipeline/individual/taken-over.ts';
import { readSliceName } from '../../src/stages/mux/names.ts';
import { readSamples } from '../../src/stages/mux/read-slices.ts';
import { type Kill, recordKilled } from '../support/killed-recording.ts';
import { GREEN, PARTICIPANTS, type Participant, RED } from '../support/media/participants.ts';
import type { ScriptedUser } from '../support/scripted-feed.ts';
import { individualPlanOf, planOf } from '../support/scripted-recording.ts';

const [FEED_S, LOST_S, STOP_S] = [2, 39.3, 46.5];
const BLUE = PARTICIPANTS[2] as Participant;

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'aircheck-follows-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

type Row = { kind: string; us: number }[];
type Made = { dir: string; file: SpooledFile }[];

/** What the files hold of each row, in order of time. */
async function rowsOf(files: Made): Promise<Map<string, Row>> {
  const rows = new Map<string, Row>();
  for (const { dir, file } of files) {
    const key = rowKeyOf(file.name);
    if (file.type !== 'slice' || key === undefined) continue;
    const row = rows.get(key) ?? [];
    rows.set(key, row);
    for await (const { kind, ptsUs } of readSamples(join(dir, file.name), 0)) row.push({ kind, us: ptsUs });
  }
  for (const row of rows.values()) row.sort((a, b) => a.us - b.us || a.kind.localeCompare(b.kind));
  return rows;
}

/** A feed that begins so late has nothing of what was sent before. */
const fed = (users: ScriptedUser[]) =>
  users.map((user): ScriptedUser => ({ ...user, alter: (sent, _kind, _what, s) => (s < FEED_S ? [] : sent) }));

const slicesIn = (files: Made) =>
  files.map(({ file }) => file).filter((file): file is Segment => file.type === 'slice');

/** The recorder of the owner, to its end; and that of a standby, which is lost when its node takes over. */
async function recordTwice(users: ScriptedUser[], plan: IndividualPlan, storedToS: number, kills: Kill[] = []) {
  const own = (name: string) => mkdtempSync(join(folder, name));
  const isTwin = true as const;
  const whole = await recordKilled(own('w'), users, plan, STOP_S, { start: () => ({ isTwin }) });
  const known = slicesIn(whole.spool.files).map(({ name, startUtcMs, durationUs }) => {
    const endUtcMs = startUtcMs + durationUs / 1000;
    return { name, startUtcMs, endUtcMs, isStored: endUtcMs - whole.zeroUtcMs < storedToS * 1000 };
  });
  const made = await recordKilled(own('s'), fed(users), plan, STOP_S, {
    kills: [{ atS: LOST_S, downS: 0.8 }, ...kills],
    upAtS: FEED_S,
    start: (generation) => ({ isTwin, ...(generation === 1 && { follows: { originUs: 0, sliceFrame: 0 } }) }),
    async onLost(dir) {
      if (!dir.endsWith('1')) return;
      const names = (await readdir(dir)).filter((name) => rowKeyOf(name) !== undefined);
      const ours = names.map((name) => ({ name, startUtcMs: readSliceName(name.replace('.part', ''))!.startUtcMs }));
      await keepTakenOver(dir, storedRows(known, ours));
    },
  });
  const names = new Set(known.filter(({ isStored }) => isStored).map(({ name }) => name));
  const stored = whole.spool.files.filter(({ file }) => names.has(file.name));
  return { whole, made, stored };
}

type Twice = Awaited<ReturnType<typeof recordTwice>>;

/** Of each row, what both made is what the recorder made that lived: to the 3 ms by which their clocks may differ. */
async function judge({ whole, made, stored }: Twice): Promise<void> {
  expect(made.happenings.filter(({ type }) => type === 'degraded')).toEqual([]);
  const [wanted, found] = [await rowsOf(whole.spool.files), await rowsOf([...stored, ...made.spool.files])];
  expect([...found.keys()].sort()).toEqual([...wanted.keys()].sort());
  for (const [key, row] of wanted) {
    const joined = found.get(key)!;
    for (const kind of ['video', 'audio']) {
      // An encoder's last block may begin after the stop, and holds nothing then.
      const [all, both] = [row, joined].map((each) =>
        each.filter((sample) => sample.kind === kind && sample.us < STOP_S * 1e6),
      );
      const apart = all!.map(({ us }, n) => Math.abs(us - (both![n]?.us ?? 0)));
      expect([key, kind, both!.length], `${key} ${kind}`).toEqual([key, kind, all!.length]);
      if (apart.length > 0) expect(Math.max(...apart), `${key} ${kind}`).toBeLessThan(3_000);
    }
  }
  // It goes on right where the stored slices end.
  const slices = slicesIn(made.spool.files);
  for (const [key, row] of Map.groupBy(slices, ({ name }) => rowKeyOf(name))) {
    row.sort((a, b) => a.startUtcMs - b.startUtcMs);
    expect([key, row.map(({ index }) => index)]).toEqual([key, row.map((_, n) => n)]);
    const before = slicesIn(stored).filter(({ name }) => rowKeyOf(name) === key);
    const endMs = Math.max(0, ...before.map(({ startUtcMs, durationUs }) => startUtcMs + durationUs / 1000));
    if (before.length > 0) expect(Math.abs(row[0]!.startUtcMs - endMs), key).toBeLessThan(30);
  }
}

describe('what the store has and what a standby made are one recording', () => {
  test('H.264 with sound in the same slices, and sound alone', async () => {
    const users: ScriptedUser[] = [
      { uid: '1', participant: RED, fromS: -0.7, toS: 60, gopS: 1, skewPpm: 60 },
      { uid: '2', participant: GREEN, fromS: 0.3, toS: 60, video: false, delayMs: { audio: 35, video: 20 } },
    ];
    await judge(await recordTwice(users, individualPlanOf({ streamMode: 'standard' }), 34));
  });

  test('VP8 and its fragments, somebody who comes late, and the run that goes on is lost as well', async () => {
    const users: ScriptedUser[] = [
      { uid: '1', participant: RED, codec: 'vp8', fromS: -0.7, toS: 60, gopS: 2 },
      { uid: '3', participant: BLUE, fromS: 24.2, toS: 60, gopS: 3 },
    ];
    const plan = individualPlanOf({ streamMode: 'standard' });
    await judge(await recordTwice(users, plan, 34, [{ atS: 41.4, downS: 0.6 }]));
  });

  test('Opus as it came', async () => {
    const users: ScriptedUser[] = [{ uid: '1', participant: RED, fromS: -0.7, toS: 60, video: false, skewPpm: -40 }];
    const plan = individualPlanOf({ streamMode: 'original', records: { audio: true, video: false } });
    await judge(await recordTwice(users, plan, 34));
  });
});

test('a composite of sound alone is made again in slices of the same names', async () => {
  const users: ScriptedUser[] = [{ uid: '1', participant: RED, fromS: 0.4, toS: 60, video: false }];
  const plan = planOf({ video: undefined, files: { hls: true, mp4: false } });
  const whole = await recordKilled(mkdtempSync(join(folder, 'w')), users, plan, STOP_S);
  const [first] = slicesIn(whole.spool.files);
  const originUs = (first!.startUtcMs - whole.zeroUtcMs) * 1000;
  const follows = { originUs, sliceFrame: 0 };
  const made = await recordKilled(mkdtempSync(join(folder, 's')), fed(users), plan, STOP_S, {
    ...{ upAtS: FEED_S, start: () => ({ follows, generation: 2 }) },
  });
  const namesOf = (files: Made) => slicesIn(files).map(({ name }) => name);
  const names = namesOf(made.spool.files);
  expect(names.length).toBeGreaterThan(0);
  expect(names).toEqual(namesOf(whole.spool.files).slice(-names.length));
  const [a, b] = [whole, made].map(({ spool }) => spool.files.find(({ file }) => file.name === names[0])!);
  const samplesOf = async ({ dir, file }: Made[number]) => {
    const found: number[] = [];
    for await (const { ptsUs } of readSamples(join(dir, file.name), 0)) found.push(ptsUs);
    return found;
  };
  expect(await samplesOf(b!)).toEqual(await samplesOf(a!));
});
