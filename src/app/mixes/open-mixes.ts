/** openMixes: mixes of recordings, made by processes that are forked as those that complete recordings are. */
import { join } from 'node:path';
import type { Config } from '../../config/load.ts';
import type { Recordings } from '../../session/recordings.ts';
import { MixTables, type MixTablesOptions } from '../../store/mix-tables.ts';
import { QueuedRuns, type QueuedRunsOptions } from '../../worker/queued-runs.ts';
import { CutSources, type CutSourcesOptions } from '../cut-sources.ts';
import { Mixes, type MixesOptions } from './mixes.ts';

export type OpenMixes = MixTablesOptions &
  Pick<MixesOptions, 'clock' | 'log'> &
  Omit<CutSourcesOptions, 'storageOf'> &
  Pick<QueuedRunsOptions, 'forks' | 'entry' | 'env'> & {
    config: Pick<Config, 'dataDir' | 'mixParallel' | 'mixKeepHours' | 'mixTotalMb' | 'spoolReserveMb'>;
    recordings: Pick<Recordings, 'report' | 'storageOf'>;
  };

/** A day of many users takes some hours on a machine that has little to spare. */
const TIMEOUT_MS = 24 * 3_600_000;

/** Start what it returns, and close it; that resolves when no process works any more. */
export function openMixes({ config, recordings, forks, entry, env, ...options }: OpenMixes): Mixes {
  const { clock } = options;
  const parallel = config.mixParallel;
  return new Mixes({
    ...options,
    tables: new MixTables(options),
    dir: join(config.dataDir, 'mixes'),
    sources: new CutSources({ ...options, storageOf: (sid) => recordings.storageOf(sid) }),
    find: (appid, sid) => recordings.report(appid, sid),
    runs: new QueuedRuns({
      ...{ clock, forks, entry, env, name: 'mix', args: ['mixer'] },
      ...{ parallel, timeoutMs: TIMEOUT_MS },
    }),
    ...{ parallel, keepMs: config.mixKeepHours * 3_600_000 },
    totalBytes: config.mixTotalMb * 1_000_000,
    reserveBytes: config.spoolReserveMb * 1_000_000,
  });
}
