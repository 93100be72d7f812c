/**
 * PersistentPut: puts one object after another until its store has it, through everything that passes. It waits longer
 * and longer, goes on with large files where they were, tells of what somebody must mend, and turns to the backup store
 * when the recording has ended and its own store is still away.
 */

import type { ObjectRecord, PartsSoFar, UploadLedger } from '../../contract/line/objects.ts';
import { type Clock, sleep } from '../../kernel/clock.ts';
import { Fault, messageOf } from '../../kernel/fault.ts';
import type { HostUs } from '../../kernel/time.ts';
import type { Backup } from './backup-store.ts';
import { retryDelayMs } from './retry.ts';
import type { Source } from './target/source.ts';
import { contentTypeOf, type Receipt, type Target } from './target/target.ts';

/**
 * How long an attempt may take, and how much longer by its size: at the slowest rate that is still worth waiting for.
 */
const ATTEMPT_BASE_MS = 60_000;
const SLOWEST_BYTES_PER_MS = 32;
/** A store that has failed for this long has more than a hiccup. */
const LASTING_MS = 50_000;
/** Stands among the faults that were told for a lasting one, whatever its words. */
const LASTING = 'lasting';
/** How often bytes that changed on their way are sent again at once. */
const CHANGED_AGAIN = 2;

export type UploadLog = {
  info(fields: object, text: string): void;
  warn(fields: object, text: string): void;
};

/** The store of an object: the customer's, or the server's backup store. */
export type Place = 'store' | 'backup';

export type Wanted = {
  record: ObjectRecord;
  source(): Source;
  /** Size of the same file when an earlier server put it; undefined when it is put for the first time. */
  earlierBytes?: number | undefined;
  /** Asked after `source`: whether the customer's own store must not get it yet. */
  onlyBackup?: () => boolean;
  /**
   * Called when a put of the latest `source` ended without the store's final answer: the store may still carry it out
   * at any later time.
   */
  onUnheard?: () => void;
};
export type Outcome = { attempts: number; receipt: Receipt; place: Place };

/**
 * `attempt` counts from 1. A fault that will not pass by itself is told once, and the put is tried again each minute.
 * `lasting` is set once, when a fault that might have passed has lasted about a minute.
 */
export type FailedAttempt = { key: string; fault: Fault; attempt: number; lasting: boolean };

export type PersistentPutOptions = {
  target: Target;
  ledger: UploadLedger;
  backup: Backup | undefined;
  clock: Clock;
  log: UploadLog;
  /** 0 (inclusive) to 1, for the jitter of retries. */
  random: () => number;
  /** Ends everything that is under way. */
  signal: AbortSignal;
  /**
   * Waits until the recording is surely still this server's, before each attempt. Rejects when it is another's; so does
   * the put then. Absent where no other server can have it.
   */
  certainty?: ((signal: AbortSignal) => Promise<void>) | undefined;
  onFailed(failed: FailedAttempt): void;
};

type Put = { key: string; source: Source; contentType: string; resume: PartsSoFar | undefined };

export class PersistentPut {
  readonly #options: PersistentPutOptions;
  #target: Target;
  #wake = new Set<() => void>();
  #reported = new Set<string>();
  #fault: Fault | undefined;
  /** When the store first failed after it last worked, monotonic microseconds. */
  #failingSinceUs: HostUs | undefined;
  /** After the end, the customer's own store has had its time to come back. */
  #mayDivert = false;

  constructor(options: PersistentPutOptions) {
    this.#options = options;
    this.#target = options.target;
  }

  /** Why the last attempt failed; undefined when it did not. */
  get fault(): Fault | undefined {
    return this.#fault;
  }

  /**
   * Goes on with another way to the same store; returns the old one, which must be closed. What waits is tried at once.
   */
  useTarget(target: Target): Target {
    const old = this.#target;
    this.#target = target;
    this.#wakeAll();
    return old;
  }

  /** Tries now what waits to be tried again. */
  retry(): void {
    this.#wakeAll();
  }

  /**
   * The recording has ended: if its store does not come back soon, the backup store takes the files that it does not.
   */
  divertSoon(): void {
    const { backup, clock } = this.#options;
    if (!backup) return;
    clock.after(backup.afterMs, () => {
      this.#mayDivert = true;
      this.#wakeAll();
    });
  }

  /** Makes the store remove parts of a file of this size that nobody noted; none of it may be under way. */
  sweep(key: string, bytes: number): Promise<void> {
    return this.#sweep(key, () => this.#target.sweep(key, bytes));
  }

