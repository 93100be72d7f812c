/**
 * `aircheck mix` as its users run it, on a recording of three users whose every moment is known: one with a gap in the
 * picture and another codec after it, one who comes late, holds the phone upright and leaves early, and one who is only
 * heard. The MP4s are judged.
 */
import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { Manifest } from '../../src/contract/line/manifest.ts';
import { castOf } from '../../src/pipeline/remix/cast.ts';
import { readSlicesIn } from '../../src/pipeline/remix/read-slice.ts';
import { remix } from '../../src/pipeline/remix/remix.ts';
import { liveFrames } from '../../src/stages/codec/native-frames.ts';
import { flashesIn, frozenIn, isColour, presenceIn, readingAt } from '../support/judge/picture.ts';
import { judgePlaylist } from '../support/judge/playlist.ts';
import { probeFile } from '../support/judge/probe.ts';
import { bestFitRegions, floatingRegions, type Rect } from '../support/judge/regions.ts';
import { beepsIn, dropoutsIn, listen } from '../support/judge/sound.ts';
import { type Reading, watch } from '../support/judge/watch.ts';
import { makeRecording } from '../support/made-recording.ts';
import { BLUE, GREEN, RED, yuvOf } from '../support/media/participants.ts';

const MAIN = join(import.meta.dirname, '../../src/app/cli/main.ts');
const SIZE = { width: 320, height: 180 };
const FPS = 25;
const FRAME_S = 1 / FPS;
const WHOLE = [{ fromS: 0, toS: 20 }];
const GRAY = yuvOf({ r: 0x40, g: 0x40, b: 0x40 });

let dir: string;
let path: string;
let manifest: Manifest;

type Ran = { code: number; out: string; err: string };

/** The command with `words` behind the manifest's path. */
function mix(...words: string[]): Promise<Ran> {
  return new Promise((resolve) => {
    execFile(process.execPath, [MAIN, 'mix', ...words], { timeout: 600_000 }, (error, out, err) => {
      resolve({ code: typeof error?.code === 'number' ? error.code : error ? 1 : 0, out, err });
    });
  });
}

async function mixTo(name: string, ...words: string[]): Promise<string> {
  const output = join(dir, name);
  const ran = await mix(path, '-o', output, '--size', '640x360', '--fps', String(FPS), ...words);
  expect(ran).toMatchObject({ code: 0, out: `${output}\n` });
  return output;
}

/** Full seconds of each time, and how far it is from there. */
function onSeconds(times: readonly { atS: number }[]): { seconds: number[]; offS: number } {
  const seconds = times.map(({ atS }) => Math.round(atS));
  return { seconds, offS: Math.max(...times.map(({ atS }, i) => Math.abs(atS - (seconds[i] as number)))) };
}
const range = (from: number, to: number) => Array.from({ length: to - from }, (_, i) => from + i);

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-mix-'));
  const users = [
    {
      ...{ uid: '1', participant: RED, stays: WHOLE },
      video: {
        spans: [
          { codec: 'h264' as const, fromS: 0, toS: 8.5 },
          { codec: 'av1' as const, fromS: 12, toS: 20 },
        ],
      },
      audio: { codec: 'aac' as const, spans: WHOLE },
    },
    { ...{ uid: '3', participant: BLUE, stays: WHOLE }, audio: { codec: 'opus' as const, spans: WHOLE } },
    {
      ...{ uid: '2', participant: GREEN, stays: [{ fromS: 5, toS: 14.6 }] },
      video: { rotate: 90 as const, spans: [{ codec: 'vp8' as const, fromS: 5.2, toS: 14.6 }] },
      audio: { codec: 'aac' as const, spans: [{ fromS: 5.2, toS: 14.6 }] },
    },
  ];
  ({ path, manifest } = await makeRecording({ dir, users, endS: 20, size: SIZE, fps: FPS }));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

