/**
 * Slices of one user, played in Chromium from beginning to end: his picture, passed on as it came, and sound in one
 * playlist, by hls.js; WebM and MP4 slices by dash.js and the MPD that names them. What such files must hold so that
 * sound and picture stay together over everything that happens to a user.
 */
import { linkSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Plan } from '../../src/contract/line/plan.ts';
import type { EncodedSample } from '../../src/media/sample.ts';
import type { FileCodecs } from '../../src/media/segment.ts';
import { renderMpd } from '../../src/stages/mux/dash/mpd.ts';
import { renderPlaylist } from '../../src/stages/mux/hls/playlist.ts';
import { Fmp4Container } from '../../src/stages/mux/mp4/fmp4-container.ts';
import { TsContainer } from '../../src/stages/mux/ts/ts-slices.ts';
import { type WebmCodec, WebmContainer } from '../../src/stages/mux/webm/webm-container.ts';
import { startBrowser } from '../support/browser.ts';
import { changesOf } from '../support/held-recording.ts';
import { writePlaylists } from '../support/judge/user-streams.ts';
import { type Killed, recordKilled } from '../support/killed-recording.ts';
import { makeAacSamples, makeVideoSamples } from '../support/media/made-samples.ts';
import { RED } from '../support/media/participants.ts';
import { type SliceRun, writeSlices } from '../support/media/user-slices.ts';
import type { ScriptedUser } from '../support/scripted-feed.ts';
import { BASE, individualPlanOf, planOf } from '../support/scripted-recording.ts';
import { type PlaybackLog, playedOffsets, watchPlayback } from '../support/watch-playback.ts';

const WIDE = { width: 320, height: 180 };
const SMALL = { width: 240, height: 180 };
let folder: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'aircheck-players-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

type Part = { fromS: number; seconds: number; size?: typeof WIDE; without?: readonly [number, number] };

const pictures = (codec: 'h264' | WebmCodec, parts: Part[]): EncodedSample[] =>
  parts.flatMap(({ fromS, seconds, size = WIDE, without }) =>
    makeVideoSamples({ codec, ...size, fromS, seconds, gopS: 3, unsteady: true, ...(without && { without }) }),
  );
const shapesOf = (parts: Part[]) =>
  parts.map(({ fromS, size = WIDE }) => ({ fromS, shape: { ...size, rotate: 0 as const } }));

async function play(path: string): Promise<PlaybackLog> {
  // One of its own: a browser draws only the page in front.
  const browser = await startBrowser();
  try {
    return await watchPlayback(browser.context, path, 90);
  } finally {
    await browser.close();
  }
}

/** What is muxed without an interruption; its sound is `fromS` and `seconds` long. */
function stretch(fromS: number, seconds: number, parts: Part[], video = pictures('h264', parts)): SliceRun {
  const { samples, config } = makeAacSamples({ fromS, seconds, channels: 1 });
  return {
    samples: [...video, ...samples].sort((a, b) => a.dtsUs - b.dtsUs),
    container: new TsContainer({ video: WIDE, audio: { sampleRate: 48_000, channels: 1, extradata: config } }),
    codecs: { video: 'h264', audio: 'aac' },
    shapes: shapesOf(parts),
  };
}

async function playMerged(runs: SliceRun[]): Promise<PlaybackLog> {
  const dir = mkdtempSync(join(folder, 'merged-'));
  const owner = { uid: '1', trackType: 'audio_and_video' as const };
  const slices = await writeSlices({ dir, baseName: 'x_av', kinds: ['video', 'audio'], owner, runs });
  const path = join(dir, 'x_av.m3u8');
  writeFileSync(path, renderPlaylist(slices, { extinfComma: false }));
  return await play(path);
}

function webm(codec: WebmCodec, parts: Part[]): SliceRun {
  const samples = pictures(codec, parts);
  return { samples, container: new WebmContainer(codec), codecs: { video: codec }, shapes: shapesOf(parts) };
}

function sounds(fromS: number, seconds: number): SliceRun {
  const { samples, config } = makeAacSamples({ fromS, seconds, channels: 1 });
  const codecs: FileCodecs = { audio: 'aac' };
  return { samples, container: new Fmp4Container({ sampleRate: 48_000, channels: 1, extradata: config }), codecs };
}

async function playMpd(videoRuns: SliceRun[], audioRuns: SliceRun[]): Promise<PlaybackLog> {
  const dir = mkdtempSync(join(folder, 'mpd-'));
  const common = { dir, mpd: 'x_av.mpd' };
  const video = await writeSlices({
    ...{ ...common, baseName: 'x_video', kinds: ['video'], owner: { uid: '1', trackType: 'video' }, runs: videoRuns },
  });
  const audio = await writeSlices({
    ...{ ...common, baseName: 'x_audio', kinds: ['audio'], owner: { uid: '1', trackType: 'audio' }, runs: audioRuns },
  });
  const path = join(dir, 'x_av.mpd');
  writeFileSync(path, renderMpd([video, audio]));
  return await play(path);
}

