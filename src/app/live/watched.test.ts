/** A recording that is watched: its files grow under a held clock, as a recorder has them grow. */
import { appendFileSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { interleave, type MadeSamples, makeAudio, makeVideo } from '../../../test/support/encoded-samples.ts';
import { ManualClock } from '../../../test/support/manual-clock.ts';
import type { Plan } from '../../contract/line/plan.ts';
import type { LiveWish } from '../../contract/rest/watch.ts';
import type { Segment } from '../../media/segment.ts';
import { FIRST_SEGMENT } from '../../stages/mux/hls/live-playlist.ts';
import { baseName, sliceName, userBaseName } from '../../stages/mux/names.ts';
import { readSamples } from '../../stages/mux/read-slices.ts';
import { partRule, TsParts } from '../../stages/mux/ts/ts-parts.ts';
import { TsSlices } from '../../stages/mux/ts/ts-slices.ts';
import type { WholeSource } from '../cut-sources.ts';
import { type FileSpan, LiveFiles } from './live-files.ts';
import { Watched } from './watched.ts';

const SID = 'a'.repeat(32);
const BASE = baseName(SID, 'room');
const ZERO = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
const FPS = 15;
const SIZE = { width: 160, height: 90, fps: FPS };
const WAIT_MS = 1_000;
const NONE: LiveWish = { skips: false };

let picture: MadeSamples;
let made: { name: string; bytes: Buffer; segment: Segment }[];
/** Two slices of 15 s and some of a third, as our own muxer writes them. */
beforeAll(async () => {
  const dir = mkdtempSync(join(tmpdir(), 'aircheck-made-'));
  picture = await makeVideo({ seconds: 33, ...SIZE, keyIntervalFrames: 3 * FPS, bFrames: 2 });
  const sound = await makeAudio({ seconds: 33, channels: 1 });
  const segments: Segment[] = [];
  const writer = new TsSlices({
    ...{ dir, baseName: BASE, zeroUtcMs: ZERO, onFile: (file) => void segments.push(file) },
    video: { ...SIZE, extradata: picture.extradata },
    audio: { sampleRate: 48_000, channels: 1, extradata: sound.extradata },
  });
  for (const sample of interleave(picture.samples, sound.samples)) writer.write(sample);
  await writer.finish();
  made = segments.map((segment) => {
    return { name: segment.name, bytes: readFileSync(join(dir, segment.name)), segment };
  });
  rmSync(dir, { recursive: true });
  expect(made).toHaveLength(3);
}, 60_000);

let root: string;
let run: string;
let clock: ManualClock;
let whole: WholeSource[];
let isRecorded: boolean;
let watched: Watched;
let closed: number;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'aircheck-watched-'));
  run = join(root, '1');
  mkdirSync(run);
  clock = new ManualClock();
  whole = [];
  isRecorded = true;
  closed = 0;
});
afterEach(async () => {
  await watched?.close();
  rmSync(root, { recursive: true, force: true });
});

async function watch(plan: object = { mode: 'mix', baseName: BASE, video: SIZE }): Promise<void> {
  const sources = { whole: async () => whole, fetchFrom: () => Promise.reject(new Error('there is no store')) };
  watched = await Watched.open({
    ...{ sid: SID, sources, clock, log: SILENT, waitMs: WAIT_MS },
    task: { plan: plan as Plan, isRecorded: () => isRecorded },
    spool: { runs: async () => [{ generation: 1, dir: run }] },
    files: new LiveFiles({ sid: SID, dir: join(root, 'brought'), sources, storage: undefined }),
    onClosed: () => closed++,
  });
}
const bytesOf = ({ path, from, to }: FileSpan) => readFileSync(path).subarray(from, to);
const SILENT = { debug() {}, info() {}, warn() {}, error() {} };

/** A tenth of a second goes by, in which the files are looked at once. */
async function pass(): Promise<void> {
  clock.advance(100);
  await watched.settled();
  // Who waits for news of it hears them.
  await new Promise((resolve) => setImmediate(resolve));
}

