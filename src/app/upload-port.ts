/**
 * The session's way to stores: the upload of a recording with its ledger, the backup store behind it, and the move from
 * there to the customer's store.
 */

import type { UploadLedger } from '../contract/line/objects.ts';
import { STORAGE_VENDORS, type StorageConfig } from '../contract/line/storage.ts';
import { type Clock, sleep } from '../kernel/clock.ts';
import type { EndpointGuard } from '../kernel/endpoint-guard.ts';
import { Fault, messageOf } from '../kernel/fault.ts';
import type { Log } from '../observe/log.ts';
import type { TaskHold } from '../session/hold.ts';
import type { UploadEvent, UploadPort } from '../session/ports.ts';
import { renderMpd } from '../stages/mux/dash/mpd.ts';
import { renderPlaylist } from '../stages/mux/hls/playlist.ts';
import { generationOf } from '../stages/spool/recording-spool.ts';
import type { BackupStore } from '../stages/upload/backup-store.ts';
import { RecordingUpload, type UploadEvent as StageEvent } from '../stages/upload/recording-upload.ts';
import { createTarget } from '../stages/upload/target/create-target.ts';
import type { Target } from '../stages/upload/target/target.ts';
import { testWrite } from '../stages/upload/test-write.ts';

export type UploadPortOptions = {
  localStorageDir: string;
  guard: EndpointGuard;
  /** Whether a small test object is put when a recording begins, so that a store that refuses it is known at once. */
  testWrites: boolean;
  backup: { store: BackupStore; afterMs: number };
  ledgerOf(hold: TaskHold): Promise<UploadLedger>;
  /** As of Ownership; absent where no other server can have the recording. */
  certaintyOf?: ((hold: TaskHold) => (signal: AbortSignal) => Promise<void>) | undefined;
  /**
   * Takes a recording's files into this server's keeping when the recording ends; they go on to their store from there.
   */
  moves: {
    add(sid: string, appid: string, storage: StorageConfig): Promise<void>;
    /** The app's recordings that wait for the same bucket go on with these credentials. */
    renew(appid: string, storage: StorageConfig): Promise<void>;
  };
  clock: Clock;
  log: Log;
};

/** How long after a question that the database did not answer it is asked again. */
const AGAIN_MS = 1_000;

/** Opens a customer's store for a recording. */
export function targetOpener({
  localStorageDir,
  guard,
  clock,
  log,
}: Omit<UploadPortOptions, 'ledgerOf' | 'moves' | 'backup' | 'testWrites'>) {
  return (storage: StorageConfig, sid: string): Promise<Target> =>
    createTarget(storage, { localStorageDir, guard, clock, warn: (text) => log.warn({ sid }, text) });
}