/** From and until, without what lies at a beginning, where a flash may be the first thing seen. */
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

/** How far a single mark may be off its second, how far apart a flash and its beep, and how many may be missed. */
// What hls.js joins begins where all before has ended, a frame of sound or picture late, and these add up.
const MERGED = { offS: 0.25, apartMs: 150, missed: 4 };
const MPD = { offS: 0.15, apartMs: 150, missed: 3 };

/**
 * Flashes and beeps at these seconds of the player's time and at no others, and together in every stretch of picture.
 * A busy machine may miss some; a file’s fault moves all of a stretch. A stretch ends where
 * the picture is away, and at each of `joins`.
 * @param maybe seconds at which a flash may be seen or not
 */
function expectPlayed(
  log: PlaybackLog,
  flashes: number[],
  beeps: number[],
  joins: number[],
  most = MERGED,
  maybe: number[] = [],
): void {
  for (const [marks, wanted] of [
    [log.flashes, flashes],
    [log.beeps, beeps],
  ] as const) {
    const offS = ({ timeS }: { timeS: number }) => Math.abs(timeS - Math.round(timeS));
    const told = `of ${wanted}: ${marks.map(({ timeS }) => timeS.toFixed(2))}`;
    expect(Math.max(...marks.map(offS)), told).toBeLessThan(most.offS);
    expect(middle(marks.map(offS))).toBeLessThan(0.1);
    const found = marks.map(({ timeS }) => Math.round(timeS)).filter((s) => s > 0);
    expect(found.filter((s) => !wanted.includes(s) && !(marks === log.flashes && maybe.includes(s)))).toEqual([]);
    expect(wanted.filter((s) => !found.includes(s)).length, told).toBeLessThanOrEqual(most.missed);
  }
  const pairs = playedOffsets(log);
  const together = flashes.filter((s) => beeps.includes(s));
  expect(pairs.length).toBeGreaterThan(together.length - 5);
  for (const { ms } of pairs) expect(Math.abs(ms)).toBeLessThan(most.apartMs);
  for (const { fromS, toS } of stretchesOf(together, joins)) {
    const offsets = pairs.filter(({ timeS }) => timeS > fromS - 0.5 && timeS < toS + 0.5).map(({ ms }) => ms);
    expect(offsets.length, `pairs from ${fromS} to ${toS}`).toBeGreaterThan(0);
    expect(Math.abs(middle(offsets)), `offsets ${offsets.map(Math.round)}`).toBeLessThan(60);
  }
}

const middle = (values: number[]) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

/** Where seconds follow each other without a gap; each of `joins` begins another stretch. */
function stretchesOf(seconds: number[], joins: number[]): { fromS: number; toS: number }[] {
  const stretches: { fromS: number; toS: number }[] = [];
  for (const s of seconds) {
    const last = stretches.at(-1);
    if (last && last.toS === s - 1 && !joins.includes(s)) last.toS = s;
    else stretches.push({ fromS: s, toS: s });
  }
  return stretches;
}

/** Plays as one: it has its length, and no part of it is jumped over or waited for. */
function expectWhole(log: PlaybackLog, lengthS: number): void {
  expect(log).toMatchObject({ error: '', jumps: [] });
  // A hole in the buffer lasts for as long as the picture is away; a busy machine's hiccup does not.
  expect(log.waits.filter(({ lastedS }) => lastedS > 1.5)).toEqual([]);
  expect(Math.abs(log.durationS - lengthS)).toBeLessThan(0.3);
}

