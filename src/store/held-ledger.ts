/**
 * HeldLedger: the ledger of a task that this server owns. It writes later: an upload never waits for the database, and
 * many changes of one object cost one write.
 */
import type { ObjectRecord, UploadLedger } from '../contract/line/objects.ts';
import { type Clock, sleep } from '../kernel/clock.ts';
import { messageOf } from '../kernel/fault.ts';
import { isFenced } from '../session/hold.ts';
import type { SessionLog } from '../session/ports.ts';

/** How soon a failing database is tried again. */
const AGAIN_MS = 1_000;

type HeldRows = {
  save(records: readonly ObjectRecord[]): Promise<void>;
  read(): Promise<ObjectRecord[]>;
};

export class HeldLedger implements UploadLedger {
  readonly #records: Map<string, ObjectRecord>;
  /** Objects that were noted here: nobody else changes their rows. */
  readonly #own = new Set<string>();
  readonly #rows: HeldRows;
  readonly #clock: Clock;
  readonly #log: SessionLog;
  #unsaved = new Map<string, ObjectRecord>();
  #saving: Promise<void> | undefined;
  #fenced: unknown;

  constructor(records: readonly ObjectRecord[], rows: HeldRows, clock: Clock, log: SessionLog) {
    this.#records = new Map(records.map((record) => [record.name, record]));
    this.#rows = rows;
    this.#clock = clock;
    this.#log = log;
  }

  known(name: string): ObjectRecord | undefined {
    return this.#records.get(name);
  }

  all(): ObjectRecord[] {
    return [...this.#records.values()];
  }

  async refresh(): Promise<void> {
    for (const record of await this.#rows.read())
      if (!this.#own.has(record.name)) this.#records.set(record.name, record);
  }

  note(record: ObjectRecord): void {
    this.#own.add(record.name);
    this.#records.set(record.name, record);
    if (this.#fenced !== undefined) return;
    this.#unsaved.set(record.name, record);
    this.#saving ??= this.#saveAll();
  }

  async settled(): Promise<void> {
    while (this.#saving !== undefined) await this.#saving;
    if (this.#fenced !== undefined) throw this.#fenced;
  }

  async #saveAll(): Promise<void> {
    // Everything that is noted in this turn of the event loop is written together.
    await Promise.resolve();
    let isFailing = false;
    while (this.#unsaved.size > 0) {
      const batch = this.#unsaved;
      this.#unsaved = new Map();
      try {
        await this.#rows.save([...batch.values()]);
        isFailing = false;
      } catch (error) {
        if (isFenced(error)) {
          this.#fenced = error;
          break;
        }
        if (!isFailing)
          this.#log.warn({ error: messageOf(error) }, 'the ledger of uploads cannot be written; it is tried again');
        isFailing = true;
        // What was noted meanwhile is newer and wins.
        this.#unsaved = new Map([...batch, ...this.#unsaved]);
        await sleep(this.#clock, AGAIN_MS);
      }
    }
    // In the very turn of the last look at what waits: a note that comes after it begins anew.
    this.#saving = undefined;
  }
}
