/**
 * StandbyNeeds: tells the other nodes which recordings of this one want a second recorder elsewhere, and what that one
 * must know (ADR 0037). It hears what happens to the recordings, and nothing waits for it.
 */
import type { Fact } from '../../contract/line/facts.ts';
import type { Clock, Timer } from '../../kernel/clock.ts';
import { messageOf } from '../../kernel/fault.ts';
import type { HostUs, RecordingUs } from '../../kernel/time.ts';
import type { Log } from '../../observe/log.ts';
import { sliceGrid } from '../../pipeline/mix/slice-grid.ts';
import type { TaskObserver } from '../../session/ports.ts';
import { canStandBy } from '../../session/standby-plan.ts';
import type { Task, TaskEvent, TaskState } from '../../session/task.ts';
import type { StandbyTables } from '../../store/standby-tables.ts';

export type StandbyNeedsOptions = {
  tables: Pick<StandbyTables, 'want' | 'place' | 'hold' | 'end' | 'unmet'>;
  /** A moment of this node by the clock of the home from which a recording reads its channel. */
  homeMoment(sid: string, ownUs: HostUs): { home: string; us: HostUs };
  clock: Clock;
  log: Log;
};

/** How often it is looked whether recordings wait for a node. */
const LOOK_MS = 5_000;

/** What is known of a recording. Writes of one follow each other. */
type Need = {
  zeroUtcMs: number;
  originUs: RecordingUs | undefined;
  /** It is told, of the run at work, where a slice begins. */
  isPlaced: boolean;
  isHeld: boolean;
  last: Promise<unknown>;
};

export class StandbyNeeds implements TaskObserver {
  readonly #o: StandbyNeedsOptions;
  readonly #needs = new Map<string, Need>();
  readonly #unmet = new Set<string>();
  readonly #timer: Timer;
  #looking: Promise<void> | undefined;

  constructor(options: StandbyNeedsOptions) {
    this.#o = options;
    this.#timer = options.clock.every(LOOK_MS, () => {
      if (this.#needs.size === 0) return;
      this.#looking ??= this.#look()
        .catch((error) => options.log.debug({ error: messageOf(error) }, 'standbys could not be looked after'))
        .finally(() => {
          this.#looking = undefined;
        });
    });
  }

  onEvent(task: Task, event: TaskEvent, _before: TaskState, after: TaskState): void {
    const { sid, document } = task;
    const { plan } = document;
    if (!document.standby || !canStandBy(plan)) return;
    const { tables } = this.#o;
    if (after.phase === 'ended') {
      const last = this.#needs.get(sid)?.last ?? Promise.resolve();
      this.#needs.delete(sid);
      void last.then(() => tables.end(sid)).catch((error) => this.#tellUnwritten(sid, error));
      this.#unmet.delete(sid);
      return;
    }
    // Without a start of the machine no moment of its clock can be told.
    if (event.type === 'runLaunched' && event.zeroMono) this.#want(sid, event.zeroMono.us, event.zeroUtcMs);
    const need = this.#needs.get(sid);
    // Slices of single users need not begin where others do.
    if (need && plan.mode === 'mix' && plan.onhold && !need.isHeld) {
      need.isHeld = true;
      this.#write(sid, () => tables.hold(sid));
    }
  }

  onFact({ sid, document: { plan } }: Task, fact: Fact): void {
    const need = this.#needs.get(sid);
    if (!need || !canStandBy(plan)) return;
    if (fact.type === 'firstFrameRecorded') need.originUs = fact.recordingUs;
    if (fact.type !== 'sliceStarted' || need.isPlaced) return;
    need.isPlaced = true;
    const { startUtcMs } = fact;
    this.#write(sid, async () => {
      const { originUs, zeroUtcMs } = need;
      if (originUs === undefined) return;
      // To the millisecond; frames and blocks of sound are further apart.
      const perS = plan.mode === 'mix' ? sliceGrid(plan.video?.fps).ratePerS : 0;
      const frame = Math.round(((startUtcMs - zeroUtcMs - originUs / 1000) * perS) / 1000);
      await this.#o.tables.place(sid, originUs, Math.max(0, frame));
    });
  }

  #want(sid: string, zeroUs: HostUs, zeroUtcMs: number): void {
    const known = this.#needs.get(sid);
    const need = known ?? { zeroUtcMs, originUs: undefined, isPlaced: false, isHeld: false, last: Promise.resolve() };
    this.#needs.set(sid, need);
    need.isPlaced = false;
    this.#write(sid, async () => {
      const moment = this.#o.homeMoment(sid, zeroUs);
      const originUs = await this.#o.tables.want(sid, moment.home, moment.us);
      need.originUs ??= originUs;
    });
  }

  /** Writes after what was to be written of the recording before; what fails is written with the next run. */
  #write(sid: string, write: () => Promise<unknown>): void {
    const need = this.#needs.get(sid);
    if (!need) return;
    need.last = need.last.then(write).catch((error) => this.#tellUnwritten(sid, error));
  }

  #tellUnwritten(sid: string, error: unknown): void {
    this.#o.log.warn({ sid, error: messageOf(error) }, 'the database does not know what a standby must know');
  }

  async #look(): Promise<void> {
    const unmet = new Set(await this.#o.tables.unmet());
    for (const sid of unmet) {
      if (this.#unmet.has(sid)) continue;
      this.#unmet.add(sid);
      this.#o.log.warn({ sid }, 'no other node has room for the standby of a recording; it is recorded here alone');
    }
    for (const sid of this.#unmet) if (!unmet.has(sid)) this.#unmet.delete(sid);
  }

  onLeft({ sid }: Task): void {
    this.#needs.delete(sid);
    this.#unmet.delete(sid);
  }

  async close(): Promise<void> {
    this.#timer.cancel();
    await this.#looking;
  }
}
