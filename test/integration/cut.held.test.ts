/**
 * Stretches cut out of recordings of made media, judged by what is seen and heard in them: composites with holes, holds
 * and several writers, one that is still being recorded, and single users.
 */
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Segment } from '../../src/media/segment.ts';
import { type CutScene, type CutSource, planCut } from '../../src/pipeline/cut/cut-plan.ts';
import { cutRecording } from '../../src/pipeline/cut/cut-recording.ts';
import { growingSlice } from '../../src/pipeline/cut/growing-slice.ts';
import { TsContainer } from '../../src/stages/mux/ts/ts-slices.ts';
import { findFlashes } from '../support/judge/picture.ts';
import { probeFile } from '../support/judge/probe.ts';
import { findBeeps, listen } from '../support/judge/sound.ts';
import { COMPOSITE, makeComposite } from '../support/made-composite.ts';
import { makeAacSamples, makeVideoSamples } from '../support/media/made-samples.ts';
import { RED } from '../support/media/participants.ts';
import { SLICES_ZERO_MS, writeSlices } from '../support/media/user-slices.ts';

const WHOLE = { x: 0, y: 0, width: 1, height: 1 };
const FRAME_S = 1 / COMPOSITE.fps;
const CODING = { fps: COMPOSITE.fps, bitrateKbps: COMPOSITE.bitrateKbps };
const TOGETHER: CutScene = { kind: 'together' };

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'aircheck-cut-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

const sourcesOf = (dir: string, files: readonly Segment[]): CutSource[] =>
  files.map((file) => ({ file, at: { path: join(dir, file.name) } }));

/** Cuts from one second of the recording as it plays to another; the path of the MP4. */
async function cut(sources: CutSource[], fromS: number, toS: number, scene = TOGETHER, uid?: string): Promise<string> {
  const plan = planCut(sources, { from: { playedS: fromS }, to: { playedS: toS }, uid }, scene);
  const output = join(root, `cut-${readdirSync(root).length}.mp4`);
  const rows = plan.rows.map((row) =>
    row.map(({ at, placeUs, untilUs }) => ({
      path: (at as { path: string }).path,
      placeUs,
      ...(untilUs !== undefined && { untilUs }),
    })),
  );
  const told: number[] = [];
  const coding = scene.kind === 'together' ? CODING : undefined;
  const bytes = await cutRecording({ ...plan, rows, output, coding }, { onProgress: (part) => told.push(part) });
  expect(bytes).toBe(readFileSync(output).length);
  expect(told.every((part, n) => part <= 1 && part > (told[n - 1] ?? 0))).toBe(true);
  return output;
}

/** Marks on these moments and no others. */
function expectMarks(path: string, atS: readonly number[], withinS = FRAME_S + 0.002): void {
  const flashes = findFlashes(path, WHOLE).map((mark) => mark.atS);
  const beeps = findBeeps(path, { toneHz: RED.toneHz }).map((mark) => mark.atS);
  // A flash that is on where the file begins has no onset.
  const onsets = atS.filter((s) => s > 0.001);
  for (const marks of [flashes.filter((s) => s > 0.001), beeps]) {
    expect(marks.map((s) => s.toFixed(1))).toEqual(onsets.map((s) => s.toFixed(1)));
    for (const [n, s] of marks.entries()) expect(Math.abs(s - onsets[n]!)).toBeLessThan(withinS);
  }
}

