/**
 * A real recorder whose core somebody else wants as well: what becomes of the file, and who is told.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { type QualityReport, qualityReportSchema } from '../../src/contract/line/quality-report.ts';
import { missingSeconds } from '../support/judge/offsets.ts';
import { probeFile } from '../support/judge/probe.ts';
import { beepsIn, dropoutsIn, listen } from '../support/judge/sound.ts';
import { watch } from '../support/judge/watch.ts';
import { RED } from '../support/media/participants.ts';
import { recorderOf } from '../support/processes.ts';
import { Publisher } from '../support/publish/publisher.ts';
import { localStorage, type TestRecording, TestServer, until } from '../support/test-server.ts';

// Small enough for any machine that has its core to itself.
const CANVAS = { width: 640, height: 360, fps: 30, bitrate: 800, mixedVideoLayout: 1 };
const CLIENT = {
  recordingConfig: { channelType: 1, maxIdleTime: 30, transcodingConfig: CANVAS },
  recordingFileConfig: { avFileType: ['hls', 'mp4'] },
};
/** The core that the recorder shares with the others. */
const CORE = '0';
const HOGS = 20;

/** So many processes that want all of a core; each ends by itself after a minute. */
function loadCore(): ChildProcess[] {
  const busy = 'const end = Date.now() + 60_000; while (Date.now() < end) {}';
  // Each in a session of its own: a system that shares cores out by session does so by hog then.
  return Array.from({ length: HOGS }, () =>
    spawn('taskset', ['-c', CORE, process.execPath, '-e', busy], { stdio: 'ignore', detached: true }),
  );
}

test('a recorder that is starved loses pictures and no sound, says so, and comes back', {
  timeout: 150_000,
}, async () => {
  const folder = mkdtempSync(join(tmpdir(), 'aircheck-starved-'));
  const server = new TestServer(join(folder, 'data'));
  let hogs: ChildProcess[] = [];
  const free = () => {
    for (const hog of hogs.splice(0)) hog.kill('SIGKILL');
  };
  onTestFinished(async () => {
    free();
    await server.end();
    rmSync(folder, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  });
  await server.start();
  const media = { participant: RED, codec: 'vp8', width: 640, height: 360, fps: 30, bitrateKbps: 800 } as const;
  const publisher = await Publisher.start({
    client: 'rtc',
    options: { ...server.running.whip('room', '1'), ...media },
  });
  onTestFinished(() => publisher.stop());
  await until('it is there', async () => (await server.participants('room')).length === 1, 10_000);
  const recording = await server.record('room', '9', { ...CLIENT, storageConfig: localStorage('b') });
  const seconds = () => (Date.now() - recording.calledAtMs) / 1000;
  await until('a few seconds', () => seconds() > 5, 10_000);

  const { pid: recorder } = recorderOf(server.dataDir, recording.sid)!;
  execFileSync('taskset', ['-a', '-p', '-c', CORE, String(recorder)]);
  hogs = loadCore();
  await until('frames are left out', async () => (await depths(recording)).some((depth) => depth >= 3), 50_000);
  const metrics = await metricsOf(server);
  for (const sample of [
    `aircheck_recorder_rung{sid="${recording.sid}",mode="mix"} [1-6]`,
    `aircheck_recorder_cpu_seconds_total{sid="${recording.sid}",mode="mix"} .*[1-9].*`,
    `aircheck_feed_backlog_seconds{sid="${recording.sid}",mode="mix"} \\S+`,
    'aircheck_recordings{mode="mix",state="recording"} 1',
    'aircheck_recording_start_duration_seconds_count{mode="mix"} 1',
    'aircheck_recording_degradations_total{mode="mix",kind="rung"} [1-9]',
    'aircheck_publishers 1',
    'aircheck_rtp_packets_received_total \\d{3,}',
  ])
    expect(metrics).toMatch(new RegExp(`^${sample}$`, 'm'));
  const starvedS = seconds();
  free();
  execFileSync('taskset', ['-a', '-p', 'ff', String(recorder)]);
  await until('every frame is made', async () => (await depths(recording)).at(-1)! < 3, 60_000);
  const backS = seconds();
  await until('some more', () => seconds() > backS + 4, 10_000);
  await recording.stop();

  const path = join(folder, 'data/recordings/b', `${recording.sid}_room_0.mp4`);
  const heard = listen(path);
  // The last packets before a stop may still be on their way.
  const endS = probeFile(path).audio!.endS - 0.1;
  expect(dropoutsIn(heard, RED.toneHz).filter(({ fromS }) => fromS < endS)).toEqual([]);
  const beeps = beepsIn(heard, { toneHz: RED.toneHz }).map(({ atS }) => atS);
  expect(missingSeconds(beeps)).toEqual([]);
  expect(beeps.length).toBeGreaterThan(backS);
  const { views, damaged } = watch(path, [{ rect: { x: 0, y: 0, width: 1, height: 1 } }]);
  expect(damaged).toBe(0);
  const rate = (fromS: number, toS: number) =>
    views[0]!.filter(({ atS }) => atS >= fromS && atS < toS).length / (toS - fromS);
  const starved = Array.from({ length: Math.floor(backS) - 5 }, (_, n) => rate(4 + n, 6 + n));
  expect(rate(1, 4)).toBeGreaterThan(28);
  expect(Math.min(...starved)).toBeLessThan(16);
  expect(rate(backS + 1, backS + 3)).toBeGreaterThan(28);

  const { overload } = await reportOf(server, recording.sid);
  const told = (await recording.events()).filter(({ eventType }) => eventType === 9002);
  expect(overload!.steps.map(({ rung }) => rung)).toEqual(
    told.map(({ payload }) => (payload.details as unknown as { rung: string }).rung),
  );
  const first = overload!.steps.find(({ rung }) => rung === 'halfRate')!;
  expect(first.atMs / 1000).toBeLessThan(starvedS + 2);
  expect(overload!.leftOutFrames).toBeGreaterThan(10);
  // As many as the file lacks of all frames there could be.
  const places = Math.round(views[0]!.at(-1)!.atS * 30) + 1;
  expect(places - views[0]!.length).toBe(overload!.leftOutFrames);
});

async function depths(recording: TestRecording): Promise<number[]> {
  const events = await recording.events();
  return events.flatMap(({ eventType, payload }) =>
    eventType === 9002 ? [(payload.details as unknown as { depth: number }).depth] : [],
  );
}

async function metricsOf(server: TestServer): Promise<string> {
  const { url, customerId, customerSecret } = server.running;
  const authorization = `Basic ${Buffer.from(`${customerId}:${customerSecret}`).toString('base64')}`;
  return (await fetch(`${url}/metrics`, { headers: { authorization } })).text();
}

async function reportOf(server: TestServer, sid: string): Promise<QualityReport> {
  const { body } = await server.call('GET', `/aircheck/recordings/${sid}`);
  return qualityReportSchema.parse(body['quality']);
}
