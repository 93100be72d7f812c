import { expect, test } from 'vitest';
import { ManualClock } from '../../test/support/manual-clock.ts';
import { planOf } from '../../test/support/scripted-recording.ts';
import { createLog } from '../observe/log.ts';
import type { AppsSnapshot, Metrics, ServerSnapshot } from '../observe/metrics.ts';
import { type MetricsSourceOptions, metricsSource } from './metrics-source.ts';

const [OURS, THEIRS] = ['1'.repeat(32), '2'.repeat(32)];
const clock = new ManualClock();
const plan = planOf();
const pong = { type: 'pong', atMs: 0, generation: 1, n: 1, rssBytes: 100, cpuUs: 50, lagUs: 7 } as const;

/** A server's parts, and what metrics were told of them. */
function scene(over: Partial<MetricsSourceOptions> = {}) {
  const told: { apps: AppsSnapshot; server?: ServerSnapshot }[] = [];
  const source = metricsSource({
    metrics: {
      ofServer: async (apps: AppsSnapshot, server: ServerSnapshot) => void told.push({ apps, server }),
      ofApps: async (apps: AppsSnapshot) => void told.push({ apps }),
    } as unknown as Metrics,
    recordings: () => [
      { sid: 'a', appid: OURS, mode: 'mix', phase: 'recording', isRunning: true },
      { sid: 'b', appid: THEIRS, mode: 'individual', phase: 'uploading', isRunning: false },
    ],
    atWork: () => new Map([['a', { plan, pong, seen: { cores: 0.5, bytes: 1 } }]]),
    rooms: {
      held: { rooms: 2, places: 3, feeds: 1, bytes: 99 },
      droppedPackets: 4,
      // The second is of a recording that has ended meanwhile.
      backlogs: () => [
        { sid: 'a', appid: OURS, backlogAgeUs: 5 },
        { sid: 'gone', appid: OURS, backlogAgeUs: 6 },
      ],
    },
    reception: { received: 10, lost: 1, recovered: 2 },
    disk: { seen: { bytes: 1, freeBytes: 2, sizeBytes: 3 } },
    cores: () => 2,
    objects: {
      backlogTotals: async () => [
        { place: 'spool', files: 2, bytes: 30, sinceMs: clock.nowMs() - 5000 },
        { place: 'backup', files: 0, bytes: 0, sinceMs: undefined },
      ],
    },
    outbox: { pendingTotal: async () => ({ pending: 1, sinceMs: clock.nowMs() - 1000 }) },
    mixes: { counts: async () => ({ queued: 3, running: 1 }) },
    process: { snapshot: () => ({}) as never },
    clock,
    log: createLog('silent'),
    ...over,
  });
  return { source, told };
}

test('the operator is told of everything', async () => {
  const { source, told } = scene();
  await source.ofServer();
  const { apps, server } = told[0]!;
  expect(apps.recordings).toEqual([
    { appid: OURS, mode: 'mix', state: 'recording' },
    { appid: THEIRS, mode: 'individual', state: 'uploading' },
  ]);
  expect(apps.feeds).toEqual([{ sid: 'a', appid: OURS, mode: 'mix', backlogAgeUs: 5 }]);
  expect(server).toMatchObject({
    channel: { publishers: 3, channels: 2, keptBytes: 99, droppedPackets: 4 },
    load: 0.25,
    stored: {
      uploads: [
        { place: 'spool', files: 2, bytes: 30, oldestS: 5 },
        { place: 'backup', files: 0, bytes: 0, oldestS: 0 },
      ],
      webhooks: { pending: 1, oldestS: 1 },
      mixes: { queued: 3, running: 1 },
    },
  });
});

test('a customer is told of the recordings of its apps alone', async () => {
  const { source, told } = scene();
  await source.ofApps([THEIRS]);
  expect(told).toEqual([
    { apps: { recordings: [{ appid: THEIRS, mode: 'individual', state: 'uploading' }], recorders: [], feeds: [] } },
  ]);
});

test('a database that hangs or fails holds no scrape up', async () => {
  const failing = scene({ outbox: { pendingTotal: () => Promise.reject(new Error('away')) } });
  await failing.source.ofServer();
  expect(failing.told[0]?.server?.stored).toBeUndefined();

  const hanging = scene({ objects: { backlogTotals: () => new Promise(() => {}) } });
  const scrape = hanging.source.ofServer();
  clock.advance(2000);
  await scrape;
  expect(hanging.told[0]?.server?.stored).toBeUndefined();
});
