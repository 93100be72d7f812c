/**
 * Mending: gives what nodes brought back late its place in recordings that have ended (ADR 0027). The playlists, the
 * manifest and the report are made again, from what the database knows of all files.
 */
import type { ObjectRecord, UploadLedger } from '../contract/line/objects.ts';
import type { QualityReport } from '../contract/line/quality-report.ts';
import type { StorageConfig } from '../contract/line/storage.ts';
import type { Stretch } from '../contract/line/stretches.ts';
import type { Clock } from '../kernel/clock.ts';
import type { SpooledFile } from '../media/segment.ts';
import type { Log } from '../observe/log.ts';
import { attendedOf } from '../pipeline/individual/attendance.ts';
import { countedThrough, manifestOf } from '../pipeline/individual/manifest.ts';
import { withBrought } from '../pipeline/report/brought-report.ts';
import { stretchesOf } from '../session/run-record.ts';
import { renderMpd } from '../stages/mux/dash/mpd.ts';
import { renderPlaylist } from '../stages/mux/hls/playlist.ts';
import { baseName, documentName, reportName } from '../stages/mux/names.ts';
import { PersistentPut } from '../stages/upload/persistent-put.ts';
import { RecordingUpload } from '../stages/upload/recording-upload.ts';
import type { Target } from '../stages/upload/target/target.ts';
import type { KeyedJobs } from '../store/jobs.ts';
import type { ObjectTables } from '../store/object-tables.ts';
import type { BroughtReport, StrayTables, StrayTask } from '../store/stray-tables.ts';

/** How soon the end of a recording is looked for again, or that of the removal of a person from it. */
const NOT_ENDED_MS = 5_000;

export type MendingOptions = {
  tables: StrayTables;
  objects: ObjectTables;
  /** One queue for the fleet: any node can mend, because nothing of it lies on a disk. */
  jobs: KeyedJobs;
  openTarget(storage: StorageConfig, sid: string): Promise<Target>;
  clock: Clock;
  log: Log;
};

export class Mending {
  readonly #options: MendingOptions;

  constructor(options: MendingOptions) {
    this.#options = options;
  }

  /** Begins to work on what waits already. */
  async start(): Promise<void> {
    const { jobs, tables } = this.#options;
    await jobs.start((sid, signal) => this.#work(sid, signal));
    for (const sid of await tables.unmended()) await jobs.enqueue(sid);
  }

  /** Has a recording mended once it has ended. */
  async add(sid: string): Promise<void> {
    await this.#options.jobs.enqueue(sid);
  }

  close(): Promise<void> {
    return this.#options.jobs.close();
  }

  async #work(sid: string, signal: AbortSignal): Promise<number | undefined> {
    const { tables, objects, openTarget, clock, log } = this.#options;
    const found = await tables.find(sid);
    if (!found) return undefined;
    if (found.isDeleted) {
      await tables.setMended(sid, undefined);
      return undefined;
    }
    if (!found.hasEnded || found.isRemoving) return NOT_ENDED_MS;
    const records = await objects.objectsOf(sid);
    const brought = await tables.broughtReports(sid);
    const report = await this.#reportOf(sid, brought);
    const target = await openTarget(found.storage, sid);
    try {
      const ledger = this.#ledgerOf(sid, records);
      await this.#storeIndexes(found, { target, ledger, signal });
      const puts = new PersistentPut({
        ...{ target, ledger, clock, backup: undefined, signal, random: Math.random },
        log: log.child({ sid }),
        onFailed: () => {},
      });
      for (const { name, text } of documentsOf(found, { records, report })) {
        const record = records.find((each) => each.name === name);
        // Only what the recording had is made again.
        if (!record) continue;
        const data = Buffer.from(text);
        const file = record.file && { ...record.file, bytes: data.length };
        await puts.put({ record: { ...record, file, state: 'waiting' }, source: () => ({ data }) });
      }
      await ledger.settled();
    } finally {
      target.close();
    }
    await tables.setMended(
      sid,
      report,
      brought.map(({ key }) => key),
    );
    log.info({ sid }, 'a recording has what a node brought back after its end');
    return undefined;
  }

