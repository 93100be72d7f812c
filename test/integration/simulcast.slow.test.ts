/**
 * Chromium publishes three sizes of one picture; recordings take the high or the low one, and go on with another while
 * theirs is switched off. Judged by the files: how sharp the pictures are, whether they stand still, and how sound goes
 * with them.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import type { LayerReport, PublicationReport } from '../../src/channel/room/publication.ts';
import { type Browser, type BrowserPublisher, startBrowser } from '../support/browser.ts';
import { avOffsets } from '../support/judge/offsets.ts';
import { blackIn, flashesIn, frozenIn, type Span } from '../support/judge/picture.ts';
import { probeFile } from '../support/judge/probe.ts';
import { type Sharpness, sharpnessOf } from '../support/judge/sharpness.ts';
import { beepsIn, listen } from '../support/judge/sound.ts';
import { watch } from '../support/judge/watch.ts';
import { localStorage, type TestRecording, TestServer, until } from '../support/test-server.ts';

const TONE = 880;
const UID = '7';
/** The canvas is as large as the largest picture, so that a smaller one shows by its lack of sharpness. */
const CANVAS = { width: 1280, height: 720, fps: 15 };
/** Luma steps of white letters: of the whole picture above, of one a quarter as wide below. Halved lies between. */
const WHOLE_STEP = 95;
const HALF_STEP = 50;

let folder: string;
let server: TestServer;
let browser: Browser | undefined;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'aircheck-simulcast-'));
  server = new TestServer(join(folder, 'data'));
  await server.start();
});
afterEach(async () => {
  await browser?.close();
  browser = undefined;
});
afterAll(async () => {
  await server.end();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
});

async function trackOf(cname: string, kind: 'audio' | 'video'): Promise<PublicationReport | undefined> {
  const [one] = (await server.participants(cname)) as unknown as { tracks: PublicationReport[] }[];
  return one?.tracks.find((track) => track.kind === kind);
}
const layersOf = async (cname: string): Promise<LayerReport[]> => (await trackOf(cname, 'video'))?.layers ?? [];

async function publish(cname: string, codec: 'vp8' | 'h264'): Promise<BrowserPublisher> {
  browser = await startBrowser();
  const publisher = await browser.publish(server.baseUrl, {
    ...{ appid: server.appid, cname, uid: UID, token: server.token(cname, UID), tone: TONE },
    ...{ width: 1280, height: 720, fps: 20, bitrate: 2_000_000, codec, simulcast: true },
  });
  const isWhole = (layers: LayerReport[]) => layers.length === 3 && layers.every((l) => l.receiving && l.width);
  await until('all three layers come', async () => isWhole(await layersOf(cname)), 40_000);
  return publisher;
}

function start(cname: string, uid: string, videoStreamType: 0 | 1): Promise<TestRecording> {
  return server.record(cname, uid, {
    recordingConfig: {
      ...{ channelType: 1, maxIdleTime: 10, videoStreamType },
      transcodingConfig: { ...CANVAS, bitrate: 2500, mixedVideoLayout: 1 },
    },
    recordingFileConfig: { avFileType: ['hls', 'mp4'] },
    storageConfig: localStorage(cname),
  });
}

const after = (recording: TestRecording, seconds: number) =>
  until(`${seconds} s`, () => Date.now() - recording.answeredAtMs > seconds * 1000, seconds * 1000 + 5000);

async function stop(recording: TestRecording, cname: string): Promise<string> {
  expect((await recording.stop()).body['serverResponse']).toMatchObject({ uploadingStatus: 'uploaded' });
  return join(folder, 'data/recordings', cname, `${recording.sid}_${cname}_0.mp4`);
}

const switchLayer = ({ page }: BrowserPublisher, rid: string, active: boolean) =>
  page.evaluate(`(async () => {
    const sender = window.aircheckPublisher.connection.getSenders().find((s) => s.track.kind === 'video');
    const parameters = sender.getParameters();
    parameters.encodings.find((e) => e.rid === '${rid}').active = ${active};
    await sender.setParameters(parameters);
  })()`);

const stepsIn = (sharpness: readonly Sharpness[], { fromS, toS }: Span) =>
  sharpness.filter(({ atS }) => atS >= fromS && atS < toS).map(({ step }) => step);
const median = (values: number[]) => values.sort((a, b) => a - b)[values.length >> 1]!;

