/**
 * The whole product: real publishers over WHIP, the REST calls a client makes, and the files in the store, judged.
 */
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, test } from 'vitest';
import { type QualityReport, qualityReportSchema } from '../../src/contract/line/quality-report.ts';
import { type Browser, startBrowser } from '../support/browser.ts';
import { avOffsets } from '../support/judge/offsets.ts';
import { blackIn, flashesIn, presenceIn } from '../support/judge/picture.ts';
import { judgePlaylist } from '../support/judge/playlist.ts';
import { probeFile } from '../support/judge/probe.ts';
import { judgeRecording } from '../support/judge/recording.ts';
import { bestFitRegions } from '../support/judge/regions.ts';
import { beepsIn, listen } from '../support/judge/sound.ts';
import { watch } from '../support/judge/watch.ts';
import { GREEN, RED, type Yuv, yuvOf } from '../support/media/participants.ts';
import { playInBrowser } from '../support/playback.ts';
import { Publisher } from '../support/publish/publisher.ts';
import { HangingServer, S3Server } from '../support/s3-server.ts';
import { localStorage, TestServer, until } from '../support/test-server.ts';

let folder: string;
let server: TestServer;
let browser: Browser | undefined;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'aircheck-e2e-'));
  server = new TestServer(join(folder, 'data'));
  await server.start();
});
afterEach(async () => {
  await browser?.close();
  browser = undefined;
});
afterAll(async () => {
  // Killed: a bucket that hangs would hold up an orderly end.
  await server.kill();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
});

const CLIENT = {
  recordingConfig: {
    channelType: 1,
    maxIdleTime: 10,
    // Two browser pages that encode leave a two-core machine little; the demo and the bench record larger.
    transcodingConfig: { width: 640, height: 360, fps: 30, bitrate: 1000, mixedVideoLayout: 1 },
  },
  recordingFileConfig: { avFileType: ['hls', 'mp4'] },
};

/** The page's picture colour for a hue. */
function hue(degrees: number): Yuv {
  const channel = (n: number) => {
    const k = (n + degrees / 30) % 12;
    return 255 * (0.38 - 0.65 * 0.38 * Math.max(-1, Math.min(k - 3, 9 - k, 1)));
  };
  return yuvOf({ r: channel(0), g: channel(8), b: channel(4) });
}

const PEOPLE = [
  { uid: '11', hue: 0, tone: 440, codec: 'h264' as const },
  { uid: '22', hue: 120, tone: 660, codec: 'vp8' as const },
];

async function publishPeople(cname: string): Promise<void> {
  browser = await startBrowser();
  for (const person of PEOPLE) {
    await browser.publish(server.baseUrl, {
      appid: server.appid,
      cname,
      token: server.token(cname, person.uid),
      width: 640,
      height: 360,
      fps: 30,
      bitrate: 1_200_000,
      ...person,
    });
  }
  await until(
    'both send sound and picture',
    async () => {
      const people = await server.participants(cname);
      return people.length === 2 && people.every((p) => p.tracks.filter((t) => t.receiving).length === 2);
    },
    30_000,
  );
}

/** What the server answers of a recording's quality. */
async function qualityOf(sid: string): Promise<QualityReport> {
  const { body } = await server.call('GET', `/aircheck/recordings/${sid}`);
  return qualityReportSchema.parse(body['quality']);
}
const storedReport = (dir: string, base: string) => JSON.parse(readFileSync(join(dir, `${base}_report.json`), 'utf8'));

