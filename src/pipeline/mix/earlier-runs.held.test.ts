/**
 * What runs left of a recording that was on hold for longer than half of the day after which the times of a transport
 * stream repeat: names of slices tell the recording's time, timestamps the files'. And of one that left frames out.
 */
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, renameSync, rmSync, truncateSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { interleave, makeAudio, makeVideo } from '../../../test/support/encoded-samples.ts';
import { probeFile } from '../../../test/support/judge/probe.ts';
import { planOf } from '../../../test/support/scripted-recording.ts';
import type { StartCommand } from '../../contract/line/commands.ts';
import type { EncodedSample } from '../../media/sample.ts';
import type { Segment } from '../../media/segment.ts';
import type { Streams } from '../../stages/mux/stream.ts';
import { TsSlices } from '../../stages/mux/ts/ts-slices.ts';
import { Journal, readSpool, writeJournal } from '../../stages/spool/journal.ts';
import { repairSpool } from '../repair.ts';
import { readEarlierRuns } from './earlier-runs.ts';

const FPS = 15;
const SIZE = { width: 160, height: 90 };
const ZERO_MS = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
/** Where the files begin, microseconds of the recording. */
const ORIGIN_US = 1_500_000;
const HELD_US = 14 * 3_600_000_000;
/** Of the files: the hold lies here. A slice is full some seconds later. */
const HELD_AT_S = 6;
const SECONDS = 36;
const PLAN = planOf({ video: { ...planOf().video!, ...SIZE, fps: FPS } });

let samples: EncodedSample[];
let streams: Streams;
let dir: string;
beforeAll(async () => {
  const picture = await makeVideo({ seconds: SECONDS, ...SIZE, fps: FPS, keyIntervalFrames: 3 * FPS, bFrames: 0 });
  const sound = await makeAudio({ seconds: SECONDS, channels: 1 });
  samples = interleave(picture.samples, sound.samples.slice(1));
  streams = {
    video: { ...SIZE, fps: FPS, extradata: picture.extradata },
    audio: { sampleRate: 48_000, channels: 1, extradata: sound.extradata },
  };
});
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-earlier-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/**
 * Writes the samples to a folder of their own as a run does that was on hold, and is lost with its last slice.
 * @param name the run's folder, and the start of its names
 * @param heldUs how much of the recording was on hold already
 */
async function runOf(name: string, baseName: string, heldUs: number): Promise<{ folder: string; slices: Segment[] }> {
  const folder = join(dir, name);
  mkdirSync(folder);
  const slices: Segment[] = [];
  const zeroUtcMs = ZERO_MS + ORIGIN_US / 1000;
  const writer = new TsSlices({
    ...{ ...streams, dir: folder, baseName, zeroUtcMs, heldUs },
    onFile: (file) => void slices.push(file),
  });
  const [before, after] = [samples.filter(isBeforeHold), samples.filter((sample) => !isBeforeHold(sample))];
  for (const sample of before) writer.write(sample);
  await writer.hold(HELD_AT_S * 1e6);
  writer.resume(heldUs + HELD_US);
  for (const sample of after) writer.write(sample);
  await writer.finish();
  const last = slices.at(-1)!;
  renameSync(join(folder, last.name), join(folder, `${last.name}.part`));
  truncateSync(join(folder, `${last.name}.part`), Math.floor(last.bytes * 0.7));
  const journal = await Journal.open(folder);
  for (const slice of slices.slice(0, -1)) await journal.append(slice);
  await journal.close();
  return { folder, slices };
}

const isBeforeHold = ({ kind, ptsUs, durationUs }: EncodedSample) =>
  (kind === 'video' ? ptsUs : ptsUs + durationUs / 2) < HELD_AT_S * 1e6;

const startOf = (spoolDir: string, earlierDirs: string[]): StartCommand => ({
  ...{ type: 'start', plan: PLAN, generation: earlierDirs.length + 1, spoolDir, earlierDirs },
  ...{ source: { kind: 'feed', path: '' }, changes: [], zeroUtcMs: ZERO_MS, zeroMonoUs: 0, lowestRung: 'full' },
});

test('a run goes on after the last whole frame of the slice that was torn after the hold', async () => {
  const { folder, slices } = await runOf('1', PLAN.baseName, 0);
  expect(slices.map(({ heldUs = 0 }) => heldUs)).toEqual([0, HELD_US, HELD_US]);
  mkdirSync(join(dir, '2'));
  const earlier = await readEarlierRuns(startOf(join(dir, '2'), [folder]), PLAN);
  const [mended] = earlier!.mended;
  const lostFromS = HELD_AT_S + 15;
  expect(earlier!.end.frame / FPS).toBeGreaterThan(lostFromS + 8);
  expect(earlier!.end.frame / FPS).toBeLessThan(SECONDS);
  expect(Math.abs(earlier!.end.sample / 48_000 - earlier!.end.frame / FPS)).toBeLessThan(1);
  expect(mended).toMatchObject({
    index: 2,
    durationUs: Math.round((earlier!.end.frame * 1e6) / FPS) - lostFromS * 1e6,
  });
  expect(Math.abs(mended!.heldUs! - HELD_US)).toBeLessThan(2000);
});