describe('the whole recording in best fit', () => {
  let file: string;
  let views: Reading[][];
  const [topLeft, topRight, bottomLeft] = bestFitRegions(4) as [Rect, Rect, Rect];
  const [left] = bestFitRegions(2) as [Rect];

  beforeAll(async () => {
    file = await mixTo('best-fit.mp4', '--layout', 'best-fit', '--background-color', '#404040', '--hls');
    views = watch(
      file,
      [topLeft, topRight, bottomLeft, left].map((rect) => ({ rect, source: SIZE })),
    ).views;
  });

  test('lasts as long as was recorded, at a steady rate, with its index in front', () => {
    const probe = probeFile(file);
    expect(probe.video).toMatchObject({ codec: 'h264', width: 640, height: 360, frameRate: FPS });
    expect(probe.video?.packets).toBe(20 * FPS);
    expect(probe.video?.maxStepS).toBeLessThan(1.5 * FRAME_S);
    expect(Math.abs(probe.durationS - 20)).toBeLessThan(0.05);
    expect(probe.audio).toMatchObject({ codec: 'aac', sampleRate: 48_000, channels: 1 });
    expect(probe.moovFirst).toBe(true);
  });

  test('each user stands where and when the layout has them, also the one who is only heard', () => {
    const [red, blue, green] = views as [Reading[], Reading[], Reading[]];
    expect(presenceIn(red, RED.colour)).toEqual([{ fromS: 0, toS: expect.closeTo(20, 1) }]);
    // A user with a camera has no place before the first picture.
    expect(presenceIn(green, GREEN.colour)).toEqual([{ fromS: expect.closeTo(5.2, 1), toS: expect.closeTo(14.6, 1) }]);
    expect(presenceIn(green, RED.colour).map((s) => s.fromS)).toEqual([0, expect.closeTo(14.6, 1)]);
    expect(blue.every((reading) => isColour(reading, GRAY))).toBe(true);
  });

  test('pictures that lie are turned upright, or their stamps could not be read', () => {
    const green = (views[2] as Reading[]).filter(({ atS }) => atS > 5.3 && atS < 14.9);
    const stamps = green.filter(({ stamp }) => stamp !== undefined);
    // All but the flashes, a tenth of the time.
    expect(stamps.length).toBeGreaterThan(0.85 * green.length);
  });

  test('flashes stand on their seconds, and the picture before a gap is held', () => {
    const red = flashesIn(views[0] as Reading[]);
    // The first flash is under way when the file begins.
    expect(onSeconds(red).seconds).toEqual([...range(1, 9), ...range(12, 20)]);
    expect(onSeconds(red).offS).toBeLessThan(FRAME_S / 2 + 0.001);
    const [frozen, ...more] = frozenIn((views[0] as Reading[]).filter(({ atS }) => atS > 5.3 && atS < 14.9));
    expect(more).toEqual([]);
    expect(frozen).toEqual({ fromS: expect.closeTo(8.5, 1), toS: expect.closeTo(12, 1) });
    const green = flashesIn((views[2] as Reading[]).filter(({ atS }) => atS > 5.5 && atS < 14.9));
    expect(onSeconds(green).seconds).toEqual(range(6, 15));
    expect(onSeconds(green).offS).toBeLessThan(FRAME_S / 2 + 0.001);
  });

  test('everybody is heard on the second, and nobody drops out', () => {
    const heard = listen(file);
    expect(heard.gaps).toEqual([]);
    for (const [{ toneHz }, seconds] of [
      [RED, range(1, 20)],
      [BLUE, range(1, 20)],
      [GREEN, range(6, 15)],
    ] as const) {
      const beeps = beepsIn(heard, { toneHz });
      expect(onSeconds(beeps).seconds).toEqual(seconds);
      expect(onSeconds(beeps).offS).toBeLessThan(0.004);
    }
    expect(dropoutsIn(heard, RED.toneHz)).toEqual([]);
    expect(dropoutsIn(heard, BLUE.toneHz)).toEqual([]);
  });

  test('the playlist holds the same', () => {
    const playlist = 'best-fit.m3u8';
    expect(judgePlaylist(dir, playlist).problems).toEqual([]);
    expect(probeFile(join(dir, playlist)).video?.packets).toBe(20 * FPS);
    expect(readFileSync(join(dir, playlist), 'utf8')).toMatch(/#EXTINF:15\.000000,\n/);
  });
});

describe('the other layouts, of two seconds in the middle', () => {
  const PART = ['--from', '6', '--to', '8'];
  const seen = (file: string, rects: readonly Rect[], atS = 1.5) =>
    watch(
      file,
      rects.map((rect) => ({ rect })),
    ).views.map((readings) => readingAt(readings, atS));

  test('floating, which is what is made when nothing is said', async () => {
    const file = await mixTo('floating.mp4', ...PART);
    expect(probeFile(file).video?.packets).toBe(2 * FPS);
    const [, , third] = floatingRegions(3) as [Rect, Rect, Rect];
    const top = { x: 0, y: 0, width: 1, height: 0.5 };
    const [red, green] = seen(file, [top, third]) as [Reading, Reading];
    expect(isColour(red, RED.colour)).toBe(true);
    expect(isColour(green, GREEN.colour)).toBe(true);
    // The part begins with the flash of second 6, so the next is one second in.
    const flashes = flashesIn(watch(file, [{ rect: top }]).views[0] as Reading[]);
    expect(onSeconds(flashes).seconds).toEqual([1]);
    const beeps = beepsIn(listen(file), BLUE);
    expect(onSeconds(beeps).seconds).toEqual([1]);
    expect(onSeconds(beeps).offS).toBeLessThan(0.004);
  });

  test('vertical with a big window for one, shown whole', async () => {
    const file = await mixTo('vertical.mp4', ...PART, '--layout', 'vertical', '--max-resolution-uid', '2');
    // 16:9 in a window of 0.8 by 1 leaves bars of a tenth above and below.
    const big = { x: 0, y: 0.1, width: 0.8, height: 0.8 };
    const bar = { x: 0, y: 0, width: 0.8, height: 0.09 };
    const small = { x: 0.8, y: 0, width: 0.2, height: 0.25 };
    const [green, black, red] = seen(file, [big, bar, small]) as [Reading, Reading, Reading];
    expect(isColour(green, GREEN.colour)).toBe(true);
    expect(black.luma).toBeLessThan(20);
    expect(isColour(red, RED.colour)).toBe(true);
  });

  test('custom regions, from a file and in words', async () => {
    const layoutConfig = [
      { uid: '2', x_axis: 0, y_axis: 0, width: 0.25, height: 0.5, render_mode: 0 },
      { x_axis: 0.5, y_axis: 0.5, width: 0.5, height: 0.5 },
    ];
    const regions = join(dir, 'regions.json');
    writeFileSync(regions, JSON.stringify({ mixedVideoLayout: 3, backgroundColor: '#404040', layoutConfig }));
    for (const [name, config] of [
      ['custom-file.mp4', regions],
      ['custom-words.mp4', JSON.stringify(layoutConfig)],
    ] as const) {
      const words = config === regions ? [] : ['--background-color', '#404040'];
      const file = await mixTo(name, ...PART, '--layout-config', config, ...words);
      const free = { x: 0.5, y: 0, width: 0.5, height: 0.5 };
      const [green, red, gray] = seen(file, [
        { x: 0, y: 0, width: 0.25, height: 0.5 },
        { x: 0.5, y: 0.5, width: 0.5, height: 0.5 },
        free,
      ]) as [Reading, Reading, Reading];
      expect(isColour(green, GREEN.colour)).toBe(true);
      expect(isColour(red, RED.colour)).toBe(true);
      expect(isColour(gray, GRAY)).toBe(true);
    }
  });

  test('only some users, and sound alone', async () => {
    const sides = ['--left', '2', '--right', 'others'];
    const file = await mixTo('some.mp4', ...PART, '--users', '2,3', '--no-video', '--audio-profile', '0', ...sides);
    const probe = probeFile(file);
    expect(probe.video).toBeUndefined();
    expect(probe.audio).toMatchObject({ channels: 2 });
    expect(Math.abs(probe.durationS - 2)).toBeLessThan(0.03);
    const heard = listen(file);
    expect(beepsIn(heard, GREEN)).toHaveLength(1);
    expect(beepsIn(heard, RED)).toEqual([]);
    const [left, right] = [0, 1].map((channel) => listen(file, { channel }));
    expect([GREEN, BLUE].map((who) => beepsIn(left!, who).length)).toEqual([1, 0]);
    expect([GREEN, BLUE].map((who) => beepsIn(right!, who).length > 0)).toEqual([false, true]);
  });

  test('picture alone, beginning while the picture of one stands still', async () => {
    const file = await mixTo('still.mp4', '--from', '10', '--to', '11', '--users', '1', '--no-audio');
    expect(probeFile(file).audio).toBeUndefined();
    const [readings] = watch(file, [{ rect: { x: 0, y: 0, width: 1, height: 1 } }]).views as [Reading[]];
    expect(readings.every((reading) => isColour(reading, RED.colour))).toBe(true);
  });
});

describe('a recording that is not whole', () => {
  /** The recording in a folder of its own, to be harmed. */
  function copy(name: string): string {
    const folder = join(dir, name);
    mkdirSync(folder);
    for (const { name: file } of manifest.slices) writeFileSync(join(folder, file), readFileSync(join(dir, file)));
    writeFileSync(join(folder, basename(path)), JSON.stringify(manifest));
    return join(folder, basename(path));
  }
  const sliceOf = (uid: string, trackType: string, index: number) =>
    manifest.slices.find((s) => s.uid === uid && s.trackType === trackType && s.index === index)?.name as string;

  test('missing files are named and left as gaps, or refused', async () => {
    const harmed = copy('missing');
    const [picture, sound] = [sliceOf('1', 'video', 1), sliceOf('1', 'audio', 0)];
    rmSync(join(dirname(harmed), picture));
    rmSync(join(dirname(harmed), sound));
    const output = join(dirname(harmed), 'out.mp4');
    const refused = await mix(harmed, '-o', output, '--strict');
    expect(refused).toMatchObject({ code: 1, out: '' });
    expect(refused.err).toContain(picture);
    expect(refused.err).toContain(sound);
    expect(existsSync(output)).toBe(false);

    const ran = await mix(
      harmed,
      '-o',
      output,
      '--size',
      '320x180',
      '--fps',
      String(FPS),
      '--layout',
      'best-fit',
      '-q',
    );
    expect(ran.code).toBe(0);
    expect(ran.err).toMatch(/warning: 2 of the recording's files are not there/);
    expect(ran.err).toContain(picture);
    const [left] = watch(output, [{ rect: bestFitRegions(4)[0] as Rect }]).views as [Reading[]];
    expect(onSeconds(flashesIn(left)).seconds).toEqual(range(1, 9));
    expect(isColour(readingAt(left, 19), RED.colour)).toBe(true);
    // What is left begins within the beep of second 15.
    expect(onSeconds(beepsIn(listen(output), RED)).seconds).toEqual(range(15, 20));
    expect(onSeconds(beepsIn(listen(output), BLUE)).seconds).toEqual(range(1, 20));
  });

  test('a file cut short is read as far as it goes, and one of rubbish is left out', async () => {
    const harmed = copy('torn');
    const [torn, rubbish] = [sliceOf('1', 'video', 0), sliceOf('3', 'audio', 0)];
    truncateSync(join(dirname(harmed), torn), 60_000);
    writeFileSync(join(dirname(harmed), rubbish), Buffer.alloc(100_000, 'rubbish'));
    const output = join(dirname(harmed), 'out.mp4');
    const ran = await mix(
      harmed,
      '-o',
      output,
      '--size',
      '320x180',
      '--fps',
      String(FPS),
      '--layout',
      'best-fit',
      '-q',
    );
    expect(ran.code).toBe(0);
    expect(ran.err).toContain(`${torn} has 60000 bytes instead of`);
    expect(ran.err).toContain(`${rubbish} cannot be read on`);
    const [left] = watch(output, [{ rect: bestFitRegions(4)[0] as Rect }]).views as [Reading[]];
    const flashes = onSeconds(flashesIn(left)).seconds;
    expect(flashes.slice(0, 3)).toEqual([1, 2, 3]);
    expect(flashes).not.toContain(8);
    expect(flashes.slice(-7)).toEqual(range(13, 20));
    expect(onSeconds(beepsIn(listen(output), BLUE)).seconds).toEqual(range(15, 20));
  });

  test('what is no manifest is refused with where it is wrong', async () => {
    const bad = join(dir, 'bad_manifest.json');
    writeFileSync(bad, JSON.stringify({ ...manifest, slices: [{ ...manifest.slices[0], uid: 7, name: '../x.ts' }] }));
    const ran = await mix(bad);
    expect(ran).toMatchObject({ code: 1, out: '' });
    expect(ran.err).toMatch(/is not a manifest:\n[\s\S]*slices\[0\]\.name: [\s\S]*slices\[0\]\.uid: /);
    writeFileSync(bad, '{');
    expect((await mix(bad)).err).toMatch(/cannot read the manifest .*bad_manifest\.json/);
    expect((await mix(join(dir, 'none.json'))).err).toMatch(/cannot read the manifest .*no such file/);
  });

  test('a mix that reaches its limit goes on in another MP4, and none that exists is lost', async () => {
    const output = join(dir, 'long.mp4');
    const parts = [output, join(dir, 'long_1.mp4'), join(dir, 'long_2.mp4')];
    const words = ['--mp4-max-duration', '8', '--size', '64x36', '--fps', '10', '-q', '-o', output];
    writeFileSync(parts[1]!, 'mine');
    const refused = await mix(path, ...words);
    expect(refused).toMatchObject({ code: 1, out: '' });
    expect(refused.err).toMatch(/long_1\.mp4 exists already; --force replaces it/);
    // What is shorter than the limit needs no such name.
    expect(await mix(path, ...words, '--to', '1')).toMatchObject({ code: 0, out: `${output}\n` });
    expect(readFileSync(parts[1]!, 'utf8')).toBe('mine');
    // No beep begins where a part does.
    const ran = await mix(path, ...words, '--force', '--from', '0.5');
    expect(ran).toMatchObject({ code: 0, err: '', out: `${parts.join('\n')}\n` });
    const probes = parts.map(probeFile);
    // Key frames stand three seconds apart.
    expect(probes.map(({ video }) => video?.packets)).toEqual([90, 90, 15]);
    expect(probes.every(({ video, moovFirst }) => moovFirst && video!.keyFrames[0]! < 0.01)).toBe(true);
    const beeps = probes.flatMap((_, n) =>
      beepsIn(listen(parts[n]!), { toneHz: BLUE.toneHz }).map(({ atS }) => Math.round(atS + 9 * n + 0.5)),
    );
    expect(beeps).toEqual(range(1, 20));
  });

  test('an output that exists is kept unless it may be replaced, and a failure leaves nothing behind', async () => {
    const taken = join(dir, 'taken.mp4');
    writeFileSync(taken, 'mine');
    const short = ['--from', '6', '--to', '6.5', '--size', '64x36', '--fps', '5', '-q', '-o', taken];
    const refused = await mix(path, ...short);
    expect(refused).toMatchObject({ code: 1, out: '' });
    expect(refused.err).toMatch(/taken\.mp4 exists already; --force replaces it/);
    expect(readFileSync(taken, 'utf8')).toBe('mine');
    const replaced = await mix(path, ...short, '--force', '--json');
    expect(replaced).toMatchObject({ code: 0, err: '' });
    expect(JSON.parse(replaced.out)).toEqual({ files: [taken], playlist: null, from: 6, to: 6.5 });
    expect(probeFile(taken).video).toMatchObject({ width: 64, height: 36 });
    expect(readdirSync(dir).filter((name) => name.startsWith('.'))).toEqual([]);
  });
});

test('a signal ends it, with nothing left behind', async () => {
  const output = join(dir, 'ended.mp4');
  const child = spawn(process.execPath, [MAIN, 'mix', path, '-o', output, '--hls', '--fps', '60']);
  let err = '';
  child.stderr.on('data', (text) => {
    // A second signal would end it at once.
    if (err === '') child.kill('SIGTERM');
    err += text;
  });
  const [code] = await once(child, 'close');
  expect(code).toBe(1);
  expect(err).toMatch(/aircheck: ended by SIGTERM; nothing was written\n$/);
  expect(readdirSync(dir).filter((name) => name.startsWith('ended') || name.startsWith('.'))).toEqual([]);
});

test.each([
  [['--users', '1,99'], /the recording has no user 99; it has 1, 3, 2/],
  [['--from', '21'], /nothing to mix: it would begin at 21 s of the recording and end at 20 s/],
  [['-o', 'no/such/folder/x.mp4'], /there is no folder no\/such\/folder/],
  [['-o', 'x.mkv'], /must end in \.mp4/],
  [['--layout', 'circle'], /Allowed choices are floating, best-fit, vertical, custom/],
])('%j is refused', async (words, message) => {
  const ran = await mix(path, ...words);
  expect(ran).toMatchObject({ code: 1, out: '' });
  expect(ran.err).toMatch(message);
});

describe('in this process', () => {
  const video = {
    ...{ width: 160, height: 90, fps: 10, bitrateKbps: 100, backgroundColor: '#000000' },
    layout: { kind: 'bestFit' as const },
  };
  const options = (name: string) => {
    const cast = castOf(manifest, { audio: true, video: true, missing: new Set() });
    const folder = join(dir, name);
    mkdirSync(folder);
    return {
      ...{
        cast,
        fromUs: 0,
        toUs: 20_000_000,
        holds: [],
        zeroUtcMs: 0,
        video,
        audio: { channels: 1 as const, bitrateKbps: 48 },
      },
      mp4Limit: { durationMs: 7_200_000, bytes: 2_000_000_000 },
      ...{ files: { mp4: true, hls: false }, dir: folder, baseName: 'x', threads: 1, read: readSlicesIn(dir) },
      onProblem: (what: string) => expect.unreachable(what),
    };
  };

  test('nothing native is left when it ends', async () => {
    const before = liveFrames();
    const files = await remix(options('native'));
    expect(files.map(({ name, durationUs }) => [name, durationUs])).toEqual([['x_0.mp4', 20_000_000]]);
    expect(liveFrames()).toBe(before);
  });

  test('nor when it is given up', async () => {
    const before = liveFrames();
    const stop = new AbortController();
    const onProgress = (doneUs: number) => void (doneUs > 8_000_000 && stop.abort(new Error('enough')));
    await expect(remix({ ...options('stopped'), onProgress, signal: stop.signal })).rejects.toThrow('enough');
    expect(liveFrames()).toBe(before);
  });
});
