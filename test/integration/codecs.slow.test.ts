/**
 * VP9, AV1, PCMU and PCMA through the whole product: sent over WHIP by Chromium and by made publishers, recorded in
 * mix, and the files judged.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type Browser, type BrowserPublisher, type PublishParams, startBrowser } from '../support/browser.ts';
import { avOffsets } from '../support/judge/offsets.ts';
import { blackIn, flashesIn, presenceIn } from '../support/judge/picture.ts';
import { probeFile } from '../support/judge/probe.ts';
import { judgeRecording } from '../support/judge/recording.ts';
import { bestFitRegions } from '../support/judge/regions.ts';
import { beepsIn, listen } from '../support/judge/sound.ts';
import { watch } from '../support/judge/watch.ts';
import { GREEN, RED, yuvOf } from '../support/media/participants.ts';
import { type Publisher, publishWithRtc } from '../support/publish/publisher.ts';
import { localStorage, type TestRecording, TestServer, until } from '../support/test-server.ts';

const run = promisify(execFile);

let folder: string;
let server: TestServer;
let browser: Browser | undefined;
const publishers: Publisher[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'aircheck-codecs-'));
  server = new TestServer(join(folder, 'data'), { AIRCHECK_RATE_LIMIT_PER_S: '0' });
  await server.start();
});
afterEach(async () => {
  await browser?.close();
  browser = undefined;
  await Promise.all(publishers.splice(0).map((publisher) => publisher.stop()));
});
afterAll(async () => {
  await server.end();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
});

type Tracks = { uid: string; tracks: { codec: string; receiving: boolean }[] }[];

/** Waits until all who are named send what they are to send. */
async function awaitCodecs(cname: string, expected: Record<string, string[]>): Promise<void> {
  const sent = async () =>
    Object.fromEntries(
      ((await server.participants(cname)) as unknown as Tracks).map(({ uid, tracks }) => [
        uid,
        tracks.flatMap((t) => (t.receiving ? [t.codec] : [])).sort(),
      ]),
    );
  const wanted = JSON.stringify(expected);
  await until(`${cname} holds ${wanted}`, async () => JSON.stringify(await sent()) === wanted, 30_000);
}

/** Records what is in the channel for so long, and returns the MP4. */
async function record(cname: string, seconds: number): Promise<string> {
  const recording = await server.record(cname, '9000', {
    recordingConfig: {
      channelType: 1,
      maxIdleTime: 10,
      transcodingConfig: { width: 640, height: 360, fps: 30, bitrate: 1000, mixedVideoLayout: 1 },
    },
    recordingFileConfig: { avFileType: ['hls', 'mp4'] },
    storageConfig: localStorage(cname),
  });
  await until(`${seconds} s`, () => Date.now() - recording.answeredAtMs > seconds * 1000, seconds * 1000 + 5000);
  expect((await recording.stop()).body['serverResponse']).toMatchObject({ uploadingStatus: 'uploaded' });
  return join(folder, 'data/recordings', cname, `${recording.sid}_${cname}_0.mp4`);
}

/** Records everyone alone, with an MP4 of each. */
const recordAlone = (cname: string) =>
  server.record(
    cname,
    '9001',
    {
      recordingConfig: { channelType: 1, subscribeUidGroup: 0, maxIdleTime: 10, streamMode: 'standard' },
      recordingFileConfig: { avFileType: ['hls', 'mp4'] },
      storageConfig: localStorage(`${cname}-alone`),
    },
    'individual',
  );

/**
 * Whether each file with pictures shows one picture at a time to whoever reads it with FFmpeg, and all that a user has
 * of a kind are of one size but for moments in which the browser's encoder left the upper layer out. It does so at a
 * key frame that it is asked for, and the file that begins there may be short.
 */
async function judgeAlone(cname: string, recording: TestRecording): Promise<void> {
  expect((await recording.stop()).body['serverResponse']).toMatchObject({ uploadingStatus: 'uploaded' });
  const dir = join(folder, 'data/recordings', `${cname}-alone`);
  const kinds = [
    /_uid_s_11_.*_av_0\.mp4$/,
    /_uid_s_22_.*_av_0\.mp4$/,
    /_uid_s_11_.*_video_.*\.webm$/,
    /_uid_s_22_.*_video_.*\.webm$/,
  ];
  for (const kind of kinds) {
    const files = readdirSync(dir).filter((name) => kind.test(name));
    expect(files.length, `${kind} in ${readdirSync(dir).join(' ')}`).toBeGreaterThanOrEqual(1);
    const all: string[] = [];
    for (const name of files) {
      const { sizes, packets } = await readPictures(join(dir, name));
      expect(sizes.length, name).toBeGreaterThan(0);
      expect(sizes.length, name).toBeLessThanOrEqual(packets);
      all.push(...sizes);
    }
    const whole = all.filter((size) => size === '640x360').length;
    expect(whole, String(kind)).toBeGreaterThan(0.9 * all.length);
    expect(all.filter((size) => size === '320x180').length + whole, String(kind)).toBe(all.length);
    expect(all.length, String(kind)).toBeGreaterThan(100);
  }
}

