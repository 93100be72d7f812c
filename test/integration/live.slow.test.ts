/**
 * A recording is watched while it is recorded, by the whole product: a real publisher, a composite, and Chromium with
 * hls.js on a page of another origin. What is judged is when each picture that is shown was taken.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type WatchReply, watchReplySchema } from '../../src/contract/rest/watch.ts';
import { type Browser, startBrowser } from '../support/browser.ts';
import { RED } from '../support/media/participants.ts';
import { type Publisher, publishWithRtc } from '../support/publish/publisher.ts';
import { type TestRecording, TestServer } from '../support/test-server.ts';
import { LiveView, medianOf, type Shown } from '../support/watch-live.ts';

const PICTURE = { width: 640, height: 360, fps: 15 };
/** From the camera to the screen, milliseconds. */
const MOST_BEHIND_MS = 4_000;
/** From the answer of the call that started the recording to the first picture, milliseconds. */
const MOST_TO_FIRST_MS = 7_000;
/** From the click to the first picture of the present, milliseconds. */
const MOST_BACK_MS = 2_000;
/** So many pictures are looked at: four seconds of them. */
const PICTURES = 60;

let folder: string;
let server: TestServer;
let browser: Browser;
let publisher: Publisher;
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'aircheck-live-'));
  server = new TestServer(join(folder, 'data'), { AIRCHECK_WATCH_ORIGINS: '*' });
  await server.start();
  browser = await startBrowser();
}, 60_000);
afterAll(async () => {
  await browser?.close();
  await publisher?.stop();
  await server?.end();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
});

async function watch({ sid }: TestRecording): Promise<WatchReply> {
  const { status, body } = await server.call('POST', `/aircheck/recordings/${sid}/watch`);
  expect(status).toBe(200);
  return watchReplySchema.parse(body);
}
const behindOf = (shown: readonly Shown[]) => shown.map(({ shownMs, takenMs }) => shownMs - takenMs);

/** Waits until the player shows what goes on, and returns the newest pictures. */
async function live(view: LiveView): Promise<Shown[]> {
  // It has begun, and is where it wants to be.
  await view.until('v.currentTime > 0 && hls.latency > 0 && hls.latency < hls.targetLatency + 0.5', 30_000);
  const has = await view.page.evaluate<number>('log.frames.length');
  await view.until(`log.frames.length >= ${has + PICTURES + 20}`, 20_000);
  return (await view.shown()).slice(-PICTURES);
}

test('is seen within seconds, rewound, back in the present at once, and goes on to its end', {
  timeout: 90_000,
}, async () => {
  publisher = await publishWithRtc({
    ...server.running.whip('live', '1'),
    ...{ ...PICTURE, bitrateKbps: 600, participant: RED, codec: 'h264' },
  });
  const recording = await server.record('live', '9000', {
    recordingConfig: { transcodingConfig: { ...PICTURE, bitrate: 800, mixedVideoLayout: 1 } },
    recordingFileConfig: { avFileType: ['hls'] },
    storageConfig: { vendor: 1000, bucket: 'bucket' },
  });
  const { url } = await watch(recording);
  const view = await LiveView.open(browser.context, new URL(url!, server.baseUrl).href);

  await view.until('log.frames.length > 0', 30_000);
  expect(await view.page.evaluate<number>('log.frames[0].shownMs')).toBeLessThan(
    recording.answeredAtMs + MOST_TO_FIRST_MS,
  );
  const behind = behindOf(await live(view));
  expect(medianOf(behind)).toBeLessThan(MOST_BEHIND_MS);
  // The present, and no other moment of the channel.
  expect(Math.min(...behind)).toBeGreaterThan(0);

  // A picture of before may still be shown until the player is there.
  await view.page.evaluate(`new Promise((resolve) => {
    v.addEventListener('seeked', () => resolve(log.frames.splice(0).length), { once: true });
    v.currentTime = 0;
  })`);
  await view.until('log.frames.length > 20', 20_000);
  const rewound = await view.shown();
  expect(rewound.at(-1)!.timeS - rewound[0]!.timeS).toBeLessThan(5);
  expect(Math.abs(rewound[0]!.takenMs - recording.answeredAtMs)).toBeLessThan(3_000);

  const { leftMs, toS } = await view.page.evaluate<{ leftMs: number; toS: number }>(
    'log.frames.splice(0), v.currentTime = hls.liveSyncPosition, ' +
      '{ leftMs: performance.timeOrigin + performance.now(), toS: v.currentTime }',
  );
  await view.until(`log.frames.some(({ timeS }) => timeS > ${toS - 1})`, 20_000);
  const back = behindOf(await live(view));
  const first = (await view.shown()).find(({ timeS }) => timeS > toS - 1);
  expect(first!.shownMs - leftMs).toBeLessThan(MOST_BACK_MS);
  expect(medianOf(back)).toBeLessThan(MOST_BEHIND_MS);

  const calledMs = Date.now();
  await recording.stop();
  await view.until('log.ended', 30_000);
  const last = (await view.shown()).at(-1)!;
  expect(Math.abs(last.takenMs - calledMs)).toBeLessThan(2_500);
  expect((await view.errors()).filter(({ fatal }) => fatal)).toEqual([]);

  // What was watched is what is stored.
  const text = await (await fetch(new URL(url!, server.baseUrl))).text();
  expect(text).toMatch(/#EXT-X-ENDLIST\n$/);
  const stored = join(server.dataDir, 'recordings/bucket');
  const names = readFileSync(join(stored, `${recording.sid}_live.m3u8`), 'utf8').match(/^.+\.ts$/gm)!;
  const sent = [];
  for (const address of text.match(/^live\/.+$/gm)!)
    sent.push(Buffer.from(await (await fetch(new URL(address, new URL(url!, server.baseUrl)))).arrayBuffer()));
  expect(sent.length).toBeGreaterThan(names.length);
  const files = Buffer.concat(names.map((name) => readFileSync(join(stored, name))));
  expect(Buffer.concat(sent).equals(files)).toBe(true);
  await view.close();
});