export function uploadPort(options: UploadPortOptions): UploadPort {
  const { backup, ledgerOf, moves, clock, log } = options;
  const open = targetOpener(options);
  const test = async (
    target: Target,
    { sid, storage }: { sid: string; storage: StorageConfig },
    onEvent: (event: UploadEvent) => void,
  ) => {
    const fault = await testWrite(target, [...storage.fileNamePrefix, `${sid}_test`].join('/'), clock);
    if (!fault) return undefined;
    log.warn({ sid, err: fault }, 'the store did not take a test object');
    onEvent({ type: 'storeRefused', message: fault.message, forGood: !fault.retryable });
    return fault.message;
  };
  /** A recording must not end, nor its files be given up, because the database is away for a while. */
  const insist = async <T>(sid: string, ask: () => Promise<T>, signal: AbortSignal): Promise<T> => {
    for (let tries = 1; ; tries++) {
      try {
        return await ask();
      } catch (error) {
        signal.throwIfAborted();
        const text = 'the database does not answer an upload; it is asked again';
        if (tries === 1) log.warn({ sid, error: messageOf(error) }, text);
        await sleep(clock, AGAIN_MS, signal);
      }
    }
  };
  return {
    async begin({ hold, appid, storage, extinfComma, stretches, signal }, onEvent) {
      const { sid } = hold;
      let current = storage;
      let target = await open(storage, sid);
      const ledger = await insist(sid, () => ledgerOf(hold), signal).catch((error: unknown) => {
        target.close();
        throw error;
      });
      // The test goes on while files go up, which show as well whether the store works.
      const isTested = options.testWrites && hold.epoch === 1 && storage.vendor !== STORAGE_VENDORS.localFolder;
      const tested = isTested ? test(target, { sid, storage }, onEvent) : Promise.resolve(undefined);
      let addedBytes = 0;
      let storedBytes = 0;
      const upload = new RecordingUpload({
        target,
        prefix: storage.fileNamePrefix,
        renderIndex: (name, rows) =>
          name.endsWith('.mpd') ? renderMpd(rows) : renderPlaylist(rows.flat(), { extinfComma }),
        clock,
        log: log.child({ sid }),
        ledger,
        backup: { ...backup, sid },
        stretches,
        certainty: options.certaintyOf?.(hold),
        onEvent(event) {
          if (event.type === 'fileStored') storedBytes += event.file.bytes;
          for (const told of toSessionEvents(event)) onEvent(told);
        },
      });
      return {
        tested,
        add(file, dir) {
          addedBytes += file.bytes;
          upload.add(file, dir, generationOf(dir));
        },
        retry: () => upload.retry(),
        async recall() {
          await ledger.refresh();
          upload.recall();
        },
        progress: () => ({ storedBytes, addedBytes }),
        async useStorage(renewed) {
          target = await open(renewed, sid);
          current = renewed;
          // Uploads under way break off with the old connections, and are sent again.
          upload.useTarget(target).close();
          await moves.renew(appid, renewed);
        },
        async finish() {
          const { lost, backedUp, accepted } = await upload.finish();
          target.close();
          if (lost.length > 0) {
            const names = lost.map((file) => file.name).join(', ');
            throw new Fault('spool-files-lost', `gone from the spool before they were stored: ${names}`, {
              blame: 'self',
            });
          }
          // Without the spool only the ledger tells another node of these files.
          if (options.certaintyOf) await ledger.settled();
          if (!backedUp && !accepted) return 'uploaded';
          // From here on only this record knows of these files.
          await ledger.settled();
          await insist(sid, () => moves.add(sid, appid, current), signal);
          return backedUp ? 'backuped' : 'unknown';
        },
        abort() {
          upload.abort();
          target.close();
        },
      };
    },
  };
}

/** The session's events for what happened to an upload. */
function toSessionEvents(event: StageEvent): UploadEvent[] {
  switch (event.type) {
    case 'fileRecalled':
      return toWholeFile(event);
    case 'fileStored': {
      const { file, key, attempts, place } = event;
      const events: UploadEvent[] = toWholeFile(event);
      const { startUtcMs } = file;
      // With no attempt the file was stored by an earlier server, which told of it.
      if (file.type === 'snapshot' && attempts > 0) events.push({ type: 'snapshotStored', key, startUtcMs });
      if (place === 'backup') events.push({ type: 'fileBackedUp' });
      else if (attempts > 1 && file.type !== 'document') events.push({ type: 'fileResent' });
      return events;
    }
    case 'uploadFailed':
      // The upload itself logs passing failures and tries again; they are told only when they have lasted a while.
      if (event.fault.retryable && !event.lasting) return [];
      return [{ type: 'storeRefused', message: event.fault.message, forGood: !event.fault.retryable }];
    case 'playlistStored': {
      const { key, firstStartUtcMs, owner, playable } = event;
      return [{ type: 'playlistStored', key, startUtcMs: firstStartUtcMs, owner, playable }];
    }
  }
}

function toWholeFile({ file, key }: Pick<Extract<StageEvent, { file: unknown }>, 'file' | 'key'>): UploadEvent[] {
  const { type, startUtcMs } = file;
  if (type === 'mp4') return [{ type: 'wholeFileStored', key, startUtcMs, owner: file.owner }];
  return type === 'speakers' ? [{ type: 'wholeFileStored', key, startUtcMs, trackType: 'audio' }] : [];
}