// Side by side, as many as Vitest runs at once, the longest first: each takes its media's time, and a tenth of a core.
describe.concurrent('players stay in step', () => {
  test('a merged playlist: picture is away for 26 s, its last key frame repeated every 15 s', async () => {
    const parts = [{ fromS: 45, seconds: 41, without: [5, 31] as const }];
    const real = pictures('h264', parts);
    const after = real.findIndex(({ ptsUs }) => ptsUs > 70e6);
    const before = real.slice(0, after);
    const key = before.findLast(({ keyFrame }) => keyFrame)!;
    const repeated = [
      { ...key, ptsUs: 60e6, dtsUs: 60e6, durationUs: 15e6 },
      { ...key, ptsUs: 75e6, dtsUs: 75e6, durationUs: 1e6 },
    ];
    const log = await playMerged([stretch(45, 41, parts, [...before, ...repeated, ...real.slice(after)])]);
    expectWhole(log, 41);
    // Chromium expects a picture to last as long as its last 32 did, and shows hardly any for as many after the pause.
    expectPlayed(log, [...range(1, 6), ...range(35, 41)], range(1, 41), [], MERGED, range(31, 35));
  });

  test('a merged playlist: picture pauses for 8 s while sound goes on, and resumes with a key frame', async () => {
    const log = await playMerged([stretch(45, 34, [{ fromS: 45, seconds: 34, without: [8, 16] }])]);
    expectWhole(log, 34);
    expectPlayed(log, [...range(1, 9), ...range(16, 34)], range(1, 34), []);
  });

  test('a merged playlist: picture changes its size, and after 20 s without anything both go on', async () => {
    const log = await playMerged([
      stretch(45, 16, [
        { fromS: 45, seconds: 8 },
        { fromS: 53, seconds: 8, size: SMALL },
      ]),
      stretch(81, 8, [{ fromS: 81, seconds: 8, size: SMALL }]),
    ]);
    expect(log.sizes).toEqual(['320x180', '240x180']);
    expectWhole(log, 24);
    expectPlayed(log, range(1, 24), range(1, 24), [8, 16]);
  });

  test('a merged playlist: sound begins 3 s before the picture, whose first key frame stands from the sound’s beginning', async () => {
    const parts = [{ fromS: 48, seconds: 17 }];
    const real = pictures('h264', parts);
    const early = { ...real[0]!, ptsUs: 45e6, dtsUs: 45e6, durationUs: 3e6 };
    const log = await playMerged([stretch(45, 20, parts, [early, ...real])]);
    expectWhole(log, 20);
    expectPlayed(log, range(3, 20), range(1, 20), []);
  });

  test.each(['vp8', 'vp9', 'av1'] as const)(
    'an MPD: %s beside sound, over slices, with a pause of the picture',
    async (codec) => {
      const log = await playMpd([webm(codec, [{ fromS: 45, seconds: 24, without: [7, 11] }])], [sounds(45, 24)]);
      expect(log).toMatchObject({ error: '', jumps: [], sizes: ['320x180'] });
      expect(log.durationS).toBeCloseTo(24, 0);
      expectPlayed(log, [...range(1, 7), ...range(11, 24)], range(1, 24), [], MPD);
    },
  );

  test('an MPD: sound first, picture gone while sound goes on, another size, both gone', async () => {
    const log = await playMpd(
      [
        webm('vp8', [{ fromS: 48, seconds: 6 }]),
        webm('vp8', [
          { fromS: 58, seconds: 5 },
          { fromS: 63, seconds: 6, size: SMALL },
        ]),
        webm('vp8', [{ fromS: 85, seconds: 8, size: SMALL }]),
      ],
      [sounds(45, 24), sounds(85, 8)],
    );
    expect(log.error).toBe('');
    expect(log.durationS).toBeCloseTo(6 + 11 + 8, 0);
    expect(log.sizes).toEqual(['320x180', '240x180']);
    // Where one kind or both are missing the presentation goes on at once.
    expectPlayed(log, range(1, 25), range(1, 25), [6, 17], MPD);
  });
});

/** The files of all runs in one folder, with every playlist and MPD. */
function gather({ spool }: Killed): string {
  const dir = mkdtempSync(join(folder, 'held-'));
  for (const { dir: from, file } of spool.files) linkSync(join(from, file.name), join(dir, file.name));
  const files = spool.files.map(({ file }) => file);
  writePlaylists(dir, files);
  const slices = files.filter((file) => file.type === 'slice');
  for (const [mpd, listed] of Map.groupBy(slices, (slice) => slice.mpd))
    if (mpd !== undefined)
      writeFileSync(join(dir, mpd), renderMpd([...Map.groupBy(listed, (slice) => slice.playlist).values()]));
  return dir;
}

test('players go on over a hold at once and in step: a composite, a merged playlist, and an MPD', async () => {
  // The hold takes whole blocks of sound, and lasts three seconds but for a few frames.
  const changes = changesOf([[4.26, 7.25]]);
  const user = { fromS: -1, toS: 60, answersKeyFrameRequests: true };
  const users: ScriptedUser[] = [
    { ...user, uid: '1', participant: RED, codec: 'h264' },
    { ...user, uid: '2', participant: RED, codec: 'vp8' },
  ];
  const endS = 12.5;
  const record = (cast: ScriptedUser[], plan: Plan) =>
    recordKilled(mkdtempSync(join(folder, 'recording-')), cast, plan, endS, { changes });
  const composite = gather(await record(users.slice(0, 1), planOf({ files: { hls: true, mp4: false } })));
  const single = gather(await record(users, individualPlanOf({ streamMode: 'standard' })));
  const alone = (uid: string) => join(single, `${BASE}__uid_s_${uid}__uid_e_av`);
  const paths = [join(composite, `${BASE}.m3u8`), `${alone('1')}.m3u8`, `${alone('2')}.mpd`];
  const logs = await Promise.all(paths.map(play));
  for (const log of logs) {
    expectWhole(log, endS - 3);
    expectPlayed(log, range(1, 10), range(1, 10), [5]);
  }
});
