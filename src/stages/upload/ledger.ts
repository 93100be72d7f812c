import type { ObjectRecord, UploadLedger } from '../../contract/line/objects.ts';

/** A ledger that lasts only as long as the process. */
export function memoryLedger(): UploadLedger {
  const records = new Map<string, ObjectRecord>();
  return {
    known: (name) => records.get(name),
    waiting: () => [...records.values()].filter(({ state }) => state === 'waiting'),
    note: (record) => void records.set(record.name, record),
    settled: async () => undefined,
  };
}
