/**
 * openKeeping: what deletes files of recordings, begun: of those whose time is over, and of persons who are removed.
 */
import { join } from 'node:path';
import { Fault } from '../kernel/fault.ts';
import { clearFiles } from '../stages/spool/clear-files.ts';
import { KeyedJobs } from '../store/jobs.ts';
import { otherFolderOf } from '../store/place-tables.ts';
import { RemovalTables } from '../store/removal-tables.ts';
import { RetentionTables, type RetentionTablesOptions } from '../store/retention-tables.ts';
import { QueuedRuns, type QueuedRunsOptions } from '../worker/queued-runs.ts';
import { Removals, type RemovalsOptions } from './removals.ts';
import { Retentions, type RetentionsOptions } from './retentions.ts';
import { SharedFiles } from './shared-files.ts';

export type OpenKeeping = RetentionTablesOptions &
  Omit<RetentionsOptions, 'tables' | 'jobs' | 'otherQueue' | 'backup' | 'removeCopies'> &
  Pick<RetentionsOptions & RemovalsOptions, 'backup'> &
  Pick<QueuedRunsOptions, 'forks' | 'entry' | 'env'> & {
    dataDir: string;
    /** What must stay free on the disk. */
    reserveBytes: number;
    spool: { pathOf(sid: string): string; remove(sid: string): Promise<void> };
    /** What of recordings was made, or brought here, for somebody to see. */
    copies: readonly { forget(sid: string): Promise<void> }[];
  };

/** A file of speakers of a whole day is copied within minutes. */
const TIMEOUT_MS = 6 * 3_600_000;

/** Close what it resolves to. */
export async function openKeeping(options: OpenKeeping) {
  const { database, vault, folder, inFleet, backup, openTarget, spool, copies, clock, log } = options;
  const { dataDir, reserveBytes, forks, entry, env } = options;
  const tables = { database, vault, folder, inFleet };
  // Queues of its own, as what lies in a folder is deleted by the server that has it.
  const queueOf = (what: string, of: string) => `${what}-${of}`;
  const worksOn = (what: string) => ({
    jobs: new KeyedJobs({ database, queue: queueOf(what, folder), log, clock, parallel: 2 }),
    async otherQueue(sid: string) {
      const other = inFleet ? await otherFolderOf(database, sid, folder) : undefined;
      return other === undefined ? undefined : queueOf(what, other);
    },
  });
  const runs = new QueuedRuns({
    ...{ clock, forks, entry, env, name: 'speaker', args: ['without-speaker'], parallel: 1, timeoutMs: TIMEOUT_MS },
  });
  const forgetCopies = async (sid: string) => {
    for (const copy of copies) await copy.forget(sid);
  };
  const shared = new SharedFiles({
    ...{ root: join(dataDir, 'removals'), reserveBytes },
    withoutSpeaker: async (command, signal) => tracksTold(await runs.run(command, { signal })),
  });
  const retention = new Retentions({
    ...{ tables: new RetentionTables(tables), ...worksOn('retention'), backup, openTarget, clock, log },
    async removeCopies(sid) {
      await spool.remove(sid);
      // Of a removal that its store refused to the end.
      await shared.forget(sid);
      await forgetCopies(sid);
    },
  });
  const removals = new Removals({
    ...{ tables: new RemovalTables(tables), ...worksOn('removals'), backup, openTarget, clock, log },
    shared,
    clearSpool: (sid, isGone) => clearFiles(spool.pathOf(sid), isGone),
    forgetCopies,
  });
  await retention.start();
  await removals.start();
  return {
    retention,
    removals,
    async close() {
      await removals.close();
      await retention.close();
      await runs.close();
    },
  };
}

/** How many tracks the process that takes one out says it has left. Throws a Fault. */
export function tracksTold(lines: readonly string[]): number {
  const [, word, rest = ''] = /^(tracks|unreadable) (.*)$/.exec(lines.at(-1) ?? '') ?? [];
  if (word === 'unreadable') throw new Fault('speakers-unreadable', rest, { blame: 'self' });
  if (word === 'tracks' && /^\d+$/.test(rest)) return Number(rest);
  throw new Fault('speaker-failed', 'its process did not say what it made', { blame: 'self', retryable: true });
}