/** What holds of every recording here, whichever layers it is made of. */
function judge(mp4: string, longestStillS: number): void {
  const { views, damaged, sizes } = watch(mp4, [{ rect: { x: 0, y: 0, width: 1, height: 1 } }]);
  const readings = views[0]!;
  const endS = probeFile(mp4).durationS;
  expect(damaged).toBe(0);
  expect(sizes).toEqual(['1280x720']);
  expect(blackIn(readings)).toEqual([]);
  const still = frozenIn(readings).map(({ fromS, toS }) => toS - fromS);
  expect(Math.max(0, ...still)).toBeLessThan(longestStillS);
  const beeps = beepsIn(listen(mp4), { toneHz: TONE }).map(({ atS }) => atS);
  const flashes = flashesIn(readings).map(({ atS }) => atS);
  const offsets = avOffsets(flashes, beeps);
  const heard = beeps.map((atS) => atS.toFixed(2)).join(' ');
  const seen = flashes.map((atS) => atS.toFixed(2)).join(' ');
  // A browser on a machine that is busy draws some of its flashes too late to be seen.
  expect(flashes.length, `flashes ${seen}, beeps ${heard}`).toBeGreaterThanOrEqual(0.8 * Math.floor(endS));
  expect(offsets.missing.filter((atS) => atS < endS - 0.3)).toEqual([]);
  expect(Math.abs(offsets.medianMs)).toBeLessThan(67);
  // A frame at 15 a second is 67 ms, and the page itself is some 10 ms exact.
  expect(Math.abs(offsets.worstMs), offsets.eachMs.map(Math.round).join(' ')).toBeLessThan(150);
}

test.each(['vp8', 'h264'] as const)(
  'of %s the high layer is recorded by type 0, the low by type 1',
  async (codec) => {
    const cname = `sizes-${codec}`;
    await publish(cname, codec);
    expect((await layersOf(cname)).map(({ rid, width, height }) => [rid, width, height])).toEqual([
      ['h', 1280, 720],
      ['m', 640, 360],
      ['l', 320, 180],
    ]);
    // The page beeps once a second, well above silence.
    await until(
      'the beep is seen',
      async () => ((await trackOf(cname, 'audio'))?.audioLevelDbov ?? -127) > -60,
      30_000,
    );
    const high = await start(cname, '9000', 0);
    const low = await start(cname, '9001', 1);
    await after(low, 6);
    const files = [await stop(high, cname), await stop(low, cname)] as const;
    const steps = files.map((file) => median(stepsIn(sharpnessOf(file, 7), { fromS: 0.5, toS: 6 })));
    expect(steps[0]).toBeGreaterThan(WHOLE_STEP);
    expect(steps[1]).toBeLessThan(HALF_STEP);
    for (const file of files) judge(file, 0.5);
  },
  90_000,
);

test('a layer that is switched off gives way to the next at once, and comes back', async () => {
  const cname = 'switched';
  const publisher = await publish(cname, 'vp8');
  const recording = await start(cname, '9000', 0);
  const sinceS = () => (Date.now() - recording.answeredAtMs) / 1000;
  await after(recording, 5);
  const offS = sinceS();
  await switchLayer(publisher, 'h', false);
  await after(recording, 11);
  const onS = sinceS();
  await switchLayer(publisher, 'h', true);
  await after(recording, 20);
  const mp4 = await stop(recording, cname);
  const sharpness = sharpnessOf(mp4, 5);
  const seen = `off at ${offS}, on at ${onS}: ${sharpness.map(({ atS, step }) => `${atS.toFixed(1)} ${step}`).join(', ')}`;
  const before = median(stepsIn(sharpness, { fromS: 0.5, toS: offS - 0.5 }));
  const meanwhile = median(stepsIn(sharpness, { fromS: offS + 2, toS: onS - 0.5 }));
  const back = median(stepsIn(sharpness, { fromS: onS + 6, toS: 20 }));
  expect(before, seen).toBeGreaterThan(WHOLE_STEP);
  expect(meanwhile, seen).toBeLessThan(WHOLE_STEP);
  expect(meanwhile, seen).toBeGreaterThan(HALF_STEP);
  expect(back, seen).toBeGreaterThan(WHOLE_STEP);
  judge(mp4, 1);
}, 90_000);
