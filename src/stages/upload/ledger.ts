import type { ObjectRecord, UploadLedger } from '../../contract/line/objects.ts';

/** A ledger that lasts only as long as the process. */
export function memoryLedger(): UploadLedger {
  const records = new Map<string, ObjectRecord>();
  return {
    known: (name) => records.get(name),
    all: () => [...records.values()],
    note: (record) => void records.set(record.name, record),
    refresh: async () => undefined,
    settled: async () => undefined,
  };
}
