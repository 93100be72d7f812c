/**
 * A user's WebM and MP4 slices, played by dash.js in Chromium by the MPD that names them.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { EncodedSample } from '../../src/media/sample.ts';
import type { FileCodecs } from '../../src/media/segment.ts';
import { renderMpd } from '../../src/stages/mux/dash/mpd.ts';
import { Fmp4Container } from '../../src/stages/mux/mp4/fmp4-container.ts';
import { type WebmCodec, WebmContainer } from '../../src/stages/mux/webm/webm-container.ts';
import { startBrowser } from '../support/browser.ts';
import { makeAacSamples, makeVideoSamples } from '../support/media/made-samples.ts';
import { type SliceRun, writeSlices } from '../support/media/user-slices.ts';
import { type PlaybackLog, playedOffsetsMs, watchPlayback } from '../support/watch-playback.ts';

const SMALL = { width: 240, height: 180 };
const WIDE = { width: 320, height: 180 };
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'aircheck-mpd-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

type Size = { width: number; height: number };
type Part = { fromS: number; seconds: number; size?: Size; without?: readonly [number, number] };

function pictures(codec: WebmCodec, parts: Part[]): SliceRun {
  const samples: EncodedSample[] = parts.flatMap(({ fromS, seconds, size = WIDE, without }) =>
    makeVideoSamples({ codec, ...size, fromS, seconds, gopS: 3, unsteady: true, ...(without && { without }) }),
  );
  const shapes = parts.map(({ fromS, size = WIDE }) => ({ fromS, shape: { ...size, rotate: 0 as const } }));
  return { samples, container: new WebmContainer(codec), codecs: { video: codec }, shapes };
}

function sounds(fromS: number, seconds: number): SliceRun {
  const { samples, config } = makeAacSamples({ fromS, seconds, channels: 1 });
  const codecs: FileCodecs = { audio: 'aac' };
  return { samples, container: new Fmp4Container({ sampleRate: 48_000, channels: 1, extradata: config }), codecs };
}

async function play(videoRuns: SliceRun[], audioRuns: SliceRun[]): Promise<PlaybackLog> {
  const dir = mkdtempSync(join(folder, 'play-'));
  const common = { dir, mpd: 'x_av.mpd' };
  const video = await writeSlices({
    ...{ ...common, baseName: 'x_video', kinds: ['video'], owner: { uid: '1', trackType: 'video' }, runs: videoRuns },
  });
  const audio = await writeSlices({
    ...{ ...common, baseName: 'x_audio', kinds: ['audio'], owner: { uid: '1', trackType: 'audio' }, runs: audioRuns },
  });
  const path = join(dir, 'x_av.mpd');
  writeFileSync(path, renderMpd([video, audio]));
  // One of its own: a browser draws only the page in front.
  const browser = await startBrowser();
  try {
    return await watchPlayback(browser.context, path, 90);
  } finally {
    await browser.close();
  }
}

/** The player's time of each flash or beep, in whole seconds, and none elsewhere. */
function secondsOf(marks: { timeS: number }[]): number[] {
  for (const { timeS } of marks) expect(Math.abs(timeS - Math.round(timeS))).toBeLessThan(0.15);
  return marks.map(({ timeS }) => Math.round(timeS));
}

/** From and until, without what lies at a beginning, where a flash may be the first thing seen. */
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

/** A busy machine may miss some, but sees and hears none where none is. */
function expectSeen(log: PlaybackLog, flashes: number[], beeps: number[]): void {
  for (const [found, wanted] of [
    [secondsOf(log.flashes), flashes],
    [secondsOf(log.beeps), beeps],
  ] as const) {
    expect(found.filter((s) => s > 0 && !wanted.includes(s))).toEqual([]);
    expect(wanted.filter((s) => !found.includes(s)).length, `of ${wanted}: ${found}`).toBeLessThanOrEqual(3);
  }
  expectInSync(log, flashes.length - 5);
}

function expectInSync(log: PlaybackLog, atLeast: number): void {
  const offsets = playedOffsetsMs(log);
  expect(offsets.length).toBeGreaterThan(atLeast);
  for (const ms of offsets) expect(Math.abs(ms), `offsets ${offsets.map(Math.round)}`).toBeLessThan(150);
}

// All play at once: each takes as long as it lasts, and little else.
describe.concurrent('plays in step', () => {
  test.each(['vp8', 'vp9', 'av1'] as const)(
    '%s beside sound, over slices, with a pause of the picture',
    async (codec) => {
      const log = await play([pictures(codec, [{ fromS: 45, seconds: 24, without: [7, 11] }])], [sounds(45, 24)]);
      expect(log).toMatchObject({ error: '', jumps: [], sizes: ['320x180'] });
      expect(log.durationS).toBeCloseTo(24, 0);
      expectSeen(log, [...range(1, 7), ...range(11, 24)], range(1, 24));
    },
  );

  test('sound first, picture gone while sound goes on, another size, both gone', async () => {
    const log = await play(
      [
        pictures('vp8', [{ fromS: 48, seconds: 6 }]),
        pictures('vp8', [
          { fromS: 58, seconds: 5 },
          { fromS: 63, seconds: 6, size: SMALL },
        ]),
        pictures('vp8', [{ fromS: 85, seconds: 8, size: SMALL }]),
      ],
      [sounds(45, 24), sounds(85, 8)],
    );
    expect(log.error).toBe('');
    expect(log.durationS).toBeCloseTo(6 + 11 + 8, 0);
    expect(log.sizes).toEqual(['320x180', '240x180']);
    // Where one kind or both are missing the presentation goes on at once.
    expectSeen(log, range(1, 25), range(1, 25));
  });
});
