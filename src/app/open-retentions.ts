/** openRetentions: what deletes the files of recordings whose time is over, begun. */
import { KeyedJobs } from '../store/jobs.ts';
import { RetentionTables, type RetentionTablesOptions } from '../store/retention-tables.ts';
import { Retentions, type RetentionsOptions } from './retentions.ts';

export type OpenRetentions = RetentionTablesOptions & Omit<RetentionsOptions, 'tables' | 'jobs'>;

/** Close what it resolves to. */
export async function openRetentions({
  database,
  vault,
  folder,
  inFleet,
  ...options
}: OpenRetentions): Promise<Retentions> {
  const { clock, log } = options;
  // A queue of its own, as what lies in a folder is deleted by the server that has it.
  const jobs = new KeyedJobs({ database, queue: `retention-${folder}`, log, clock, parallel: 2 });
  const tables = new RetentionTables({ database, vault, folder, inFleet });
  const retentions = new Retentions({ ...options, tables, jobs });
  await retentions.start();
  return retentions;
}
