/**
 * TakeWatch: one recording of a show while it runs: asks how it is all the time, changes its layout, harms its
 * recorder, and sees from the bytes on the spool how soon it is live again.
 */
import { readdirSync, statSync } from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { LayoutChange } from '../media/plan.ts';
import { lastWritten } from '../support/judge/user-streams.ts';
import { isAlive, type ProcessRef, recorderOf, signal, workersOf } from '../support/processes.ts';
import { type Reply, type TestRecording, until } from '../support/test-server.ts';
import type { Harm, Take } from './show.ts';

const QUERY_EVERY_MS = 200;
const LOOK_EVERY_MS = 100;
const KILL_EVERY_MS = 50;
/** A recording that is not live again by then is said not to be. */
const GIVEN_UP_MS = 25_000;
/** By then a recorder that was lost must have been replaced, so that the next one can be harmed. */
const REPLACED_WITHIN_MS = 10_000;
/** `mixedVideoLayout` (contract §1.2.3). */
const LAYOUT_NUMBERS = { floating: 0, bestFit: 1 } as const;

/** One loss of a recorder, and what came after it. */
export type Takeover = {
  harm: Harm;
  pid: number;
  /** Wall time of the harm, seconds. */
  atWallS: number;
  /**
   * From the process's end until a picture or sound from after the harm was on the disk; undefined when the recording
   * ended before.
   */
  liveAfterMs?: number | undefined;
};

/** What a client saw of one recording. */
export type Watched = {
  /** Answers to query that were not 200 while it had not been stopped, and their number in all. */
  badQueries: { atS: number; status: number; body: unknown }[];
  queries: number;
  /** Calls to query that reached no server. */
  unreached: number;
  /** The longest that an answer to query took, milliseconds. */
  slowestMs: number;
  /** What failed of what the show does to it. */
  failures: string[];
  stopped: Reply | undefined;
  /** Wall time of the stop call and of its answer, seconds. */
  stopCalledS: number;
  stopAnsweredS: number;
  takeovers: Takeover[];
  /** Processes that were killed from the stop call on. */
  killedFromStop: number;
};