  /** What is left in a store is no reason to delay or repeat what is stored. */
  async #sweep(key: string, sweep: () => Promise<void>): Promise<void> {
    try {
      await sweep();
    } catch (error) {
      const text = 'the store did not remove what was begun in parts by an upload that was interrupted';
      this.#options.log.warn({ err: error, key }, text);
    }
  }

  /** Makes the store remove parts that nobody will go on with. */
  async abandon(key: string, parts: PartsSoFar): Promise<void> {
    try {
      await this.#target.abandon(key, parts);
    } catch (error) {
      const fields = { err: error, key, uploadId: parts.uploadId };
      this.#options.log.warn(fields, 'the store did not remove the parts of an upload that was given up');
    }
  }

  #wakeAll(): void {
    for (const wake of this.#wake) wake();
  }

  /**
   * Undefined when the source is gone for good. Throws the abort's reason, and the fault of a recording that another
   * server has.
   */
  async put({ record, source, earlierBytes, onlyBackup, onUnheard }: Wanted): Promise<Outcome | undefined> {
    const { key, name } = record;
    const before = this.#options.ledger.known(name);
    let parts = before?.parts;
    // A server that dies does not note its last puts into the backup store, and the next server tries the customer's
    // own store first.
    let mayBeInBackup = earlierBytes !== undefined || isUnsettled(before);
    // The confirmed parts of a file are not given up with an attempt, and an attempt that got further counts as the
    // first.
    let pauses = 0;
    for (let attempt = 1; ; attempt++) {
      this.#options.signal.throwIfAborted();
      if (this.#options.certainty) await this.#options.certainty(this.#options.signal);
      const data = source();
      const bytes = 'data' in data ? data.data.length : data.bytes;
      const note = (more: Partial<ObjectRecord>) =>
        this.#options.ledger.note({ ...record, bytes, attempts: attempt, parts, ...more });
      const keep = (receipt: Receipt, state: ObjectRecord['state']) => {
        const { evidence, etag, md5, sha256 } = receipt;
        note({ state, evidence, etag, md5, sha256, parts: state === 'backup' ? parts : undefined });
      };
      // Whether parts may have been begun that nobody noted.
      const isAgain = attempt > 1 || earlierBytes !== undefined;
      const mostBytes = Math.max(bytes, earlierBytes ?? 0);
      const isOnlyBackup = onlyBackup?.() ?? false;
      if (isOnlyBackup || this.#isDiverting()) {
        mayBeInBackup = true;
        const receipt = await this.#putIntoBackup(name, data, isAgain ? mostBytes : undefined);
        if (receipt) {
          keep(receipt, 'backup');
          return { attempts: attempt, receipt, place: 'backup' };
        }
      }
      const partsBefore = parts?.parts.length ?? 0;
      const put = { key, source: data, contentType: contentTypeOf(name), resume: parts };
      const result = isOnlyBackup
        ? (this.#fault ?? backupFailed(key))
        : await this.#attempt(put, (confirmed) => {
            parts = confirmed;
            note({});
          });
      if (!(result instanceof Fault)) {
        this.#fault = undefined;
        this.#failingSinceUs = undefined;
        this.#reported.clear();
        // The store works again, so nobody need wait out a long pause.
        this.#wakeAll();
        if (result.repeated) onUnheard?.();
        // Once it is noted as stored it would not be looked at again.
        if (isAgain || result.unnoted) await this.sweep(key, mostBytes);
        if (mayBeInBackup) await this.#takeOutOfBackup(name, mostBytes);
        keep(result, result.evidence === 'accepted' ? 'accepted' : 'stored');
        return { attempts: attempt, receipt: result, place: 'store' };
      }
      this.#options.signal.throwIfAborted();
      this.#fault = result;
      // A gateway may answer for the store: only a permanent refusal says that the put will not be carried out.
      if (result.retryable && !isOnlyBackup) onUnheard?.();
      this.#report(key, result, attempt);
      if (result.code === 'source-missing' || result.code === 'source-changed') {
        if (parts) await this.abandon(key, parts);
        await this.sweep(key, mostBytes);
        return undefined;
      }
      pauses = (parts?.parts.length ?? 0) > partsBefore ? 1 : pauses + 1;
      if (result.code === 'stored-bytes-differ' && attempt <= CHANGED_AGAIN) continue;
      const delayMs = retryDelayMs(pauses, result.retryable, this.#options.random());
      const pauseMs = Math.max(delayMs, result.retryAfterMs ?? 0);
      note({ lastError: result.message, nextTryMs: this.#options.clock.nowMs() + pauseMs });
      // The backup store is tried before the own store is tried again; when it fails too, both are waited for.
      if (attempt > 1 || !this.#isDiverting()) await this.#pause(pauseMs);
    }
  }

  /** Whether the customer's own store has had its time after the end, and fails in a way that may pass. */
  #isDiverting(): boolean {
    return this.#mayDivert && this.#fault?.retryable === true;
  }

  /** @param sweepBytes the largest size of the file in earlier puts; undefined for the first put */
  async #putIntoBackup(name: string, source: Source, sweepBytes?: number): Promise<Receipt | undefined> {
    const { backup, log } = this.#options;
    if (!backup) return undefined;
    const { store, sid } = backup;
    try {
      const receipt = await store.put(sid, name, source, contentTypeOf(name), { signal: this.#options.signal });
      log.warn({ key: name, backup: store.description }, 'a file went to the backup store');
      if (sweepBytes !== undefined) await this.#sweep(name, () => store.sweep(sid, name, sweepBytes));
      return receipt;
    } catch (error) {
      this.#options.signal.throwIfAborted();
      log.warn({ err: error, name, backup: store.description }, 'the backup store failed; the file waits on the spool');
      return undefined;
    }
  }

  /** A file in the customer's own store is of no use in the backup, and nobody would look at it there again. */
  async #takeOutOfBackup(name: string, bytes: number): Promise<void> {
    const { backup, log } = this.#options;
    if (!backup) return;
    const { store, sid } = backup;
    try {
      await store.sweep(sid, name, bytes);
      await store.remove(sid, name);
    } catch (error) {
      const fields = { err: error, sid, name, backup: store.description };
      log.warn(fields, 'a file that is in its own store may be left in the backup store too');
    }
  }

  async #attempt(put: Put, onParts: (parts: PartsSoFar | undefined) => void): Promise<Receipt | Fault> {
    const { key, source, contentType, resume } = put;
    const { clock } = this.#options;
    const target = this.#target;
    const bytes = 'data' in source ? source.data.length : source.bytes;
    const limitMs = ATTEMPT_BASE_MS + bytes / SLOWEST_BYTES_PER_MS;
    const attempt = new AbortController();
    const broken = Promise.withResolvers<never>();
    const breakOff = (reason: unknown) => {
      attempt.abort(reason);
      // A target that ignores its signal must not hold us up.
      broken.reject(reason);
    };
    const onAbort = () => breakOff(this.#options.signal.reason);
    this.#options.signal.addEventListener('abort', onAbort, { once: true });
    const timer = clock.after(limitMs, () =>
      breakOff(
        new Fault(
          'upload-timeout',
          `${target.description} took longer than ${Math.round(limitMs / 1000)} s for ${key}`,
          {
            blame: 'destination',
            retryable: true,
          },
        ),
      ),
    );
    const options = { signal: attempt.signal, resume, onParts };
    try {
      const stored = await Promise.race([target.put(key, source, contentType, options), broken.promise]);
      if (stored.bytes === bytes) return stored;
      return new Fault('stored-size-wrong', `${target.description} has ${stored.bytes} bytes of ${key}, not ${bytes}`, {
        blame: 'destination',
        retryable: true,
      });
    } catch (error) {
      if (error instanceof Fault) return error;
      return new Fault('store-failed', `${target.description}: ${messageOf(error)}`, {
        blame: 'destination',
        retryable: true,
        cause: error,
      });
    } finally {
      timer.cancel();
      this.#options.signal.removeEventListener('abort', onAbort);
    }
  }

  #report(key: string, fault: Fault, attempt: number): void {
    const { log, onFailed, clock } = this.#options;
    const target = this.#target;
    this.#failingSinceUs ??= clock.monoUs();
    const failedUs = clock.monoUs() - this.#failingSinceUs;
    const lasting = fault.retryable && failedUs >= LASTING_MS * 1000 && !this.#reported.has(LASTING);
    if (!fault.retryable || lasting) {
      // One wrong password fails every file: it is told once, until something has worked again.
      const what = lasting ? LASTING : `${fault.code} ${fault.message}`;
      if (this.#reported.has(what)) return;
      this.#reported.add(what);
    }
    log.warn({ err: fault, key, attempt, target: target.description }, 'upload failed');
    onFailed({ key, fault, attempt, lasting });
  }

  async #pause(delayMs: number): Promise<void> {
    const early = new AbortController();
    const wake = () => early.abort();
    this.#wake.add(wake);
    try {
      await sleep(this.#options.clock, delayMs, AbortSignal.any([early.signal, this.#options.signal]));
    } catch (error) {
      if (!early.signal.aborted) throw error;
    } finally {
      this.#wake.delete(wake);
    }
  }
}

/** Whether an earlier put of the object may have reached the backup store, and none its own store since. */
function isUnsettled(record: ObjectRecord | undefined): boolean {
  return record !== undefined && (record.state === 'backup' || (record.state === 'waiting' && record.attempts > 0));
}

function backupFailed(key: string): Fault {
  const message = `the backup store does not take ${key}, and what it names is in it`;
  return new Fault('backup-failed', message, { blame: 'self', retryable: true });
}
