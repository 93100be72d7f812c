/**
 * DiskWatch: looks at the disk each second and at what lies on the spool every few seconds, refuses starts while there
 * is no room, and ends recordings in order before there is none.
 */
import { statfs } from 'node:fs/promises';
import type { Clock, Timer } from '../kernel/clock.ts';
import { messageOf } from '../kernel/fault.ts';
import type { SessionLog } from '../session/ports.ts';
import { endingsOf, type Occupant, type SpoolLimits, type SpoolState, spoolRefusalOf } from './spool-budget.ts';

const LOOK_MS = 1_000;
/** The spool is measured at every fifth look at the disk. */
const LOOKS_PER_MEASURE = 5;
/**
 * After one recording was ended the next may be ended only this much later: the files of the first are stored
 * meanwhile, and that makes room.
 */
const ROOM_COMES_MS = 30_000;
/** The same pause where the disk itself is nearly full. */
const FULL_MS = 2_000;

export type DiskWatchOptions = {
  clock: Clock;
  log: SessionLog;
  /** A folder on the disk that is watched. */
  spoolRoot: string;
  limits: SpoolLimits;
  isShared: boolean;
  /** Bytes on the spool by sid. */
  measure(): Promise<ReadonlyMap<string, number>>;
  /** Bytes by App ID that the backup store keeps on this disk. */
  backupBytes(): Promise<ReadonlyMap<string, number>>;
  /** The recordings that have not ended. */
  recordings(): Omit<Occupant, 'bytes'>[];
  /** Ends a running recording in order. */
  end(sid: string, why: string): void;
};

export class DiskWatch {
  readonly #o: DiskWatchOptions;
  #timer: Timer | undefined;
  #looking: Promise<void> | undefined;
  #looks = 0;
  #bytes: ReadonlyMap<string, number> = new Map();
  #backupBytes: ReadonlyMap<string, number> = new Map();
  #disk = { freeBytes: Number.POSITIVE_INFINITY, diskBytes: Number.POSITIVE_INFINITY };
  #notBeforeUs = Number.NEGATIVE_INFINITY;
  #wasFull = false;

  constructor(options: DiskWatchOptions) {
    this.#o = options;
  }

  /** Begins to watch. Resolves after the first look. */
  async start(): Promise<void> {
    this.#timer = this.#o.clock.every(LOOK_MS, () => void this.look());
    await this.look();
  }

  async close(): Promise<void> {
    this.#timer?.cancel();
    await this.#looking;
  }

  /** Why no recording of this app may begin, in words; undefined when one may. */
  refusalOf(appid: string): string | undefined {
    return spoolRefusalOf(appid, this.#state(), this.#o.limits);
  }

  /** What was seen last, bytes: what recordings take of the spool, and its disk. */
  get seen(): { bytes: number; freeBytes: number; sizeBytes: number } {
    const { spoolBytes, freeBytes, diskBytes } = this.#state();
    return { bytes: spoolBytes, freeBytes, sizeBytes: diskBytes };
  }

  /** Looks now. A call that comes during a look waits for that look. */
  look(): Promise<void> {
    this.#looking ??= this.#look()
      .catch((error) => this.#o.log.warn({ error: messageOf(error) }, 'the disk of the spool cannot be looked at'))
      .finally(() => {
        this.#looking = undefined;
      });
    return this.#looking;
  }

  async #look(): Promise<void> {
    const { spoolRoot, measure, backupBytes, clock, limits } = this.#o;
    const { bavail, blocks, bsize } = await statfs(spoolRoot);
    this.#disk = { freeBytes: bavail * bsize, diskBytes: blocks * bsize };
    const isFull = this.#disk.freeBytes < limits.reserveBytes;
    if (this.#looks++ % LOOKS_PER_MEASURE === 0 || isFull) {
      this.#bytes = await measure();
      this.#backupBytes = await backupBytes();
    }
    this.#sayFull(isFull);
    const isUrgent = this.#disk.freeBytes < limits.reserveBytes / 2;
    if (clock.monoUs() < this.#notBeforeUs && !isUrgent) return;
    const endings = endingsOf(this.#state(), limits);
    if (endings.length > 0) this.#notBeforeUs = clock.monoUs() + (isFull ? FULL_MS : ROOM_COMES_MS) * 1000;
    for (const { sid, why } of endings) {
      this.#o.log.error({ sid, ...this.#disk, bytes: this.#bytes.get(sid) }, `a recording is ended: ${why}`);
      this.#o.end(sid, why);
    }
  }

  #sayFull(isFull: boolean): void {
    if (isFull === this.#wasFull) return;
    this.#wasFull = isFull;
    const { log, limits } = this.#o;
    const details = { ...this.#disk, reserveBytes: limits.reserveBytes };
    if (isFull) log.error(details, 'the disk of the spool is nearly full: recordings are ended, and no more begun');
    else log.info(details, 'the disk of the spool has room again');
  }

  #state(): SpoolState {
    const { recordings, isShared } = this.#o;
    const occupants = recordings().map((each) => ({ ...each, bytes: this.#bytes.get(each.sid) ?? 0 }));
    const spoolBytes = [...this.#bytes.values()].reduce((sum, bytes) => sum + bytes, 0);
    return { ...this.#disk, spoolBytes, occupants, backupBytes: this.#backupBytes, isShared };
  }
}
