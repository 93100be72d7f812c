/**
 * Completion: what is done once a recording is over. What is made of the whole recording is made, then everything on
 * the spool is stored, and the spool folder is removed.
 */
import type { CompleteCommand } from '../contract/line/complete.ts';
import type { QualityReport } from '../contract/line/quality-report.ts';
import type { Stretch } from '../contract/line/stretches.ts';
import type { UploadingStatus } from '../contract/rest/stop.ts';
import { sleep } from '../kernel/clock.ts';
import { Fault, isOutOfRoom, messageOf } from '../kernel/fault.ts';
import type { SpooledDocument, SpooledFile } from '../media/segment.ts';
import type { FileElsewhere, RunFile, TaskPorts } from './ports.ts';
import type { ProcessIdentity, RunRecord } from './run-record.ts';
import type { Task } from './task.ts';
import type { TaskUpload } from './task-upload.ts';

export type CompletionOptions = {
  ports: TaskPorts;
  task(): Task;
  upload: TaskUpload;
  /** The recorder's newest quality report; undefined when there never was one. */
  quality(): QualityReport | undefined;
  /** Keeps the final report. */
  onReport(report: QualityReport): Promise<void>;
  /** Keeps the record of the run that completes the recording. */
  keep(run: RunRecord): Promise<void>;
  /** As of stretchesOf. */
  stretches(): readonly Stretch[];
};

/** A process that was killed, for want of memory say, may succeed the next time. */
const MAX_TRIES = 3;
/**
 * How long after a full disk was met it is tried again; the pauses grow. After an hour without room the recording ends
 * with what there is, because its own files may be what fills the disk.
 */
const ROOM_PAUSE_MS = 10_000;
const LONGEST_ROOM_PAUSE_MS = 5 * 60_000;
const ROOM_WAIT_MS = 60 * 60_000;
/** How long after a question that the database did not answer it is asked again. */
const AGAIN_MS = 1_000;

export class Completion {
  #options: CompletionOptions;
  /** Unfinished files that nothing could be made of. */
  #leftovers: string[] = [];
  /** What lies on other nodes' disks alone, in words. */
  #lacks: string[] = [];

  constructor(options: CompletionOptions) {
    this.#options = options;
  }