test('the run after that one goes on after what it had mended', async () => {
  const { folder } = await runOf('1', PLAN.baseName, 0);
  mkdirSync(join(dir, '2'));
  const second = await readEarlierRuns(startOf(join(dir, '2'), [folder]), PLAN);
  const journal = await Journal.open(join(dir, '2'));
  await journal.append(second!.mended[0]!);
  await journal.close();
  mkdirSync(join(dir, '3'));
  const third = await readEarlierRuns(startOf(join(dir, '3'), [folder, join(dir, '2')]), PLAN);
  expect(third).toMatchObject({ end: second!.end, mended: [] });
});

/** As `runOf`, of a run on a machine that is too slow: it writes each third frame and is lost with its second slice. */
async function slowRun(name: string, seconds: number): Promise<{ folder: string; slices: Segment[] }> {
  const folder = join(dir, name);
  mkdirSync(folder);
  const slices: Segment[] = [];
  const { baseName } = PLAN;
  const writer = new TsSlices({
    ...{ ...streams, dir: folder, baseName, zeroUtcMs: ZERO_MS + ORIGIN_US / 1000 },
    onFile: (file) => void slices.push(file),
  });
  for (const sample of samples) {
    const isLeftOut = sample.kind === 'video' && Math.round((sample.ptsUs * FPS) / 1e6) % 3 > 0;
    if (sample.ptsUs < seconds * 1e6 && !isLeftOut) writer.write(sample);
  }
  await writer.finish();
  const last = slices.pop()!;
  renameSync(join(folder, last.name), join(folder, `${last.name}.part`));
  const journal = await Journal.open(folder);
  for (const slice of slices) await journal.append(slice);
  await journal.close();
  return { folder, slices: [...slices, last] };
}

test('a run goes on where the last slice ends, however long that shows its last frame', async () => {
  // Too little of the second slice to keep any of it.
  const { folder, slices } = await slowRun('1', 15.3);
  expect(slices.map(({ durationUs }) => durationUs)).toMatchObject([15_000_000, expect.any(Number)]);
  mkdirSync(join(dir, '2'));
  const earlier = await readEarlierRuns(startOf(join(dir, '2'), [folder]), PLAN);
  expect(earlier).toMatchObject({ mended: [], end: { frame: 15 * FPS } });
});

test('a slice that had ended is as long as it is shown, though no journal lists it', async () => {
  const { folder, slices } = await slowRun('1', 15.3);
  const [first] = slices;
  renameSync(join(folder, first!.name), join(folder, `${first!.name}.part`));
  await writeJournal(folder, []);
  mkdirSync(join(dir, '2'));
  const earlier = await readEarlierRuns(startOf(join(dir, '2'), [folder]), PLAN);
  expect(earlier!.mended).toMatchObject([{ name: first!.name, durationUs: 15_000_000 }]);
  expect(earlier!.end).toMatchObject({ frame: 15 * FPS });
});

test('what was torn of a slice is left out where a later one holds that time', async () => {
  const { folder, slices } = await slowRun('1', 15.3);
  const torn = slices[1]!;
  // Begun a frame before the torn one.
  const later = { ...torn, bytes: slices[0]!.bytes, startUtcMs: torn.startUtcMs - 67, durationUs: 2_000_000 };
  later.name = torn.name.replace(/\d+\.ts$/, '20260102030422111.ts');
  copyFileSync(join(folder, slices[0]!.name), join(folder, later.name));
  const journal = await Journal.open(folder);
  await journal.append(later);
  await journal.close();
  expect(await repairSpool(folder, { mp4: undefined })).toEqual([]);
  expect(readdirSync(folder).filter((name) => name.endsWith('.part'))).toEqual([]);
});

test('a slice that had ended, and the one after it, are both kept where no journal lists them', async () => {
  const folder = join(dir, '1');
  mkdirSync(folder);
  const slices: Segment[] = [];
  const writer = new TsSlices({
    ...{ ...streams, dir: folder, baseName: PLAN.baseName, zeroUtcMs: ZERO_MS + ORIGIN_US / 1000 },
    onFile: (file) => void slices.push(file),
  });
  for (const sample of samples) writer.write(sample);
  await writer.finish();
  for (const { name } of slices) renameSync(join(folder, name), join(folder, `${name}.part`));
  expect(slices).toHaveLength(3);
  // As well when the repair is done again after the first slice was noted.
  expect(await repairSpool(folder, { mp4: undefined })).toEqual(slices.map(({ name }) => name));
  const { files } = await readSpool(folder);
  await writeJournal(folder, files.slice(0, 1));
  expect(await repairSpool(folder, { mp4: undefined })).toEqual(slices.slice(1).map(({ name }) => name));
});

test('the MP4 of a playlist that begins after the hold begins at its time', async () => {
  // A run that took over, and has names of its own.
  const { folder: late, slices } = await runOf('2', `bak0_${PLAN.baseName}`, HELD_US);
  const { folder: early, slices: first } = await runOf('1', PLAN.baseName, 0);
  const journal = await Journal.open(late);
  await journal.append(first[0]!);
  await journal.close();
  renameSync(join(early, first[0]!.name), join(late, first[0]!.name));
  await repairSpool(late, { mp4: { durationMs: 7_200_000, bytes: 2_000_000_000 } });
  const { files } = await readSpool(late);
  const mp4 = files.find(({ name }) => name === `bak0_${PLAN.baseName}_0.mp4`)!;
  expect(Math.abs(mp4.startUtcMs - slices[0]!.startUtcMs)).toBeLessThan(25);
  expect(probeFile(join(late, mp4.name)).durationS).toBeGreaterThan(HELD_AT_S + 15 + 8);
});
