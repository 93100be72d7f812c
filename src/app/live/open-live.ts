/** openLive: what it takes to watch recordings, put together. */
import { join } from 'node:path';
import type { Config } from '../../config/load.ts';
import type { LiveApi } from '../../http/live.ts';
import { WatchTokens } from '../../http/watch-tokens.ts';
import type { Clock } from '../../kernel/clock.ts';
import type { SessionLog, SpoolPort } from '../../session/ports.ts';
import type { Recordings } from '../../session/recordings.ts';
import { CutSources, type CutSourcesOptions } from '../cut-sources.ts';
import { secretKeys } from '../secret-key.ts';
import { LiveRecordings } from './live-recordings.ts';

export type OpenLive = Omit<CutSourcesOptions, 'storageOf' | 'spool'> & {
  config: Config;
  spool: Pick<SpoolPort, 'read' | 'runs'>;
  recordings: Pick<Recordings, 'report' | 'storageOf' | 'watched'>;
  clock: Clock;
  log: SessionLog;
};

export type OpenedLive = { api: LiveApi; forget: LiveRecordings['forget']; close(): Promise<void> };

/** Part of the time that a node which carries a request waits for its answer. */
const WAIT_SHARE = 0.75;

export async function openLive(options: OpenLive): Promise<OpenedLive> {
  const { config, spool, recordings, clock, log } = options;
  const live = await LiveRecordings.open({
    ...{ dir: join(config.dataDir, 'live'), spool, clock, log },
    sources: new CutSources({ ...options, storageOf: (sid) => recordings.storageOf(sid) }),
    find: (appid, sid) => recordings.watched(appid, sid),
    findPast: (appid, sid) => recordings.report(appid, sid),
    waitMs: config.callTimeoutMs * WAIT_SHARE,
  });
  const tokens = new WatchTokens({ keys: secretKeys(config.dataDir, config), clock, lifeS: config.watchTokenS });
  return {
    api: { recordings: live, tokens, origins: config.watchOrigins },
    forget: (sid) => live.forget(sid),
    close: () => live.close(),
  };
}