describe('a recording from Chromium to the store', { timeout: 150_000 }, () => {
  test('is complete, in step and playable, as HLS and as MP4', async () => {
    await publishPeople('room');
    const recording = await server.record('room', '9000', {
      ...CLIENT,
      storageConfig: localStorage('mine', ['a', 'b']),
    });

    // Nothing is stored yet: the documented empty list (contract §1.5).
    const early = await recording.query();
    expect(early.status).toBe(200);
    expect(early.body).toMatchObject({
      cname: 'room',
      uid: '9000',
      resourceId: recording.resourceId,
      sid: recording.sid,
    });
    expect(early.body['serverResponse']).toMatchObject({ fileListMode: 'json', fileList: [], sliceStartTime: 0 });
    const statuses: unknown[] = [];
    const list = await until(
      'status 5',
      async () => {
        const response = (await recording.query()).body['serverResponse'] as Record<string, unknown>;
        if (response['status'] !== statuses.at(-1)) statuses.push(response['status']);
        return response['status'] === 5 && response;
      },
      30_000,
    );
    expect(statuses).toEqual([...statuses].sort());
    expect(list['fileList']).toMatchObject([
      { fileName: `a/b/${recording.sid}_room.m3u8`, uid: '0', mixedAllUser: true },
    ]);
    const live = await qualityOf(recording.sid);
    await until('20 s', () => Date.now() - recording.answeredAtMs > 20_000, 30_000);
    const stoppedAt = performance.now();
    const stopped = await recording.stop();
    const stopMs = performance.now() - stoppedAt;
    expect(stopped.status).toBe(200);
    expect(stopped.body['serverResponse']).toMatchObject({
      uploadingStatus: 'uploaded',
      fileListMode: 'json',
      fileList: [
        { fileName: `a/b/${recording.sid}_room.m3u8`, trackType: 'audio_and_video', isPlayable: true },
        { fileName: `a/b/${recording.sid}_room_0.mp4`, trackType: 'audio_and_video', isPlayable: true },
      ],
    });
    // Clients give a stop 5 to 10 s (contract §6 item 14).
    expect(stopMs).toBeLessThan(5000);

    const dir = join(folder, 'data/recordings/mine/a/b');
    const mp4 = join(dir, `${recording.sid}_room_0.mp4`);
    const playlist = join(dir, `${recording.sid}_room.m3u8`);
    expect(readdirSync(dir).length).toBe(5);
    const quality = await qualityOf(recording.sid);
    expect(storedReport(dir, `${recording.sid}_room`)).toEqual(quality);
    expect(live).toMatchObject({ state: 'recording', endedMs: null });
    expect(quality).toMatchObject({ state: 'final', endReason: 'stopped' });
    expect(quality.machine?.peakRssBytes).toBeGreaterThan(50e6);
    for (const { uid, codec } of PEOPLE) {
      const participant = quality.participants.find((each) => each.uid === uid)!;
      expect(participant.presence).toMatchObject([{ leftMs: null }]);
      expect(participant.codecs.map((each) => each.codec).sort()).toEqual([codec, 'opus'].sort());
      // One clock counts both, and loopback is fast.
      expect(Math.abs(participant.sync!.worstRecordedOffsetMs)).toBeLessThan(100);
      for (const track of participant.tracks) {
        expect(track).toMatchObject({ gaps: [], clock: { source: 'senderReports' } });
        expect(track.reception.lost).toBeLessThan(5);
        expect(track.reception.packets).toBeGreaterThan(500);
      }
    }
    // Told only where it is asked for by name.
    expect(JSON.stringify([stopped.body, await recording.events()])).not.toContain('_report.json');
    expect(judgePlaylist(dir, `${recording.sid}_room.m3u8`).problems).toEqual([]);
    expect(probeFile(mp4)).toMatchObject({ moovFirst: true, video: { width: 640, height: 360, frameRate: 30 } });
    expect(probeFile(mp4).durationS).toBeGreaterThan(19.9);

    const regions = bestFitRegions(2);
    for (const file of [mp4, playlist]) {
      const { views, damaged } = watch(
        file,
        regions.map((rect) => ({ rect })),
      );
      const heard = listen(file);
      expect(damaged).toBe(0);
      PEOPLE.forEach((person, i) => {
        const readings = views[i]!;
        const flashes = flashesIn(readings).map((f) => f.atS);
        const beeps = beepsIn(heard, { toneHz: person.tone }).map((b) => b.atS);
        const seenS = presenceIn(readings, hue(person.hue)).reduce((sum, span) => sum + span.toS - span.fromS, 0);
        expect(seenS).toBeGreaterThan(17);
        expect(blackIn(readings)).toEqual([]);
        expect(flashes.length, flashes.map((t) => t.toFixed(2)).join(' ')).toBeGreaterThanOrEqual(19);
        const offsets = avOffsets(flashes, beeps);
        // A flash at the very end may have its beep cut off.
        expect(offsets.missing.filter((atS) => atS < 19.8)).toEqual([]);
        // The page itself is some 10 ms exact; goals are in bench/.
        expect(Math.abs(offsets.medianMs)).toBeLessThan(60);
        // Nothing is missed after start returned: each full second since then has its flash.
        const firstMs = recording.answeredAtMs;
        const zeroMs = Number((list as { sliceStartTime: number }).sliceStartTime);
        const due = Array.from({ length: 19 }, (_, s) => (Math.ceil(firstMs / 1000) + s) * 1000);
        const missed = due.filter((ms) => !flashes.some((f) => Math.abs(zeroMs + f * 1000 - ms) < 300));
        expect(missed.slice(0, -1)).toEqual([]);
      });
    }

    // A browser plays the MP4 when it has but a part of it, and the playlist across its slices.
    const { context } = browser!;
    const size = { width: 640, height: 360, error: '' };
    expect(await playInBrowser(context, mp4, { share: 0.4 })).toMatchObject(size);
    const played = await playInBrowser(context, playlist, { seekS: 16 });
    expect(played).toMatchObject(size);
    expect(played.durationS).toBeGreaterThan(19.9);

    expect((await recording.query()).body).toMatchObject({ code: 404, reason: 'failed to find worker' });
    expect((await recording.stop()).body).toMatchObject({ code: 404 });
    expect(existsSync(join(folder, 'data/spool', recording.sid))).toBe(false);
  });
});