export class TakeWatch {
  readonly take: Take;
  readonly recording: TestRecording;
  readonly cname: string;
  readonly dir: string;
  readonly layouts: LayoutChange[] = [];
  readonly #dataDir: string;
  readonly #watched: Watched = {
    ...{
      badQueries: [],
      queries: 0,
      unreached: 0,
      slowestMs: 0,
      failures: [],
      stopped: undefined,
      takeovers: [],
      killedFromStop: 0,
    },
    ...{ stopCalledS: Number.NaN, stopAnsweredS: Number.NaN },
  };
  readonly #looks: Promise<void>[] = [];
  readonly #asking: Promise<void>;
  #over = false;
  #stopping: Promise<void> | undefined;

  constructor(of: { take: Take; recording: TestRecording; dataDir: string; cname: string; dir: string }) {
    this.take = of.take;
    this.recording = of.recording;
    this.cname = of.cname;
    this.dir = of.dir;
    this.#dataDir = of.dataDir;
    this.#asking = this.#ask();
  }

  get zeroWallS(): number {
    return this.recording.calledAtMs / 1000;
  }

  /** Does to this recording what the show does to it. @param zeroWallS what the show's times count from */
  async play(zeroWallS: number): Promise<void> {
    const { harm, layouts = [], stopAtS } = this.take;
    const at = async (atS: number, what: string, run: () => Promise<unknown>) => {
      await pause(Math.max(0, (zeroWallS + atS) * 1000 - Date.now()));
      await run().catch((error: Error) => this.#watched.failures.push(`${what} at ${atS} s: ${error.message}`));
    };
    await Promise.all([
      // One after another: the second kill is for the recorder that took over.
      (async () => {
        for (const each of harm) await at(each.atS, each.does, () => this.#harm(each));
      })(),
      ...layouts.map(({ atS, layout }) => at(atS, layout, () => this.#changeLayout(layout))),
      ...(stopAtS === undefined ? [] : [at(stopAtS, 'stop', () => this.#stop({ async_stop: true }))]),
    ]);
  }

  /** Stops it, unless that was done, and resolves when the answer is there. */
  async end(): Promise<Watched> {
    if (!this.take.ends) await this.#stop({});
    // What a client does that is answered so: the same call again.
    if (this.take.mayTimeOut && this.#watched.stopped?.status === 504)
      this.#watched.stopped = await this.recording.stop();
    this.close();
    await Promise.all([this.#asking, ...this.#looks]);
    return this.#watched;
  }

  close(): void {
    this.#over = true;
  }

  async #ask(): Promise<void> {
    while (!this.#over && !this.#stopping) {
      const began = performance.now();
      const reply = await this.recording.query().catch(() => undefined);
      // What was asked before a stop may be answered after it.
      if (this.#stopping || this.#over) return;
      this.#watched.queries++;
      this.#watched.slowestMs = Math.max(this.#watched.slowestMs, performance.now() - began);
      if (!reply) this.#watched.unreached++;
      else if (reply.status !== 200 && !(this.take.mayTimeOut && reply.status === 504))
        this.#watched.badQueries.push({ atS: Date.now() / 1000 - this.zeroWallS, ...reply });
      await pause(QUERY_EVERY_MS);
    }
  }

  #stop(request: object): Promise<void> {
    this.#stopping ??= (async () => {
      this.#watched.stopCalledS = Date.now() / 1000;
      const kills = this.#killWorkers(this.take.killsFromStop ?? 0);
      this.#watched.stopped = await this.recording.stop(request);
      this.#watched.stopAnsweredS = Date.now() / 1000;
      this.close();
      await kills;
    })();
    return this.#stopping;
  }

  /** Kills whoever works on the recording, one after another, until it is over. */
  async #killWorkers(times: number): Promise<void> {
    const killed: number[] = [];
    while (killed.length < times && !this.#over) {
      const next = workersOf(this.#dataDir, this.recording.sid).find(({ pid }) => !killed.includes(pid));
      if (next && signal(next, 'SIGKILL')) killed.push(next.pid);
      await pause(KILL_EVERY_MS);
    }
    this.#watched.killedFromStop = killed.length;
  }

  async #changeLayout(layout: LayoutChange['layout']): Promise<void> {
    const fromS = Date.now() / 1000 - this.zeroWallS;
    const { status, body } = await this.recording.updateLayout({ mixedVideoLayout: LAYOUT_NUMBERS[layout] });
    if (status !== 200) throw new Error(`updateLayout answered ${status}: ${JSON.stringify(body)}`);
    this.layouts.push({ fromS, toS: Date.now() / 1000 - this.zeroWallS, layout });
  }

  async #harm(harm: Harm): Promise<void> {
    const earlier = this.#watched.takeovers.map(({ pid }) => pid);
    const recorder = await until(
      `a recorder of ${this.recording.sid} to ${harm.does}`,
      () => {
        const found = recorderOf(this.#dataDir, this.recording.sid);
        return found && !earlier.includes(found.pid) && found;
      },
      REPLACED_WITHIN_MS,
    );
    const atWallS = Date.now() / 1000;
    if (harm.does !== 'share') signal(recorder, harm.does === 'kill' ? 'SIGKILL' : 'SIGSTOP');
    const takeover: Takeover = { harm, pid: recorder.pid, atWallS };
    this.#watched.takeovers.push(takeover);
    this.#looks.push(this.#lookForLife(takeover, recorder));
  }

  /** Waits until something that was seen or heard after the harm lies on the disk. */
  async #lookForLife(takeover: Takeover, lost: ProcessRef): Promise<void> {
    const endMs = performance.now() + GIVEN_UP_MS;
    const sinceS = takeover.atWallS - this.zeroWallS;
    // What hangs is on its way to be replaced only when it is gone.
    while (isAlive(lost) && performance.now() < endMs && !this.#over) await pause(LOOK_EVERY_MS);
    const goneMs = Date.now();
    // To read what has not grown would take the machine from those that are to write.
    const read = new Map<string, number>();
    const isNew = ({ path, bytes }: Slice) => {
      if (read.get(path) === bytes) return false;
      read.set(path, bytes);
      return lastWritten(path) > sinceS;
    };
    while (performance.now() < endMs && !this.#over) {
      if (newestSlices(join(this.#dataDir, 'spool', this.recording.sid)).some(isNew)) {
        takeover.liveAfterMs = Date.now() - goneMs;
        return;
      }
      await pause(LOOK_EVERY_MS);
    }
  }
}

type Slice = { path: string; bytes: number };

/** The slices in a recording's folder that were written to within the last seconds, finished or not. */
function newestSlices(folder: string): Slice[] {
  let names: string[];
  try {
    names = readdirSync(folder, { recursive: true }) as string[];
  } catch {
    return []; // all is stored, and the folder gone
  }
  return names
    .filter((name) => /\.(ts|webm)(\.part)?$/.test(basename(name)))
    .map((name) => join(folder, name))
    .flatMap((path) => {
      try {
        const { size, mtimeMs } = statSync(path);
        return Date.now() - mtimeMs < 3000 ? [{ path, bytes: size }] : [];
      } catch {
        return []; // finished meanwhile, and so renamed
      }
    });
}