/** Time goes on until what is asked for has come, or does not come any more. */
async function settled<T>(asked: Promise<T>): Promise<T> {
  let isOpen = true;
  const done = asked.finally(() => {
    isOpen = false;
  });
  done.catch(() => undefined);
  while (isOpen) await pass();
  return done;
}
/** Segments are counted from 0 on here. */
const ask = ({ segment, ...wish }: Partial<LiveWish> = {}) =>
  watched.playlist({ ...NONE, ...wish, ...(segment !== undefined && { segment: segment + FIRST_SEGMENT }) }, 'token=t');
const playlist = (wish?: Partial<LiveWish>) => settled(ask(wish));
const spanOf = (segment: number, part?: number) => watched.spanOf('all', segment + FIRST_SEGMENT, part);
/** Lets the files be looked at. */
async function look(): Promise<void> {
  for (let n = 0; n < 5; n++) await pass();
}

const partOf = (n: number) => join(run, `${made[n]!.name}.part`);
/** A part more of what the recorder writes of a slice, `share` of it in all. */
function grow(n: number, share: number): void {
  const { bytes } = made[n]!;
  const has = writtenOf(n);
  appendFileSync(partOf(n), bytes.subarray(has, Math.floor(bytes.length * share)));
}
function writtenOf(n: number): number {
  try {
    return readFileSync(partOf(n)).length;
  } catch {
    return 0;
  }
}
function finish(n: number): void {
  grow(n, 1);
  renameSync(partOf(n), join(run, made[n]!.name));
  whole.push({ file: made[n]!.segment, at: { path: join(run, made[n]!.name) } });
}
const partsIn = (text: string) => [
  ...text.matchAll(/#EXT-X-PART:DURATION=([\d.]+),URI="live\/all\/(\d+)\.(\d+)\.ts\?token=t"/g),
];

/** What a playlist lists, by its addresses: segments that are whole, and parts. */
const segmentsIn = (text: string) =>
  [...text.matchAll(/#EXTINF:([\d.]+),\nlive\/all\/(\d+)\.ts\?token=t/g)].map(([, s, n]) => ({
    s: Number(s),
    n: Number(n) - FIRST_SEGMENT,
  }));
const partsOf = (text: string, segment: number) =>
  partsIn(text).filter(([, , n]) => Number(n) - FIRST_SEGMENT === segment);
const sumOf = (parts: RegExpMatchArray[]) => parts.reduce((sum, [, s]) => sum + Number(s), 0);
/** The bytes of segments, one behind the other. */
async function sent(numbers: number[]): Promise<Buffer> {
  const pieces = [];
  for (const n of numbers) pieces.push(bytesOf(await settled(spanOf(n))));
  return Buffer.concat(pieces);
}
/** How many segments each slice has: key frames come every 3 s. */
const PER_SLICE = 5;

test('lists segments and parts as the file grows, and hands them over to the byte', async () => {
  grow(0, 0.5);
  await watch();
  const text = await playlist();
  const segments = segmentsIn(text);
  expect(segments.map(({ n }) => n)).toEqual([0, 1]);
  for (const { s, n } of segments) {
    expect(s).toBeCloseTo(3, 2);
    expect(sumOf(partsOf(text, n))).toBeCloseTo(s, 2);
  }
  const open = partsOf(text, 2);
  expect(open.length).toBeGreaterThan(0);
  expect(text).toContain(`#EXT-X-PRELOAD-HINT:TYPE=PART,URI="live/all/${2 + FIRST_SEGMENT}.${open.length}.ts?token=t"`);
  const pieces = [];
  for (const [, , segment, part] of partsIn(text))
    pieces.push(bytesOf(await settled(spanOf(Number(segment) - FIRST_SEGMENT, Number(part)))));
  const all = Buffer.concat(pieces);
  expect(all.equals(made[0]!.bytes.subarray(0, all.length))).toBe(true);
  expect(all.length).toBeGreaterThan(made[0]!.bytes.length * 0.3);
  const whole = await sent([0, 1]);
  expect(whole.equals(all.subarray(0, whole.length))).toBe(true);
  // What is being written is not handed over as a whole.
  await expect(settled(spanOf(2))).rejects.toMatchObject({ code: 'live-file-unknown' });
});

