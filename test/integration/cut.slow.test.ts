/**
 * Cuts by the whole product: over HTTP while it is being recorded, and by the command line out of an S3-compatible
 * store when it has ended. The MP4s are judged as recordings are.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type CutReply, cutReplySchema } from '../../src/contract/rest/cut.ts';
import { runCommand } from '../support/command.ts';
import { judgeRecording } from '../support/judge/recording.ts';
import { GREEN, RED } from '../support/media/participants.ts';
import { type Publisher, publishWithRtc } from '../support/publish/publisher.ts';
import { S3_KEYS, S3Server } from '../support/s3-server.ts';
import { TestServer, until } from '../support/test-server.ts';

const PICTURE = { width: 640, height: 360, fps: 30 };

let folder: string;
let server: TestServer;
let s3: S3Server;
let settings: Record<string, string>;
const publishers: Publisher[] = [];
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'aircheck-cut-'));
  s3 = await S3Server.start();
  s3.addBucket('bucket');
  settings = {
    AIRCHECK_APP_ID: randomBytes(16).toString('hex'),
    AIRCHECK_CUSTOMER_ID: 'customer',
    AIRCHECK_CUSTOMER_SECRET: 'secret',
  };
  server = new TestServer(join(folder, 'data'), settings);
  await server.start();
  settings = { ...settings, AIRCHECK_DATA_DIR: server.dataDir, AIRCHECK_PORT: new URL(server.baseUrl).port };
}, 60_000);
afterAll(async () => {
  await Promise.all(publishers.map((publisher) => publisher.stop()));
  await server?.end();
  await s3?.stop();
  rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
});

/** Runs a command with the settings of the server. */
const aircheck = (...words: string[]) => runCommand(settings, ...words);

const problemsOf = (path: string, seconds: number) =>
  judgeRecording(path, {
    participants: [RED, GREEN],
    ...PICTURE,
    seconds: { from: seconds - 0.04, to: seconds + 0.04 },
  }).problems;

test('a stretch is cut while it is recorded, and from its store afterwards', { timeout: 150_000 }, async () => {
  for (const [n, participant] of [RED, GREEN].entries())
    publishers.push(
      await publishWithRtc({
        ...server.running.whip('cut', String(n + 1)),
        ...{ ...PICTURE, bitrateKbps: 800, participant, codec: 'h264' },
      }),
    );
  const recording = await server.record('cut', '9000', {
    recordingConfig: { transcodingConfig: { ...PICTURE, bitrate: 1000, mixedVideoLayout: 1 } },
    recordingFileConfig: { avFileType: ['hls'] },
    storageConfig: s3.storage('bucket', { fileNamePrefix: ['dir'] }),
  });
  await until('20 s', () => Date.now() - recording.answeredAtMs > 20_000, 25_000);

  const cuts = `/aircheck/recordings/${recording.sid}/cuts`;
  const begun = await server.call('POST', cuts, { from: 12.5, to: 16.5 });
  expect(begun).toMatchObject({ status: 201 });
  let cut: CutReply = cutReplySchema.parse(begun.body);
  await until(
    'the cut is done',
    async () => {
      cut = cutReplySchema.parse((await server.call('GET', `${cuts}/${cut.cutId}`)).body);
      return cut.state === 'done' || cut.state === 'failed';
    },
    30_000,
  );
  expect(cut).toMatchObject({ state: 'done', error: null });
  const credentials = `Basic ${Buffer.from('customer:secret').toString('base64')}`;
  const brought = await fetch(new URL(cut.file!, server.baseUrl), { headers: { authorization: credentials } });
  const live = join(folder, 'live.mp4');
  writeFileSync(live, Buffer.from(await brought.arrayBuffer()));
  expect(problemsOf(live, 4)).toEqual([]);

  expect((await recording.stop()).body['serverResponse']).toMatchObject({ uploadingStatus: 'uploaded' });
  const stored = join(folder, 'stored.mp4');
  const words = ['cut', recording.sid, '--from', '4', '--to', '+0:17.5', '-o', stored, '--quiet'];
  const keyless = await aircheck(...words);
  expect(keyless.code).toBe(1);
  expect(keyless.stderr).toMatch(/keys/);
  const keys = join(folder, 'keys.json');
  writeFileSync(keys, JSON.stringify(S3_KEYS));
  expect(await aircheck(...words, '--keys', keys)).toEqual({ code: 0, stdout: `${stored}\n`, stderr: '' });
  expect(problemsOf(stored, 13.5)).toEqual([]);
});
