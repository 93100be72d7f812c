import { spawnSync } from 'node:child_process';
import { expect, test } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { CATALOG } from './catalog.ts';
import { type AppsSnapshot, Metrics, type ServerSnapshot } from './metrics.ts';
import { ProcessWatch } from './process-watch.ts';

const [SID_A, SID_B, APP] = ['a'.repeat(32), 'b'.repeat(32), '1'.repeat(32)];
const APPS: AppsSnapshot = {
  recordings: [
    { appid: APP, mode: 'mix', state: 'recording' },
    { appid: APP, mode: 'mix', state: 'recording' },
    { appid: APP, mode: 'individual', state: 'uploading' },
  ],
  recorders: [
    { sid: SID_A, appid: APP, mode: 'mix', depth: 3, lagUs: 1_250_000, cpuUs: 2_500_000, memoryBytes: 1e8 },
    { sid: SID_B, appid: APP, mode: 'individual', depth: undefined, lagUs: 0, cpuUs: 1e6, memoryBytes: 9e7 },
  ],
  feeds: [{ sid: SID_A, appid: APP, mode: 'mix', backlogAgeUs: 250_000 }],
};
const SERVER: ServerSnapshot = {
  feedsBetweenNodes: { given: 2, taken: 1 },
  standbys: { recorders: 2, lagSlices: 1, bytes: 7_000 },
  channel: { publishers: 3, channels: 2, keptBytes: 4096, droppedPackets: 5 },
  reception: { received: 1000, lost: 7, recovered: 11 },
  spool: { bytes: 10, freeBytes: 20, sizeBytes: 30 },
  load: 0.5,
  stored: {
    uploads: [
      { place: 'spool', files: 2, bytes: 300, oldestS: 1.5 },
      { place: 'backup', files: 0, bytes: 0, oldestS: 0 },
    ],
    webhooks: { pending: 4, oldestS: 60 },
    standbys: { protected: 3, exposed: 1 },
    mixes: { queued: 4, running: 1 },
  },
  process: {
    ...{ version: '1.2.3', node: 'v24.0.0', cpuS: 1, residentBytes: 2, heapBytes: 3, startedS: 4 },
    ...{ loopP99S: 0.001, loopMaxS: 0.002 },
  },
};

const samplesOf = (text: string) => text.split('\n').filter((line) => line !== '' && !line.startsWith('#'));

/** One of which everything has happened. */
function used(): Metrics {
  const metrics = new Metrics();
  metrics.recordingStarted('mix', 0.3);
  metrics.recordingEnded('mix', false);
  metrics.runLost('web');
  metrics.degraded('mix', 'rung', 1);
  metrics.degraded('mix', 'damage', 3);
  metrics.feedBroken();
  metrics.placedElsewhere();
  metrics.standbyTookOver('individual');
  for (const outcome of ['drawn', 'drawn', 'refused'] as const) metrics.thumbnailAsked(outcome);
  metrics.leaseRenewed(0.004);
  metrics.leaseRenewalFailed();
  return metrics;
}

test('what is known of recordings: each recorder has its samples, and one without a picture no rung', async () => {
  const [a, b] = [`{sid="${SID_A}",mode="mix"}`, `{sid="${SID_B}",mode="individual"}`];
  expect(samplesOf(await new Metrics().ofApps(APPS))).toEqual([
    'aircheck_recordings{mode="mix",state="recording"} 2',
    'aircheck_recordings{mode="individual",state="uploading"} 1',
    `aircheck_recorder_rung${a} 3`,
    `aircheck_recorder_lag_seconds${a} 1.25`,
    `aircheck_recorder_lag_seconds${b} 0`,
    `aircheck_recorder_cpu_seconds_total${a} 2.5`,
    `aircheck_recorder_cpu_seconds_total${b} 1`,
    `aircheck_recorder_memory_bytes${a} 100000000`,
    `aircheck_recorder_memory_bytes${b} 90000000`,
    `aircheck_feed_backlog_seconds${a} 0.25`,
  ]);
});

test('a scrape of the whole has every metric of the catalog, and no other', async () => {
  const text = await used().ofServer(APPS, SERVER);
  const announced = [...text.matchAll(/^# TYPE (\S+) (\S+)$/gm)].map(([, name, kind]) => `${name} ${kind}`);
  expect(announced.toSorted()).toEqual(
    Object.values(CATALOG)
      .map(({ name, kind }) => `${name} ${kind}`)
      .toSorted(),
  );
  const samples = samplesOf(text);
  for (const wanted of [
    'aircheck_recordings_ended_total{mode="mix",outcome="failed"} 1',
    'aircheck_recording_degradations_total{mode="mix",kind="damage"} 3',
    'aircheck_recording_start_duration_seconds_bucket{le="0.5",mode="mix"} 1',
    'aircheck_recording_start_duration_seconds_bucket{le="0.2",mode="mix"} 0',
    'aircheck_rtp_packets_lost_total 7',
    'aircheck_upload_backlog_oldest_seconds{place="spool"} 1.5',
    'aircheck_webhooks_oldest_pending_seconds 60',
    'aircheck_standby_recordings{state="protected"} 3',
    'aircheck_standby_takeovers_total{mode="individual"} 1',
    'aircheck_mixes{state="queued"} 4',
    'aircheck_thumbnails_total{outcome="drawn"} 2',
    'aircheck_build_info{version="1.2.3",node="v24.0.0"} 1',
    'aircheck_database_up 1',
  ])
    expect(samples).toContain(wanted);
});

test('what only the database knows is left out while it is away, not told as 0', async () => {
  const samples = samplesOf(await used().ofServer(APPS, { ...SERVER, stored: undefined }));
  expect(samples).toContain('aircheck_database_up 0');
  expect(samples.filter((line) => /^aircheck_(webhook|upload|mixes)/.test(line))).toEqual([]);
});

test('a customer of some apps is told nothing of the server', async () => {
  const names = Object.values(CATALOG).filter((about) => !('ofApps' in about));
  const text = await used().ofApps(APPS);
  expect(names.filter(({ name }) => text.includes(name))).toEqual([]);
});

test('a process that was held up says for how long, and forgets it with the scrape', async () => {
  const watch = new ProcessWatch(new ManualClock());
  expect(watch.snapshot()).toMatchObject({ loopMaxS: 0, node: process.version });
  // The timer has its first moment, and then its next one late.
  await new Promise((resolve) => setTimeout(resolve, 120));
  const untilMs = performance.now() + 300;
  while (performance.now() < untilMs);
  await new Promise((resolve) => setTimeout(resolve, 120));
  const { loopMaxS, loopP99S } = watch.snapshot();
  expect(loopMaxS).toBeGreaterThan(0.2);
  expect(loopP99S).toBeLessThanOrEqual(loopMaxS);
  const later = watch.snapshot();
  expect(later.loopMaxS).toBeLessThan(loopMaxS);
  watch.close();
});

const promtool = spawnSync('promtool', ['--version']).status === 0;
test.runIf(promtool)('Prometheus’ own tool finds nothing to blame', async () => {
  const text = await used().ofServer(APPS, SERVER);
  const { status, stdout, stderr } = spawnSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' });
  expect(`${stdout}${stderr}`).toBe('');
  expect(status).toBe(0);
});
