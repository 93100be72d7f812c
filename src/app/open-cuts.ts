/** openCuts: cuts of recordings, made by processes that are forked as those that complete recordings are. */
import { join } from 'node:path';
import type { Recordings } from '../session/recordings.ts';
import { QueuedRuns, type QueuedRunsOptions } from '../worker/queued-runs.ts';
import { CutSources, type CutSourcesOptions } from './cut-sources.ts';
import { Cuts, type CutsOptions } from './cuts.ts';

export type OpenCuts = Pick<CutsOptions, 'owner' | 'reserveBytes' | 'clock' | 'log'> &
  Omit<CutSourcesOptions, 'storageOf'> &
  Pick<QueuedRunsOptions, 'forks' | 'entry' | 'env'> & {
    dataDir: string;
    recordings: Pick<Recordings, 'report' | 'storageOf'>;
  };

/** So many are made at once: each reads and writes as fast as the disk does. */
const PARALLEL = 2;
/** A day's cut takes some minutes. */
const TIMEOUT_MS = 3_600_000;

/** Close what it resolves to; that resolves when no process works any more. */
export async function openCuts({ dataDir, recordings, forks, entry, env, ...options }: OpenCuts): Promise<Cuts> {
  const { clock } = options;
  const runs = new QueuedRuns({
    ...{ clock, forks, entry, env, name: 'cut', args: ['cutter'] },
    ...{ parallel: PARALLEL, timeoutMs: TIMEOUT_MS },
  });
  return Cuts.open({
    ...options,
    dir: join(dataDir, 'cuts'),
    sources: new CutSources({ ...options, storageOf: (sid) => recordings.storageOf(sid) }),
    find: (appid, sid) => recordings.report(appid, sid),
    runs,
  });
}