test('segments begin with tables and a key frame, and can be decoded alone', async () => {
  grow(0, 0.9);
  await watch();
  for (const { n } of segmentsIn(await playlist())) {
    const bytes = bytesOf(await spanOf(n));
    const pids = [0, 1, 2].map((packet) => bytes.readUInt16BE(packet * 188 + 1) & 0x1fff);
    // PAT and PMT.
    expect([0, 4096].filter((pid) => !pids.includes(pid))).toEqual([]);
    const path = join(root, `${n}.ts`);
    writeFileSync(path, bytes);
    const times = [];
    for await (const { kind, ptsUs, keyFrame } of readSamples(path))
      if (kind === 'video') times.push({ ptsUs, keyFrame });
    expect(times).toHaveLength(3 * FPS);
    expect(times[0]!.keyFrame).toBe(true);
  }
});

test('a slice that has ended is whole, and the next one goes on from it', async () => {
  await watch();
  grow(0, 0.4);
  await look();
  grow(0, 1);
  grow(1, 0.3);
  await look();
  finish(0);
  await look();
  const text = await playlist();
  const [first] = made;
  const segments = segmentsIn(text);
  const own = segments.slice(0, PER_SLICE);
  expect(Math.abs(own.reduce((sum, { s }) => sum + s, 0) - first!.segment.durationUs / 1e6)).toBeLessThan(0.0015);
  for (const { s, n } of own) expect(Math.abs(sumOf(partsOf(text, n)) - s)).toBeLessThan(0.03);
  expect((await sent([0, 1, 2, 3, 4])).equals(first!.bytes)).toBe(true);
  const next = await sent(segments.slice(PER_SLICE).map(({ n }) => n));
  expect(next.length).toBeGreaterThan(0);
  expect(next.equals(made[1]!.bytes.subarray(0, next.length))).toBe(true);
  const times = [...text.matchAll(/PROGRAM-DATE-TIME:(.*)/g)].map((match) => Date.parse(match[1]!));
  expect(times).toEqual(made.slice(0, 2).map(({ segment }) => Math.trunc(segment.startUtcMs)));
});