const PICTURE = { width: 640, height: 360, fps: 30, bitrateKbps: 800 };

/** FFmpeg's own WHIP client, and a client of ours that sends VP8. */
async function publishMade(cname: string): Promise<Publisher[]> {
  const options = (uid: string) => ({ ...server.running.whip(cname, uid), ...PICTURE });
  const publishers = [
    await Publisher.start({ client: 'ffmpeg', options: { ...options('1'), participant: RED } }),
    await Publisher.start({ client: 'rtc', options: { ...options('2'), participant: GREEN, codec: 'vp8' } }),
  ];
  await until('both are there', async () => (await server.participants(cname)).length === 2, 30_000);
  return publishers;
}

/** Someone publishes until the test is over, unless he is stopped before. */
async function publishOne(cname: string, onTestFinished: (end: () => Promise<void>) => void): Promise<Publisher> {
  const media = { participant: RED, codec: 'vp8', width: 320, height: 180, fps: 15, bitrateKbps: 300 } as const;
  const options = { ...server.running.whip(cname, '1'), ...media };
  const publisher = await Publisher.start({ client: 'rtc', options });
  onTestFinished(() => publisher.stop());
  await until('it is there', async () => (await server.participants(cname)).length === 1, 30_000);
  return publisher;
}

describe.concurrent('beside a recording whose stop waits for 20 s', { timeout: 150_000 }, () => {
  test('a bucket that hangs makes a stop answer code 50 after 20 s, and the task goes on', async ({
    onTestFinished,
  }) => {
    const hanging = await HangingServer.start();
    onTestFinished(() => hanging.stop());
    await publishOne('hang', onTestFinished);
    const recording = await server.record('hang', '9000', {
      ...CLIENT,
      storageConfig: {
        vendor: 11,
        region: 0,
        bucket: 'bucket',
        accessKey: 'a',
        secretKey: 's',
        extensionParams: { endpoint: `http://127.0.0.1:${hanging.port}` },
      },
    });
    await until('2 s', () => Date.now() - recording.answeredAtMs > 2000, 5000);
    const calledMs = Date.now();
    const stopped = await recording.stop();
    // By the server's own word, in whole seconds: this process may be judging another recording when it comes.
    const tookS = (Date.parse(stopped.headers.get('date')!) - calledMs) / 1000;
    expect(stopped).toMatchObject({ status: 206, body: { code: 50, reason: 'upload timeout', sid: recording.sid } });
    expect(tookS).toBeGreaterThan(18.5);
    expect(tookS).toBeLessThan(22);
    expect((await recording.query()).body['serverResponse']).toMatchObject({ status: 7 });
    expect((await recording.stop()).body).toMatchObject({ code: 49, reason: 'invalid operation' });
  });

  // One after another.
  describe('others', () => {
    test.sequential('ends by itself when the channel stays empty, and has its files', async ({ onTestFinished }) => {
      const publisher = await publishOne('idle', onTestFinished);
      const recording = await server.record('idle', '9000', {
        ...CLIENT,
        recordingConfig: { ...CLIENT.recordingConfig, maxIdleTime: 5 },
        storageConfig: localStorage('idle'),
      });
      await until('4 s', () => Date.now() - recording.answeredAtMs > 4000, 5000);
      await publisher.stop();
      await until('the task is gone', async () => (await recording.query()).status === 404, 40_000);
      const names = readdirSync(join(folder, 'data/recordings/idle'));
      expect(names).toContain(`${recording.sid}_idle.m3u8`);
      expect(probeFile(join(folder, 'data/recordings/idle', `${recording.sid}_idle_0.mp4`)).durationS).toBeGreaterThan(
        3.5,
      );
      expect((await recording.stop()).status).toBe(404);
    });

    test.sequential('FFmpeg and VP8 publishers into an S3-compatible bucket', async ({ onTestFinished }) => {
      const s3 = await S3Server.start();
      onTestFinished(() => s3.stop());
      s3.addBucket('bucket');
      const publishers = await publishMade('s3');
      onTestFinished(async () => void (await Promise.all(publishers.map((publisher) => publisher.stop()))));
      const recording = await server.record('s3', '9000', {
        ...CLIENT,
        recordingConfig: {
          transcodingConfig: { width: 1280, height: 720, fps: 30, bitrate: 2000, mixedVideoLayout: 1 },
        },
        storageConfig: s3.storage('bucket', { fileNamePrefix: ['dir1', 'dir2'] }),
      });
      await until('6 s', () => Date.now() - recording.answeredAtMs > 6000, 10_000);
      const stopped = await recording.stop();
      expect(stopped.body['serverResponse']).toMatchObject({ uploadingStatus: 'uploaded' });
      const stored = ['.m3u8', '_0.mp4'].map((end) => `dir1/dir2/${recording.sid}_s3${end}`);
      for (const key of stored) expect(s3.objectFiles('bucket').some((name) => name.includes(key))).toBe(true);
      // Another's store gets it when asked for.
      expect(s3.objectFiles('bucket').some((name) => name.includes('report'))).toBe(false);
      expect(await qualityOf(recording.sid)).toMatchObject({ state: 'final' });
      const mp4 = join(folder, 's3.mp4');
      writeFileSync(mp4, s3.read('bucket', `dir1/dir2/${recording.sid}_s3_0.mp4`));
      const verdict = judgeRecording(mp4, {
        participants: [RED, GREEN],
        width: 1280,
        height: 720,
        fps: 30,
        source: { width: 640, height: 360 },
      });
      expect(verdict.problems).toEqual([]);
    });

    test.sequential('an asynchronous stop answers at once, and the files still come', async ({ onTestFinished }) => {
      await publishOne('async', onTestFinished);
      const recording = await server.record('async', '9000', { ...CLIENT, storageConfig: localStorage('async') });
      await until('3 s', () => Date.now() - recording.answeredAtMs > 3000, 5000);
      const stopped = await recording.stop({ async_stop: true });
      expect(stopped).toMatchObject({ status: 200, body: { serverResponse: { uploadingStatus: 'unknown' } } });
      const again = await recording.stop();
      expect([400, 404]).toContain(again.status);
      expect([49, 404]).toContain(again.body['code']);
      const file = join(folder, 'data/recordings/async', `${recording.sid}_async_0.mp4`);
      await until('the file', () => existsSync(file), 30_000);
      expect(probeFile(file).durationS).toBeGreaterThan(2.5);
    });
  });
});

