/**
 * `aircheck publish camera` into a real server, and the recording of it judged: colour, flashes and beeps of the same
 * moments, and Ctrl-C. The devices are FFmpeg's own, which need no hardware; see camera-process.ts.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { avOffsets, missingSeconds } from '../support/judge/offsets.ts';
import { findFlashes } from '../support/judge/picture.ts';
import { findBeeps } from '../support/judge/sound.ts';
import { localStorage, TestServer, until } from '../support/test-server.ts';

const PROGRAM = join(import.meta.dirname, '../support/camera-process.ts');
const SIZE = { width: 320, height: 180 };
const RECORDED_MS = 8_000;

test('picture and sound of devices arrive together, and Ctrl-C ends it in order', { timeout: 90_000 }, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'aircheck-camera-'));
  onTestFinished(() => rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 }));
  const credentials = {
    ...{ AIRCHECK_APP_ID: 'a'.repeat(32), AIRCHECK_APP_CERTIFICATE: 'b'.repeat(32) },
    ...{ AIRCHECK_CUSTOMER_ID: 'customer', AIRCHECK_CUSTOMER_SECRET: 'a secret' },
  };
  const server = new TestServer(join(folder, 'data'), credentials);
  onTestFinished(() => server.end());
  await server.start();
  const clean = Object.entries(process.env).filter(([name]) => !name.startsWith('AIRCHECK_'));
  const place = { AIRCHECK_DATA_DIR: server.dataDir, AIRCHECK_PORT: new URL(server.baseUrl).port };
  const words = { channel: 'room', uid: '1', size: '320x180', fps: '30', bitrate: '400', json: true };
  const publisher = spawn(process.execPath, [PROGRAM, JSON.stringify(words)], {
    env: { ...Object.fromEntries(clean), ...credentials, ...place },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  onTestFinished(() => void publisher.kill('SIGKILL'));
  const gone = once(publisher, 'exit');
  let [said, printed] = ['', ''];
  publisher.stderr.setEncoding('utf8').on('data', (text) => {
    said += text;
  });
  publisher.stdout.setEncoding('utf8').on('data', (text) => {
    printed += text;
  });
  await until('it publishes', () => said.includes('publishes in room') || publisher.exitCode !== null, 30_000);
  expect([said, publisher.exitCode]).toEqual([expect.stringContaining('publishes in room'), null]);

  const recording = await server.record('room', '9000', {
    recordingConfig: { transcodingConfig: { ...SIZE, fps: 30, bitrate: 500, mixedVideoLayout: 1 } },
    recordingFileConfig: { avFileType: ['hls', 'mp4'] },
    storageConfig: localStorage('camera'),
  });
  await until('8 s', () => Date.now() - recording.answeredAtMs > RECORDED_MS, RECORDED_MS + 5_000);
  expect((await recording.stop()).body['serverResponse']).toMatchObject({ uploadingStatus: 'uploaded' });
  expect(await server.participants('room')).toHaveLength(1);
  publisher.kill('SIGINT');
  expect(await gone).toEqual([0, null]);
  // It has left the channel itself: no one has to find out that nothing comes any more.
  expect(await server.participants('room')).toEqual([]);
  expect(JSON.parse(printed)).toEqual({
    ...{ channel: 'room', uid: '1', sentS: expect.closeTo(10, -1) },
    ...{ camera: expect.stringMatching(/^color=c=red/), sound: expect.stringMatching(/^sine=/) },
  });

  const file = join(server.dataDir, 'recordings/camera', `${recording.sid}_room_0.mp4`);
  const flashes = findFlashes(file, { x: 0, y: 0, ...SIZE }).map(({ atS }) => atS);
  const beeps = findBeeps(file, { toneHz: 880 }).map(({ atS }) => atS);
  expect(flashes.length).toBeGreaterThan(5);
  expect(missingSeconds(flashes)).toEqual([]);
  expect(missingSeconds(beeps)).toEqual([]);
  // A flash may be late by a frame of the camera, half of one that is sent, and one of the recording; a beep by 10 ms.
  const { medianMs } = avOffsets(flashes, beeps, 0.95);
  expect(medianMs).toBeGreaterThan(-90);
  expect(medianMs).toBeLessThan(30);
});