/** The sizes of a file's pictures as FFmpeg shows them, and how many packets hold them. */
async function readPictures(file: string): Promise<{ sizes: string[]; packets: number }> {
  const { stdout } = await run('ffprobe', [
    ...['-v', 'error', '-select_streams', 'v', '-count_packets'],
    ...['-show_entries', 'stream=nb_read_packets:frame=width,height', '-of', 'json', file],
  ]);
  const { frames, streams } = JSON.parse(stdout) as {
    frames: { width: number; height: number }[];
    streams: { nb_read_packets: string }[];
  };
  const sizes = frames.map(({ width, height }) => `${width}x${height}`);
  return { sizes, packets: Number(streams[0]!.nb_read_packets) };
}

/** The page's picture colour: hsl(hue 65% 38%). */
function colourOf(hue: number) {
  const channel = (n: number) => {
    const k = (n + hue / 30) % 12;
    return 255 * (0.38 - 0.65 * 0.38 * Math.max(-1, Math.min(k - 3, 9 - k, 1)));
  };
  return yuvOf({ r: channel(0), g: channel(8), b: channel(4) });
}

/** What the page's browser says of how it layers its picture. */
const SCALABILITY = `window.aircheckPublisher.connection.getStats().then((report) =>
  [...report.values()].find((s) => s.type === 'outbound-rtp' && s.kind === 'video').scalabilityMode)`;

type Person = { uid: string; hue: number; tone: number } & Pick<PublishParams, 'codec' | 'audioCodec' | 'scalability'>;

describe('Chromium', { timeout: 90_000 }, () => {
  test.each<[string, Person[]]>([
    [
      'sends VP9 with PCMU and AV1 with PCMA',
      [
        { uid: '11', hue: 0, tone: 440, codec: 'vp9', audioCodec: 'pcmu' },
        { uid: '22', hue: 120, tone: 660, codec: 'av1', audioCodec: 'pcma' },
      ],
    ],
    [
      'sends VP9 and AV1 in two spatial layers',
      [
        { uid: '11', hue: 0, tone: 440, codec: 'vp9', audioCodec: 'opus', scalability: 'L2T2' },
        { uid: '22', hue: 120, tone: 660, codec: 'av1', audioCodec: 'opus', scalability: 'L2T2' },
      ],
    ],
  ])('%s, and everything is seen and heard in step', async (_what, people) => {
    const cname = `chromium-${people[0]!.scalability ?? 'plain'}`;
    browser = await startBrowser();
    const pages: BrowserPublisher[] = [];
    for (const person of people)
      pages.push(
        await browser.publish(server.baseUrl, {
          ...{ appid: server.appid, cname, token: server.token(cname, person.uid) },
          ...{ width: 640, height: 360, fps: 30, bitrate: 1_200_000 },
          ...person,
        }),
      );
    await awaitCodecs(
      cname,
      Object.fromEntries(people.map((p) => [p.uid, [String(p.codec), String(p.audioCodec)].sort()])),
    );
    const layered = people.some(({ scalability }) => scalability);
    const alone = layered ? await recordAlone(cname) : undefined;
    const mp4 = await record(cname, 12);
    if (alone) await judgeAlone(cname, alone);
    for (const [i, { page }] of pages.entries())
      if (people[i]!.scalability) expect(await page.evaluate(SCALABILITY)).toBe(people[i]!.scalability);

    const regions = bestFitRegions(2);
    const { views, damaged } = watch(
      mp4,
      regions.map((rect) => ({ rect })),
    );
    const heard = listen(mp4);
    const endS = probeFile(mp4).durationS;
    expect(damaged).toBe(0);
    people.forEach((person, i) => {
      const readings = views[i]!;
      const flashes = flashesIn(readings).map((f) => f.atS);
      const beeps = beepsIn(heard, { toneHz: person.tone }).map((b) => b.atS);
      const seenS = presenceIn(readings, colourOf(person.hue)).reduce((sum, span) => sum + span.toS - span.fromS, 0);
      expect(seenS).toBeGreaterThan(9.5);
      expect(blackIn(readings)).toEqual([]);
      expect(flashes.length, flashes.map((t) => t.toFixed(2)).join(' ')).toBeGreaterThanOrEqual(11);
      const offsets = avOffsets(flashes, beeps);
      // A mark at the very end may be cut in half.
      expect(offsets.missing.filter((atS) => atS < endS - 0.3)).toEqual([]);
      // The page itself is some 10 ms exact.
      expect(Math.abs(offsets.medianMs)).toBeLessThan(60);
    });
  });
});

test('made publishers of VP9 with PCMU and of AV1 with PCMA are recorded in step, frame by frame', async () => {
  const picture = { width: 640, height: 360, fps: 30, bitrateKbps: 800 };
  const shared = { ...picture, timestampOffset: { audio: 0xfffff000, video: 0xfffe0000 } };
  publishers.push(
    await publishWithRtc({
      ...server.running.whip('made', '1'),
      ...shared,
      participant: RED,
      codec: 'vp9',
      audioCodec: 'pcmu',
    }),
    await publishWithRtc({
      ...server.running.whip('made', '2'),
      ...shared,
      participant: GREEN,
      codec: 'av1',
      audioCodec: 'pcma',
      // Parts of pictures come again on request.
      lossRate: 0.02,
    }),
  );
  await awaitCodecs('made', { 1: ['pcmu', 'vp9'], 2: ['av1', 'pcma'] });
  const mp4 = await record('made', 10);
  const verdict = judgeRecording(mp4, {
    participants: [RED, GREEN],
    source: { width: 640, height: 360 },
    ...{ width: 640, height: 360, fps: 30 },
  });
  expect(verdict.problems).toEqual([]);
});