test('numbers are the same for whoever saw slices grow and for whoever comes later, also after the end', async () => {
  grow(0, 0.2);
  await watch();
  await look();
  for (const n of [0, 1]) {
    grow(n, 1);
    await look();
    grow(n + 1, 0.3);
    finish(n);
    await look();
  }
  grow(2, 0.9);
  await look();
  const seen = await playlist();
  const spans = new Map<number, Buffer>();
  for (const { n } of segmentsIn(seen)) spans.set(n, bytesOf(await spanOf(n)));
  expect(spans.size).toBe(2 * PER_SLICE);
  // Another node goes on, or the server was begun anew.
  const again = async () => {
    await watched.close();
    await watch();
    const text = await playlist();
    for (const [n, bytes] of spans) expect(bytesOf(await spanOf(n)).equals(bytes), `${n}`).toBe(true);
    return text;
  };
  const linesOf = (text: string) => text.split('\n').filter((line) => /^#EXTINF|PROGRAM-DATE|DISCONT|^live/.test(line));
  const rounded = (text: string) => linesOf(text).map((line) => line.replace(/(\d\.\d\d)\d+/, '$1'));
  expect(rounded(await again())).toEqual(rounded(seen));
  finish(2);
  isRecorded = false;
  expect(rounded(await again()).slice(0, linesOf(seen).length)).toEqual(rounded(seen));
});

test('slices of a version that did not note where players may begin are one segment each', async () => {
  for (const n of [0, 1]) {
    finish(n);
    const { entryPoints: _, ...file } = whole[n]!.file;
    whole[n]!.file = file;
  }
  grow(2, 0.1);
  await watch();
  const text = await playlist();
  expect(segmentsIn(text).map(({ n }) => n)).toEqual([0, 1]);
  expect(text).toContain('#EXT-X-TARGETDURATION:15\n');
  expect((await sent([0, 1])).equals(Buffer.concat(made.slice(0, 2).map(({ bytes }) => bytes)))).toBe(true);
});

test('a request for what comes next is answered once it is there', async () => {
  grow(0, 0.3);
  await watch();
  const has = partsOf(await playlist(), 1).length;
  const asked = ask({ segment: 1, part: has });
  const hinted = spanOf(1, has);
  let answered = false;
  void asked.then(() => {
    answered = true;
  });
  await look();
  expect(answered).toBe(false);
  grow(0, 0.5);
  expect(partsOf(await settled(asked), 1).length).toBeGreaterThan(has);
  const { from, to } = await settled(hinted);
  const scan = new TsParts(partRule('video', FPS));
  scan.push(made[0]!.bytes);
  const wanted = scan.segments[1]!.parts[has]!;
  expect({ from, to }).toEqual({ from: wanted.from, to: wanted.to });
});

test('every part that was announced comes, also the last of a segment', async () => {
  await watch();
  const asked = new Map<string, Promise<FileSpan>>();
  for (let share = 0.02; share < 0.9; share += 0.02) {
    grow(0, share);
    await pass();
    const text = share > 0.3 ? await ask() : '';
    const [, segment, part] = /HINT:TYPE=PART,URI="live\/all\/(\d+)\.(\d+)\.ts/.exec(text) ?? [];
    const key = `${segment}.${part}`;
    if (segment !== undefined && !asked.has(key)) asked.set(key, spanOf(Number(segment) - FIRST_SEGMENT, Number(part)));
  }
  grow(0, 1);
  grow(1, 0.3);
  finish(0);
  await look();
  expect(asked.size).toBeGreaterThan(12);
  const spans = await Promise.all(asked.values());
  for (const [n, { from }] of spans.slice(1).entries()) expect(from).toBe(spans[n]!.to);
});

test('a part behind the last of a segment is the first of the next', async () => {
  grow(0, 1);
  await watch();
  grow(1, 0.01);
  await look();
  const has = partsOf(await playlist(), 4).length;
  const asked = ask({ segment: 4, part: has });
  await look();
  grow(1, 0.5);
  expect(partsOf(await settled(asked), 5).length).toBeGreaterThan(0);
});

test('where nothing comes in time, the newest version is answered', async () => {
  grow(0, 0.3);
  await watch();
  const before = await playlist();
  const sinceMs = clock.nowMs();
  expect(await playlist({ segment: 2 })).toBe(before);
  expect(clock.nowMs() - sinceMs).toBeGreaterThanOrEqual(WAIT_MS);
});

test('what is too far ahead is refused at once', async () => {
  grow(0, 0.5);
  await watch();
  const has = partsOf(await playlist(), 2).length;
  const code = 'live-version-unknown';
  const sinceMs = clock.nowMs();
  await expect(ask({ segment: 4 })).rejects.toMatchObject({ code });
  await expect(ask({ segment: 2, part: has + 5 })).rejects.toMatchObject({ code });
  await expect(spanOf(2, has + 1)).rejects.toMatchObject({ code: 'live-file-unknown' });
  await expect(watched.spanOf('other', 0)).rejects.toMatchObject({ code: 'live-file-unknown' });
  expect(clock.nowMs()).toBe(sinceMs);
});

test('ends with the recording, also with a slice that nobody saw begin', async () => {
  grow(0, 0.9);
  await watch();
  await look();
  finish(0);
  for (const n of [1, 2]) {
    writeFileSync(join(run, made[n]!.name), made[n]!.bytes);
    whole.push({ file: made[n]!.segment, at: { path: join(run, made[n]!.name) } });
  }
  isRecorded = false;
  const asked = ask({ segment: PER_SLICE });
  const text = await settled(asked);
  expect(text).toContain('#EXT-X-ENDLIST');
  expect(text).not.toContain('PRELOAD');
  const numbers = segmentsIn(text).map(({ n }) => n);
  expect(numbers).toHaveLength(2 * PER_SLICE + 1);
  expect((await sent(numbers)).equals(Buffer.concat(made.map(({ bytes }) => bytes)))).toBe(true);
});

test('lists what was recorded before anybody watched, and does not forget the torn end of a lost recorder', async () => {
  finish(0);
  // A run died while it wrote this one; the next one mends it under the same name, and goes on.
  grow(1, 0.6);
  run = join(root, '2');
  mkdirSync(run);
  writeFileSync(join(run, made[1]!.name), made[1]!.bytes);
  whole.push({ file: made[1]!.segment, at: { path: join(run, made[1]!.name) } });
  grow(2, 0.9);
  await watch();
  const text = await playlist();
  expect(segmentsIn(text).map(({ n }) => n)).toEqual([...Array(2 * PER_SLICE).keys()]);
  expect(partsIn(text).length).toBeGreaterThan(1);
  expect(partsIn(text).every(([, , segment]) => Number(segment) - FIRST_SEGMENT === 2 * PER_SLICE)).toBe(true);
});

test('a user who is recorded alone has a playlist of picture and sound, and one of each', async () => {
  const { bytes, segment } = made[0]!;
  for (const type of ['video', 'audio'] as const)
    writeFileSync(join(run, `${sliceName(userBaseName(BASE, '7', type), segment.startUtcMs)}.part`), bytes);
  // Of both kinds in one row, which holds the same once more.
  writeFileSync(join(run, `${sliceName(userBaseName(BASE, '7', 'av'), segment.startUtcMs)}.part`), bytes);
  await watch({ mode: 'individual', baseName: BASE });
  expect(watched.users).toEqual([{ uid: '7', kinds: ['audio', 'video'] }]);
  const both = await playlist({ uid: '7' });
  expect(both).toContain('URI="live.m3u8?token=t&kind=audio"');
  expect(both).toMatch(/\nlive\.m3u8\?token=t&kind=video\n/);
  expect(await playlist({ uid: '7', kind: 'audio' })).toContain('live/audio-7/1.0.ts?token=t');
  await expect(playlist({ uid: '8' })).rejects.toMatchObject({
    code: 'live-file-unknown',
    message: expect.stringContaining('7'),
  });
  await expect(playlist()).rejects.toMatchObject({ code: 'watch-impossible' });
});

test('waits a moment for a recording that has only just begun, until a segment is whole', async () => {
  await watch();
  const asked = ask();
  let answered = false;
  void asked.then(() => {
    answered = true;
  });
  grow(0, 0.1);
  await look();
  expect(answered).toBe(false);
  grow(0, 0.3);
  expect(segmentsIn(await settled(asked))).toHaveLength(1);
  expect(closed).toBe(0);
});

test('parts alone are listed where no segment becomes whole in time', async () => {
  grow(0, 0.1);
  await watch();
  const sinceMs = clock.nowMs();
  const text = await playlist();
  expect(clock.nowMs() - sinceMs).toBe(WAIT_MS);
  expect([segmentsIn(text).length, partsIn(text).length]).toEqual([0, expect.any(Number)]);
  expect(partsIn(text).length).toBeGreaterThan(1);
});

test('is let go of when nobody has asked for a while', async () => {
  grow(0, 0.5);
  await watch();
  await playlist();
  clock.advance(59_000);
  await look();
  expect(closed).toBe(0);
  await look();
  await look();
  expect(closed).toBe(1);
});