  async #storeIndexes(
    { task, storage, runs }: StrayTask,
    { target, ledger, signal }: { target: Target; ledger: UploadLedger; signal: AbortSignal },
  ): Promise<void> {
    const { clock, log } = this.#options;
    const { extinfComma } = task.document;
    const upload = new RecordingUpload({
      ...{ target, ledger, clock, prefix: storage.fileNamePrefix, log: log.child({ sid: task.sid }) },
      renderIndex: (name, rows) =>
        name.endsWith('.mpd') ? renderMpd(rows) : renderPlaylist(rows.flat(), { extinfComma }),
      stretches: allStretches(runs),
      onEvent: () => {},
    });
    const stop = () => upload.abort();
    signal.addEventListener('abort', stop, { once: true });
    try {
      signal.throwIfAborted();
      await upload.finish();
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  /** The report, completed with what only its former nodes knew, and with when the strays came. */
  async #reportOf(sid: string, brought: readonly BroughtReport[]): Promise<QualityReport | undefined> {
    const { tables } = this.#options;
    const kept = await tables.reportOf(sid);
    if (!kept) return undefined;
    const report = brought.reduce((whole, each) => withBrought(whole, each.brought, each.left), kept);
    const told = (await tables.storedAt(sid)).map(cameBack);
    const news = told.filter((what) => !report.degraded.some((each) => each.what === what));
    const atMs = report.endedMs ?? report.measuredMs;
    return { ...report, degraded: [...report.degraded, ...news.map((what) => ({ atMs, what, count: 1 }))] };
  }

  /** A ledger of a recording that nobody owns any more. */
  #ledgerOf(sid: string, records: readonly ObjectRecord[]): UploadLedger {
    const { objects } = this.#options;
    const known = new Map(records.map((record) => [record.name, record]));
    let noted: Promise<void> = Promise.resolve();
    return {
      known: (name) => known.get(name),
      all: () => [...known.values()],
      refresh: async () => undefined,
      note(record) {
        known.set(record.name, record);
        noted = noted.then(() => objects.note(sid, [record]));
        // Whoever waits for all is told.
        noted.catch(() => {});
      },
      settled: () => noted,
    };
  }
}

function cameBack(storedMs: number): string {
  return `what a node had recorded and not stored before another took over was stored at ${new Date(storedMs).toISOString()}`;
}

/** The stretches of a recording as seen by a node that has none of its files. */
function allStretches(runs: StrayTask['runs']): Stretch[] {
  const seen = runs.map((run) => ({ ...run, elsewhere: run.elsewhere ?? 'here' }));
  return stretchesOf(seen, Number.POSITIVE_INFINITY, []);
}

/** The manifest, where one was wanted, and the report. */
function documentsOf(
  { task, zeroUtcMs }: StrayTask,
  { records, report }: { records: readonly ObjectRecord[]; report: QualityReport | undefined },
): { name: string; text: string }[] {
  const { sid, cname, document } = task;
  const { plan } = document;
  const documents = report ? [{ name: reportName(plan.baseName), text: `${JSON.stringify(report, null, 2)}\n` }] : [];
  if (plan.mode !== 'individual' || !plan.extras.manifest || zeroUtcMs === undefined) return documents;
  const files = countedThrough(
    records.flatMap(({ file, state }): SpooledFile[] =>
      file && (state === 'stored' || state === 'accepted') ? [file] : [],
    ),
  );
  const ends = files.map((file) => (file.startUtcMs - zeroUtcMs) * 1000 + file.durationUs);
  const manifest = manifestOf({
    ...{ sid, cname, zeroUtcMs, files, endUs: Math.max(1, ...ends) },
    ...(report ? attendedOf(report) : { stays: [] }),
  });
  return [
    ...documents,
    { name: documentName(baseName(sid, cname), 'manifest'), text: `${JSON.stringify(manifest, null, 1)}\n` },
  ];
}
