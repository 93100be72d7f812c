/** A run of a task as its row keeps it. */
import type { FormerRun, RunRecord } from '../session/run-record.ts';
import type { Row } from './database.ts';

/** @param folder the data folder of the server that asks; rows of before there were fleets are always of that */
export function toRun(row: Row, folder: string): FormerRun {
  const optional = (name: string) => (row[name] === null ? undefined : Number(row[name]));
  const pid = optional('pid');
  const elsewhere = row['folder'] === null || row['folder'] === folder ? undefined : String(row['folder']);
  return {
    generation: Number(row['generation']),
    kind: row['kind'] === 'complete' ? 'complete' : 'record',
    phase: row['phase'] as RunRecord['phase'],
    process:
      pid === undefined
        ? undefined
        : {
            pid,
            startTicks: optional('process_started'),
            bootId: row['boot_id'] === null ? undefined : String(row['boot_id']),
          },
    startedMs: Number(row['started_ms']),
    endedMs: optional('ended_ms'),
    why: row['why'] === null ? undefined : String(row['why']),
    ...(elsewhere !== undefined && { elsewhere }),
  };
}