function expectLength(path: string, lengthS: number): void {
  const { video, audio, moovFirst, durationS } = probeFile(path);
  expect(moovFirst).toBe(true);
  expect(Math.abs(durationS - lengthS)).toBeLessThan(0.001);
  expect(Math.abs(video!.startS)).toBeLessThan(0.001);
  // Blocks that a decoder needs lie before it.
  expect(audio!.startS).toBeLessThan(0.001);
  expect(Math.abs(video!.endS - lengthS)).toBeLessThan(0.002);
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

describe('a composite', () => {
  let dir: string;
  let sources: CutSource[];
  beforeAll(async () => {
    dir = mkdtempSync(join(root, 'whole-'));
    sources = sourcesOf(dir, await makeComposite({ dir, baseName: 'x', seconds: 24 }));
    expect(sources.length).toBe(2);
  });

  test.each([
    ['from a key frame on, within one slice', 3, 8],
    ['from within a group of pictures, over two slices', 13.9, 17.2],
    ['from the last picture before a key frame', 5.98, 8.9],
    ['shorter than a group of pictures', 7.4, 8.2],
    ['all of it', 0, 24],
  ])('%s', async (_, fromS, toS) => {
    const path = await cut(sources, fromS, toS);
    expectLength(path, toS - fromS);
    const marks = range(Math.ceil(fromS), Math.ceil(toS)).map((s) => s - fromS);
    expectMarks(
      path,
      marks.filter((s) => s < toS - fromS - 0.15),
    );
  });

  test('sound is that of the recording, sample for sample', async () => {
    const whole = listen(await cut(sources, 0, 24));
    for (const [fromS, toS] of [
      [4.7, 9.35],
      [14.5, 15.5],
    ] as const) {
      const part = listen(await cut(sources, fromS, toS));
      expect(part.gaps).toEqual([]);
      expect(part.startS).toBe(0);
      const from = Math.round(fromS * 48_000);
      const expected = whole.mono.subarray(from, from + Math.round((toS - fromS) * 48_000));
      expect(part.mono.length).toBe(expected.length);
      const off = part.mono.reduce((most, value, n) => Math.max(most, Math.abs(value - expected[n]!)), 0);
      expect(off).toBeLessThan(1e-4);
    }
  });

  test('has its own pictures from its first one on, and each as it was', async () => {
    const probe = probeFile(await cut(sources, 4.7, 9.35)).video!;
    // What was encoded anew goes on with the parameter sets of the stream: one description of it is enough.
    expect(probe.keyFrames.map((s) => s.toFixed(2))).toEqual(['0.00', '1.30', '4.30']);
    expect(probe.packets).toBe(140);
  });
});

test('what was on hold is cut out', async () => {
  const dir = mkdtempSync(join(root, 'hold-'));
  // Both a whole number of blocks of sound and of frames.
  const hold = { atS: 4.8, lengthS: 100.4 };
  const sources = sourcesOf(dir, await makeComposite({ dir, baseName: 'x', seconds: 12, hold }));
  const path = await cut(sources, 2.5, 9.5);
  expectLength(path, 7);
  // After the hold the recording is 105.2 s old at 4.8 s of its files.
  const after = range(106, 110).map((s) => s - 100.4);
  expectMarks(
    path,
    [3, 4, ...after].map((s) => s - 2.5).filter((s) => s > 0 && s < 6.9),
  );
  const { startUtcMs } = planCut(sources, { from: { playedS: 5 }, to: { playedS: 6 } }, TOGETHER);
  expect(startUtcMs - sources[0]!.file.startUtcMs).toBe(105_400);
  const byClock = planCut(
    sources,
    { from: { utcMs: sources[0]!.file.startUtcMs + 50_000 }, to: { utcMs: startUtcMs } },
    TOGETHER,
  );
  expect([byClock.fromUs, byClock.toUs]).toEqual([4_800_000, 5_000_000]);
});

test('what nobody recorded keeps its time, and another writer goes on after it', async () => {
  const dir = mkdtempSync(join(root, 'hole-'));
  const before = await makeComposite({ dir, baseName: 'x', seconds: 8 });
  const after = await makeComposite({ dir, baseName: 'bak0_x', seconds: 8, fromS: 12.4 });
  const sources = sourcesOf(dir, [...after, ...before]);
  const path = await cut(sources, 6.2, 17.3);
  expectLength(path, 11.1);
  expectMarks(
    path,
    [7, 13, 14, 15, 16, 17].map((s) => s - 6.2),
  );
  expect(listen(path).gaps.filter(({ lengthS }) => Math.abs(lengthS) > 0.0214)).toEqual([]);
  // From within what nobody recorded: the picture before it is shown until the next.
  const within = await cut(sources, 9, 14.5);
  expectLength(within, 5.5);
  expectMarks(within, [4, 5]);
});

test('where two nodes recorded the same, the newer counts', async () => {
  const dir = mkdtempSync(join(root, 'twice-'));
  const older = await makeComposite({ dir, baseName: 'x', seconds: 9 });
  const newer = await makeComposite({ dir, baseName: 'y', seconds: 9, fromS: 6.5 });
  const path = await cut(sourcesOf(dir, [...older, ...newer]), 4.5, 12.5);
  expectLength(path, 8);
  expectMarks(
    path,
    range(5, 13)
      .map((s) => s - 4.5)
      .filter((s) => s < 7.9),
  );
});

test('while it is being recorded, up to what is written', async () => {
  const dir = mkdtempSync(join(root, 'live-'));
  const files = await makeComposite({ dir, baseName: 'x', seconds: 20, unfinished: true });
  const [part] = readdirSync(dir).filter((name) => name.endsWith('.ts.part'));
  const growing = growingSlice(part!.replace('.part', ''), readFileSync(join(dir, part!)), files);
  expect(growing!.durationUs).toBeGreaterThan(4e6);
  const sources = [...sourcesOf(dir, files), { file: growing!, at: { path: join(dir, part!) } }];
  const path = await cut(sources, 12.5, 18.5);
  expectLength(path, 6);
  expectMarks(
    path,
    range(13, 19).map((s) => s - 12.5),
  );
  const late = () => planCut(sources, { from: { playedS: 12 }, to: { playedS: 40 } }, TOGETHER);
  expect(late).toThrow(/there is 0 s to 19\.\d+ s .* and 12 s to 40 s was asked for/);
});

describe('a single user', () => {
  const holds = [{ fromUs: 8_000_000, untilUs: 28_000_000 }];
  const alone: CutScene = { kind: 'alone', zeroUtcMs: SLICES_ZERO_MS, holds };
  const size = { width: 320, height: 180 };
  let sources: CutSource[];
  /** Their picture stands still from four seconds on. */
  let still: CutSource[];
  beforeAll(async () => {
    const dir = mkdtempSync(join(root, 'user-'));
    const owner = (trackType: 'audio' | 'video') => ({ uid: '7', trackType });
    const pictures = (fromS: number, seconds: number) => ({
      samples: makeVideoSamples({ codec: 'h264', ...size, fromS, seconds, gopS: 3 }),
      container: new TsContainer({ video: size }),
      codecs: { video: 'h264' as const },
      shapes: [{ fromS, shape: { ...size, rotate: 0 as const } }],
    });
    const sounds = (fromS: number, seconds: number) => {
      const { samples, config } = makeAacSamples({ fromS, seconds, channels: 1 });
      const container = new TsContainer({ audio: { sampleRate: 48_000, channels: 1, extradata: config } });
      return { samples, container, codecs: { audio: 'aac' as const } };
    };
    const base = '0'.repeat(32);
    const name = (type: string) => `${base}_x__uid_s_7__uid_e_${type}`;
    sources = sourcesOf(dir, [
      ...(await writeSlices({
        ...{ dir, baseName: name('video'), kinds: ['video'], owner: owner('video') },
        runs: [pictures(1, 7), pictures(28, 10)],
      })),
      ...(await writeSlices({
        ...{ dir, baseName: name('audio'), kinds: ['audio'], owner: owner('audio') },
        runs: [sounds(1, 7), sounds(28, 10)],
      })),
    ]);
    const shared = mkdtempSync(join(root, 'still-'));
    const stood = { dir: shared, baseName: name('video'), kinds: ['video'] as const, owner: owner('video') };
    still = [
      ...sourcesOf(shared, await writeSlices({ ...stood, runs: [pictures(1, 3)] })),
      ...sources.filter(({ file }) => file.owner?.trackType === 'audio'),
    ];
  });

  test('is cut out of their own files, and begins to the picture by an edit list', async () => {
    const path = await cut(sources, 2.4, 6.7, alone, '7');
    const { video, durationS } = probeFile(path);
    expect(Math.abs(durationS - 4.3)).toBeLessThan(0.002);
    expect(video!.codec).toBe('h264');
    expectMarks(
      path,
      [3, 4, 5, 6].map((s) => s - 2.4),
      0.07,
    );
  });

  test('whose picture stands still throughout, as of a shared screen, is seen and heard', async () => {
    const path = await cut(still, 4.5, 6.7, alone, '7');
    const { video, durationS } = probeFile(path);
    expect(Math.abs(durationS - 2.2)).toBeLessThan(0.002);
    expect(video).toMatchObject({ codec: 'h264', startS: expect.closeTo(0, 2) });
    expect(findBeeps(path, { toneHz: RED.toneHz }).map(({ atS }) => atS.toFixed(1))).toEqual(['0.5', '1.5']);
    expect(findFlashes(path, WHOLE)).toEqual([]);
  });

  test('without what was on hold', async () => {
    const path = await cut(sources, 5.5, 12.5, alone, '7');
    // 28 s of the recording are played at 8 s.
    expectMarks(
      path,
      range(6, 13)
        .map((s) => s - 5.5)
        .filter((s) => s < 6.9),
      0.07,
    );
  });

  test('who is unknown, silent then, or not named is told so', () => {
    const wish = { from: { playedS: 2 }, to: { playedS: 5 } };
    expect(() => planCut(sources, wish, alone)).toThrow(/name one as uid, of 7/);
    expect(() => planCut(sources, { ...wish, uid: '8' }, alone)).toThrow(/no such user/);
    expect(() => planCut(sources, { from: { playedS: 0 }, to: { playedS: 0.5 }, uid: '7' }, alone)).toThrow(/user 7/);
  });
});