  /** Resolves, when all is stored, to where it lies. Rejects when it was called off or can never be stored. */
  async finish(generation: number, signal: AbortSignal): Promise<UploadingStatus> {
    const { ports, task, upload } = this.#options;
    const { sid } = task();
    await this.#complete(generation, signal);
    signal.throwIfAborted();
    const { files, problems, leftovers } = await ports.spool.read(sid);
    // A run that was lost as it began a file leaves an empty one, which holds nothing.
    this.#leftovers = leftovers.flatMap(({ name, bytes }) => (bytes > 0 ? [name] : []));
    for (const problem of problems) ports.log.warn({ sid }, `the spool is damaged: ${problem}`);
    return upload.finish(await this.#withReport(files, generation));
  }

  /**
   * Removes the spool folder; keeps it when a crash left unfinished files in it, because what they hold is nowhere
   * else.
   */
  async discardSpool(): Promise<void> {
    const { spool, log } = this.#options.ports;
    const { sid } = this.#options.task();
    if (this.#leftovers.length === 0) return spool.remove(sid);
    log.warn({ sid, files: this.#leftovers }, `files that a crash left unfinished are kept in ${spool.pathOf(sid)}`);
  }

  /**
   * Repairs what a recorder that crashed left, and makes what is made after the end. When some of it fails, the rest
   * must still reach its store.
   */
  async #complete(generation: number, signal: AbortSignal): Promise<void> {
    const { ports, task } = this.#options;
    const { spool, log, clock } = ports;
    const { sid } = task();
    const work = await this.#work(signal);
    if (!work) return;
    const waitsUntilUs = clock.monoUs() + ROOM_WAIT_MS * 1000;
    let pauseMs = ROOM_PAUSE_MS;
    for (let n = 0, tries = 1; ; n++) {
      try {
        const earlierDirs = (await spool.runs(sid)).map(({ dir }) => dir);
        // Each try has a folder of its own: what a killed one left there is one more thing to repair.
        const spoolDir = await spool.create(sid, generation + n, 'complete');
        await this.#run(generation + n, { spoolDir, earlierDirs, ...work }, signal);
        return;
      } catch (error) {
        // When it was called off, the next server completes the recording.
        if (signal.aborted) throw error;
        const details = { sid, generation: generation + n, error: messageOf(error) };
        if (isOutOfRoom(error) && clock.monoUs() < waitsUntilUs) {
          log.warn(details, 'there is no room to complete a recording; it is tried again');
          await this.#storeMeanwhile();
          await sleep(clock, pauseMs, signal);
          pauseMs = Math.min(LONGEST_ROOM_PAUSE_MS, pauseMs * 2);
          continue;
        }
        const isLast = isOutOfRoom(error) || tries++ === MAX_TRIES || !(error instanceof Fault && error.retryable);
        if (isLast) log.error(details, 'a recording could not be completed');
        else log.warn(details, 'a recording is not complete yet; another run tries');
        if (isLast) return;
      }
    }
  }

  /** Finished files are stored while the rest waits for room. */
  async #storeMeanwhile(): Promise<void> {
    const { ports, task, upload } = this.#options;
    const { sid } = task();
    try {
      const { files } = await ports.spool.read(sid);
      await upload.begin();
      for (const file of files) if (!isReport(file.file)) upload.add(file);
    } catch (error) {
      ports.log.warn({ sid, error: messageOf(error) }, 'files of a recording are not stored yet');
    }
  }

  /** What is to be made after the end; undefined when there is nothing. */
  async #work(signal: AbortSignal): Promise<Omit<CompleteCommand, 'spoolDir' | 'earlierDirs'> | undefined> {
    const { ports, task } = this.#options;
    const { sid, cname, document } = task();
    const { plan } = document;
    const { files, leftovers } = await ports.spool.read(sid);
    const hasSlices = files.some(({ file }) => file.type === 'slice');
    const mp4 = plan.mode !== 'individual' && plan.files.mp4 ? plan.mp4Limit : undefined;
    // Also when the MP4s end early: one that could not be written was given up, and is made from slices.
    const lacksMp4 = mp4 !== undefined && hasSlices && endOf(files, 'slice') - endOf(files, 'mp4') > END_TOLERANCE_MS;
    const extras = plan.mode === 'individual' && Object.values(plan.extras).includes(true) ? plan.extras : undefined;
    // Of a recording of several runs the MP4s hold only what the first run finished; the rest is made from slices.
    const hadRuns = mp4 !== undefined && hasSlices && new Set(files.map(({ dir }) => dir)).size > 1;
    const elsewhere = (await this.#elsewhere(signal)).map(({ file }) => file);
    const isWhole = leftovers.length === 0 && !lacksMp4 && !hadRuns && !(extras && hasSlices);
    if (isWhole && (this.#lacks.length === 0 || files.length === 0)) return undefined;
    if (leftovers.length > 0 || lacksMp4)
      ports.log.warn({ sid, leftovers: leftovers.map(({ name }) => name) }, 'a recorder left unfinished files');
    const firstMp4 = this.#options.stretches().length > 0 ? firstMp4After(elsewhere, this.#lacks.length) : undefined;
    const all = elsewhere.length > 0 ? { elsewhere } : {};
    return { mp4, firstMp4, lacks: this.#lacks, extras: extras && { sid, cname, ...extras, ...all } };
  }

  /** What the report says of files that lie on other nodes' disks and nowhere else. */
  async #lacksOf(elsewhere: readonly FileElsewhere[]): Promise<string[]> {
    const { ports, task } = this.#options;
    const away = (await ports.strays.of([task().sid])).filter(({ storedMs }) => storedMs === undefined);
    const waiting = elsewhere.filter(({ isStored }) => !isStored).length;
    return away.map(
      ({ sinceMs }) =>
        `another node recorded until ${new Date(sinceMs).toISOString()} and has been away since: what it had not stored (${waiting} files that are known, and what was being written) is missing until it is back`,
    );
  }

  /** What other nodes recorded, as far as the database knows. Waits for a database that is away. */
  async #elsewhere(signal: AbortSignal): Promise<FileElsewhere[]> {
    const { ports, task, stretches } = this.#options;
    const { sid } = task();
    if (stretches().length === 0) return [];
    for (let tries = 1; ; tries++) {
      try {
        const files = await ports.strays.filesOf(sid, stretches());
        this.#lacks = await this.#lacksOf(files);
        return files;
      } catch (error) {
        if (tries === 1)
          ports.log.warn({ sid, error: messageOf(error) }, 'the database does not tell what other nodes recorded');
        await sleep(ports.clock, AGAIN_MS, signal);
      }
    }
  }

  async #run(generation: number, command: CompleteCommand, signal: AbortSignal): Promise<void> {
    const { ports, keep } = this.#options;
    const { recorders, clock } = ports;
    const run: RunRecord = {
      generation,
      kind: 'complete',
      phase: 'starting',
      process: undefined,
      startedMs: clock.nowMs(),
      endedMs: undefined,
      why: undefined,
    };
    let process: ProcessIdentity | undefined;
    const end = (why: string) => keep({ ...run, process, phase: 'ended', endedMs: clock.nowMs(), why });
    void keep(run);
    try {
      await recorders.complete(command, {
        signal,
        onProcess: (found) => {
          process = found;
          void keep({ ...run, process, phase: 'running' });
        },
      });
      void end('completed');
    } catch (error) {
      void end(messageOf(error));
      throw error;
    }
  }

  /**
   * Makes sure that the quality report is kept, and returns the files to store. A recording without other files has no
   * report in its store either, and a recording without a report is complete all the same.
   */
  async #withReport(files: RunFile[], generation: number): Promise<RunFile[]> {
    const { ports, task, quality, stretches, onReport } = this.#options;
    const { spool, log } = ports;
    const { sid, document } = task();
    const media = files.filter(({ file }) => !isReport(file));
    const hasMedia = media.length > 0 || stretches().length > 0;
    let written = files.findLast(({ file }) => isReport(file));
    try {
      const told = quality();
      if (!written && told && hasMedia) {
        const lacks = this.#lacks.map((what) => ({ atMs: told.measuredMs, what, count: 1 }));
        const partial = { ...told, state: 'partial' as const, degraded: [...told.degraded, ...lacks] };
        written = await spool.writeReport(sid, generation, document.plan.baseName, partial);
      }
      if (!written) return media;
      const report = await spool.readReport(written);
      await onReport(report);
    } catch (error) {
      log.error({ sid, error: messageOf(error) }, 'the quality report of a recording could not be kept');
    }
    return written && document.storeReport && hasMedia ? [...media, written] : media;
  }
}

/**
 * The number of the first MP4 that is made here: after those of other nodes, and one for each node that is away, which
 * makes the MP4 of its slices once it is back.
 */
function firstMp4After(elsewhere: readonly SpooledFile[], away: number): number {
  return away + 1 + elsewhere.reduce((last, file) => (file.type === 'mp4' ? Math.max(last, file.index) : last), -1);
}

/** The slices and MP4s of a recording need not end at the same sample. */
const END_TOLERANCE_MS = 500;

/** Where the files of a kind end, Unix milliseconds; minus infinity where there are none. */
function endOf(files: readonly RunFile[], type: 'slice' | 'mp4'): number {
  const ends = files.flatMap(({ file }) => (file.type === type ? [file.startUtcMs + file.durationUs / 1000] : []));
  return Math.max(...ends);
}

export function isReport(file: SpooledFile): file is SpooledDocument {
  return file.type === 'document' && file.kind === 'report';
}