test('a channel nobody enters gives no file, and stop says so', async () => {
  const recording = await server.record('nobody', '9000', { ...CLIENT, storageConfig: localStorage('nobody') });
  expect((await recording.query()).status).toBe(200);
  const stopped = await recording.stop();
  expect(stopped.status).toBe(206);
  expect(stopped.body).toMatchObject({ code: 435, reason: 'no recorded data' });
  expect(await qualityOf(recording.sid)).toMatchObject({ state: 'final', participants: [] });
  expect(existsSync(join(folder, 'data/recordings/nobody', `${recording.sid}_nobody_report.json`))).toBe(false);
});

// What is seen and heard of a recording that loses its recorder or its server is judged by test/chaos.
test('after a crash of the server the recorder finishes its files and the next start stores them', {
  timeout: 150_000,
}, async ({ onTestFinished }) => {
  const publishers = await publishMade('gone');
  const leave = () => {
    for (const publisher of publishers.splice(0)) publisher.kill();
  };
  onTestFinished(leave);
  const recording = await server.record('gone', '9000', {
    ...CLIENT,
    recordingConfig: { ...CLIENT.recordingConfig, maxIdleTime: 5 },
    storageConfig: localStorage('gone'),
  });
  await until('5 s', () => Date.now() - recording.answeredAtMs > 5000, 6000);
  await server.kill();
  leave();
  await server.start();
  const dir = join(folder, 'data/recordings/gone');
  await until(
    'the files',
    () => existsSync(join(dir, `${recording.sid}_gone.m3u8`)) && existsSync(join(dir, `${recording.sid}_gone_0.mp4`)),
    40_000,
  );
  // The report is stored last, and the recording is over once it is.
  await until('the recording is over', async () => (await recording.query()).status === 404, 30_000);
  const quality = await qualityOf(recording.sid);
  expect(quality).toMatchObject({ state: 'final' });
  expect(quality.participants.map(({ uid }) => uid).sort()).toEqual(['1', '2']);
  expect(storedReport(dir, `${recording.sid}_gone`)).toEqual(quality);
  expect(judgePlaylist(dir, `${recording.sid}_gone.m3u8`).problems).toEqual([]);
  expect(probeFile(join(dir, `${recording.sid}_gone_0.mp4`)).durationS).toBeGreaterThan(4);
});
