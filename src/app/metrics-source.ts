/**
 * MetricsSource of a running server: asks its parts at each scrape.
 */
import type { Rooms } from '../channel/room/rooms.ts';
import type { ReceptionTally } from '../channel/whip/encoding-feedback.ts';
import type { MetricsSource } from '../http/metrics.ts';
import { type Clock, within } from '../kernel/clock.ts';
import { messageOf } from '../kernel/fault.ts';
import type { AppsSnapshot, Metrics, StandbySnapshot, StoredSnapshot } from '../observe/metrics.ts';
import type { ProcessWatch } from '../observe/process-watch.ts';
import type { HeldTask } from '../session/held-tasks.ts';
import type { SessionLog } from '../session/ports.ts';
import type { ObjectTables } from '../store/object-tables.ts';
import type { OutboxTables } from '../store/outbox-tables.ts';
import { loadOf } from '../worker/cost.ts';
import type { DiskWatch } from '../worker/disk-watch.ts';
import type { AtWork } from '../worker/supervisor.ts';
import type { Mixes } from './mixes/mixes.ts';
import { recorderSamples } from './recorder-samples.ts';

export type MetricsSourceOptions = {
  metrics: Metrics;
  recordings(): readonly HeldTask[];
  atWork(): ReadonlyMap<string, AtWork>;
  rooms: Pick<Rooms, 'held' | 'backlogs' | 'droppedPackets'>;
  reception: Readonly<ReceptionTally>;
  disk: Pick<DiskWatch, 'seen'>;
  /** Feeds between the nodes of a fleet; undefined outside of one. */
  feedsBetweenNodes?(): { given: number; taken: number } | undefined;
  /** What second recorders here keep, and how many recordings here have one; undefined outside of a fleet. */
  standbys?(): { held: StandbySnapshot; counts(): Promise<{ protected: number; exposed: number }> } | undefined;
  /** How many cores recorders may use. */
  cores(): number;
  objects: Pick<ObjectTables, 'backlogTotals'>;
  outbox: Pick<OutboxTables, 'pendingTotal'>;
  mixes: Pick<Mixes, 'counts'>;
  process: Pick<ProcessWatch, 'snapshot'>;
  clock: Clock;
  log: SessionLog;
};

/** A scrape waits no longer for the database; Prometheus gives up a scrape after 10 s by default. */
const DATABASE_MS = 2_000;
const STATES = { new: 'starting', recording: 'recording', stopping: 'stopping', uploading: 'uploading' } as const;

export function metricsSource(options: MetricsSourceOptions): MetricsSource {
  const { metrics, rooms, reception, disk, process } = options;
  return {
    async ofServer() {
      const stored = await readStored(options);
      const { rooms: channels, places: publishers, bytes: keptBytes } = rooms.held;
      return metrics.ofServer(
        appsSnapshot(options, () => true),
        {
          channel: { publishers, channels, keptBytes, droppedPackets: rooms.droppedPackets },
          feedsBetweenNodes: options.feedsBetweenNodes?.(),
          standbys: options.standbys?.()?.held,
          reception,
          spool: disk.seen,
          load: loadOf(options.atWork().values()).cores / options.cores(),
          stored,
          process: process.snapshot(),
        },
      );
    },
    ofApps: (apps) => metrics.ofApps(appsSnapshot(options, (appid) => apps.includes(appid))),
  };
}

function appsSnapshot(
  { recordings, atWork, rooms }: MetricsSourceOptions,
  isSeen: (appid: string) => boolean,
): AppsSnapshot {
  const seen = recordings().filter(({ appid }) => isSeen(appid));
  const modes = new Map(seen.map(({ sid, mode }) => [sid, mode]));
  return {
    recordings: seen.flatMap(({ appid, mode, phase }) =>
      phase === 'ended' ? [] : [{ appid, mode, state: STATES[phase] }],
    ),
    recorders: recorderSamples(seen, atWork()),
    feeds: rooms.backlogs().flatMap((feed) => {
      const mode = modes.get(feed.sid);
      return mode === undefined ? [] : [{ ...feed, mode }];
    }),
  };
}

/** Undefined where the database does not answer. */
async function readStored(options: MetricsSourceOptions): Promise<StoredSnapshot | undefined> {
  const { objects, outbox, mixes, clock, log } = options;
  const reading = Promise.all([
    objects.backlogTotals(),
    outbox.pendingTotal(),
    options.standbys?.()?.counts(),
    mixes.counts(),
  ]);
  const late = () => new Error(`the database did not answer within ${DATABASE_MS} ms`);
  try {
    const [uploads, { pending, sinceMs }, standbys, counts] = await within(clock, DATABASE_MS, reading, late);
    const ageS = (ms: number | undefined) => (ms === undefined ? 0 : Math.max(0, clock.nowMs() - ms) / 1000);
    return {
      uploads: uploads.map(({ sinceMs, ...total }) => ({ ...total, oldestS: ageS(sinceMs) })),
      webhooks: { pending, oldestS: ageS(sinceMs) },
      standbys,
      mixes: counts,
    };
  } catch (error) {
    log.debug({ error: messageOf(error) }, 'metrics without what the database knows');
    return undefined;
  }
}
