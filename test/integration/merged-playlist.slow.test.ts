/**
 * A user's picture, passed on as it came, and sound in one playlist, played by hls.js in Chromium: what such slices
 * must hold so that sound and picture stay together over everything that happens to a user.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { EncodedSample } from '../../src/media/sample.ts';
import { renderPlaylist } from '../../src/stages/mux/hls/playlist.ts';
import { TsContainer } from '../../src/stages/mux/ts/ts-slices.ts';
import { startBrowser } from '../support/browser.ts';
import { makeAacSamples, makeVideoSamples } from '../support/media/made-samples.ts';
import { type SliceRun, writeSlices } from '../support/media/user-slices.ts';
import { type PlaybackLog, playedOffsetsMs, watchPlayback } from '../support/watch-playback.ts';

const WIDE = { width: 320, height: 180 };
const SMALL = { width: 240, height: 180 };
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'aircheck-merged-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

type Part = { fromS: number; seconds: number; size?: typeof WIDE; without?: readonly [number, number] };

const pictures = (parts: Part[]) =>
  parts.flatMap(({ fromS, seconds, size = WIDE, without }) =>
    makeVideoSamples({ codec: 'h264', ...size, fromS, seconds, gopS: 3, unsteady: true, ...(without && { without }) }),
  );

/** What is muxed without an interruption; its sound is `fromS` and `seconds` long. */
function stretch(fromS: number, seconds: number, parts: Part[], video: EncodedSample[] = pictures(parts)): SliceRun {
  const { samples, config } = makeAacSamples({ fromS, seconds, channels: 1 });
  return {
    samples: [...video, ...samples].sort((a, b) => a.dtsUs - b.dtsUs),
    container: new TsContainer({ video: WIDE, audio: { sampleRate: 48_000, channels: 1, extradata: config } }),
    codecs: { video: 'h264', audio: 'aac' },
    shapes: parts.map((part) => ({ fromS: part.fromS, shape: { ...(part.size ?? WIDE), rotate: 0 } })),
  };
}

async function play(runs: SliceRun[]): Promise<PlaybackLog> {
  const dir = mkdtempSync(join(folder, 'play-'));
  const owner = { uid: '1', trackType: 'audio_and_video' as const };
  const slices = await writeSlices({ dir, baseName: 'x_av', kinds: ['video', 'audio'], owner, runs });
  const path = join(dir, 'x_av.m3u8');
  writeFileSync(path, renderPlaylist(slices, { extinfComma: false }));
  // One of its own: a browser draws only the page in front.
  const browser = await startBrowser();
  try {
    return await watchPlayback(browser.context, path, 90);
  } finally {
    await browser.close();
  }
}

const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

/** Flashes and beeps at these seconds of the player's time and at no others; a busy machine may miss some. */
function expectPlayed(log: PlaybackLog, lengthS: number, flashes: number[], beeps: number[]): void {
  expect(log).toMatchObject({ error: '', jumps: [] });
  // A hole in the buffer lasts for as long as the picture is away; a busy machine's hiccup does not.
  expect(log.waits.filter(({ lastedS }) => lastedS > 1.5)).toEqual([]);
  expect(Math.abs(log.durationS - lengthS)).toBeLessThan(0.3);
  for (const [marks, wanted] of [
    [log.flashes, flashes],
    [log.beeps, beeps],
  ] as const) {
    const found = marks.map(({ timeS }) => Math.round(timeS)).filter((s) => s > 0);
    for (const { timeS } of marks) expect(Math.abs(timeS - Math.round(timeS))).toBeLessThan(0.3);
    expect(found.filter((s) => !wanted.includes(s))).toEqual([]);
    expect(wanted.filter((s) => !found.includes(s)).length, `of ${wanted}: ${found}`).toBeLessThanOrEqual(4);
  }
  const offsets = playedOffsetsMs(log);
  const together = flashes.filter((s) => beeps.includes(s));
  expect(offsets.length).toBeGreaterThan(together.length - 5);
  const sorted = offsets.map(Math.abs).sort((a, b) => a - b);
  // A missed first picture of a flash makes that one late.
  expect(sorted[Math.floor(sorted.length / 2)]).toBeLessThan(60);
}

// All play at once: each takes as long as it lasts, and little else.
describe.concurrent('plays without a jump, in step', () => {
  test('picture pauses for 8 s while sound goes on, and resumes with a key frame', async () => {
    const log = await play([stretch(45, 34, [{ fromS: 45, seconds: 34, without: [8, 16] }])]);
    expectPlayed(log, 34, [...range(1, 9), ...range(16, 34)], range(1, 34));
  });

  test('picture is away for 40 s, its last key frame repeated every 15 s', async () => {
    const parts = [{ fromS: 45, seconds: 50, without: [5, 45] as const }];
    const real = pictures(parts);
    const after = real.findIndex(({ ptsUs }) => ptsUs > 80e6);
    const before = real.slice(0, after);
    const key = before.findLast(({ keyFrame }) => keyFrame)!;
    const repeated = [60e6, 75e6].map((ptsUs) => ({ ...key, ptsUs, dtsUs: ptsUs, durationUs: 15e6 }));
    const log = await play([stretch(45, 50, parts, [...before, ...repeated, ...real.slice(after)])]);
    expectPlayed(log, 50, [...range(1, 6), ...range(45, 50)], range(1, 50));
  });

  test('picture changes its size, and after 20 s without anything both go on', async () => {
    const log = await play([
      stretch(45, 16, [
        { fromS: 45, seconds: 8 },
        { fromS: 53, seconds: 8, size: SMALL },
      ]),
      stretch(81, 8, [{ fromS: 81, seconds: 8, size: SMALL }]),
    ]);
    expect(log.sizes).toEqual(['320x180', '240x180']);
    expectPlayed(log, 24, range(1, 24), range(1, 24));
  });

  test('sound begins 3 s before the picture, whose first key frame stands from the sound’s beginning', async () => {
    const parts = [{ fromS: 48, seconds: 17 }];
    const real = pictures(parts);
    const early = { ...real[0]!, ptsUs: 45e6, dtsUs: 45e6, durationUs: 3e6 };
    const log = await play([stretch(45, 20, parts, [early, ...real])]);
    expectPlayed(log, 20, range(3, 20), range(1, 20));
  });
});
