/**
 * Supervisor: starts a recorder process per recording, checks every Fact it sends, watches that it is alive, and sees to it
 * that it ends. Why a process ended is always told, in words.
 */
import { type ChildProcess, execFile, fork } from 'node:child_process';
import { createInterface } from 'node:readline';
import type { ChangeCommand, Command, StartCommand } from '../contract/line/commands.ts';
import { type Fact, factSchema } from '../contract/line/facts.ts';
import type { Clock, Timer } from '../kernel/clock.ts';
import { Fault, messageOf } from '../kernel/fault.ts';
import type { RecorderPort, RecorderProcess, SessionLog, SpoolWork } from '../session/ports.ts';

export type SupervisorOptions = {
  clock: Clock;
  log: SessionLog;
  /** The script that is run, and its arguments. */
  entry: string;
  args: string[];
  /** The environment of the processes. */
  env: Record<string, string | undefined>;
  /** For recorders that pass pictures on, whose memory is little but for what waits to be collected; on top of `env`. */
  passing?: { flags: readonly string[]; env: Record<string, string> } | undefined;
  readyTimeoutMs: number;
  /** From the stop Command to SIGTERM; SIGKILL follows `KILL_AFTER_MS` later. */
  stopTimeoutMs: number;
};
export type Pong = Extract<Fact, { type: 'pong' }>;

const PING_EVERY_MS = 2_000;
/** A process that answers no ping for so long hangs. */
const SILENCE_MS = 10_000;
const KILL_AFTER_MS = 5_000;

export class Supervisor implements RecorderPort {
  #options: SupervisorOptions;
  #running = new Set<Recorder>();

  constructor(options: SupervisorOptions) {
    this.#options = options;
  }

  launch(start: StartCommand, onFact: (fact: Fact) => void, onExit: (why: string) => void): RecorderProcess {
    const recorder = new Recorder(this.#options, start, onFact, (why) => {
      this.#running.delete(recorder);
      onExit(why);
    });
    this.#running.add(recorder);
    return recorder;
  }

  isAlive(pid: number): boolean {
    try {
      process.kill(pid, 0);
      return true;
    } catch {
      return false;
    }
  }

  complete(spoolDir: string, work: SpoolWork): Promise<void> {
    const { entry, env, log } = this.#options;
    const args = [entry, 'complete', '--work', JSON.stringify(work), spoolDir];
    return new Promise((resolve, reject) => {
      execFile(process.execPath, args, { env }, (error, stdout, stderr) => {
        if (error) {
          reject(new Fault('complete-failed', stderr.trim() || error.message, { blame: 'self', cause: error }));
          return;
        }
        log.info({ spoolDir, files: stdout.trim().split('\n') }, 'spool completed');
        resolve();
      });
    });
  }

  /** The newest answer of each running process, by sid. */
  pongs(): Map<string, Pong> {
    const pongs = new Map<string, Pong>();
    for (const { sid, pong } of this.#running) if (pong) pongs.set(sid, pong);
    return pongs;
  }

  /** Kills what still runs, and resolves when all are gone. */
  async close(): Promise<void> {
    const running = [...this.#running];
    for (const recorder of running) recorder.kill();
    await Promise.all(running.map((recorder) => recorder.exited));
  }
}

class Recorder implements RecorderProcess {
  readonly sid: string;
  readonly pid: number;
  readonly exited: Promise<void>;
  pong: Pong | undefined;
  #child: ChildProcess;
  #options: SupervisorOptions;
  #onFact: (fact: Fact) => void;
  #timers = new Set<Timer>();
  #ready: Timer;
  #heardUs: number;
  #pings = 0;
  #started = false;
  #stopping = false;
  /** What came before `start` was sent, in order. */
  #early: Command[] = [];
  /** What we ended it for, which says more than the signal it died of. */
  #killedFor: string | undefined;

  constructor(
    options: SupervisorOptions,
    start: StartCommand,
    onFact: (fact: Fact) => void,
    onExit: (why: string) => void,
  ) {
    const { clock, entry, args, passing, readyTimeoutMs } = options;
    const own = start.plan.mode === 'individual' ? passing : undefined;
    const env = { ...options.env, ...own?.env };
    this.#options = options;
    this.sid = start.plan.sid;
    this.#onFact = onFact;
    this.#heardUs = clock.monoUs();
    // Nothing of our own execArgv: an inspector port, say, is not meant for the child.
    const execArgv = [...(own?.flags ?? [])];
    this.#child = fork(entry, args, { env, execArgv, stdio: ['ignore', 'ignore', 'pipe', 'ipc'] });
    const pid = this.#child.pid;
    this.exited = new Promise((resolve) => {
      let told = false;
      const end = (why: string) => {
        if (told) return;
        told = true;
        for (const timer of this.#timers) timer.cancel();
        if (pid !== undefined) onExit(why);
        resolve();
      };
      // `close` rather than `exit`: facts that are still in the pipe come first.
      this.#child.on('close', (code, signal) => end(this.#killedFor ?? wordsOf(code, signal)));
      this.#child.on('error', (error) => {
        if (pid === undefined) end(messageOf(error));
        else options.log.warn({ sid: this.sid, error: messageOf(error) }, 'recorder process');
      });
    });
    if (pid === undefined)
      throw new Fault('recorder-not-started', 'the recorder process could not be started', { blame: 'self' });
    this.pid = pid;
    this.#child.on('message', (message) => this.#hear(message, start));
    if (this.#child.stderr)
      createInterface({ input: this.#child.stderr }).on('line', (line) =>
        options.log.warn({ sid: this.sid, pid }, `recorder: ${line}`),
      );
    this.#ready = this.#later(readyTimeoutMs, () => {
      this.#kill(`the recorder process was not ready after ${readyTimeoutMs} ms`);
    });
  }

  stop(atMonoUs: number): void {
    if (this.#stopping) return;
    this.#stopping = true;
    this.#tell({ type: 'stop', atMonoUs });
    const { stopTimeoutMs } = this.#options;
    this.#later(stopTimeoutMs, () => {
      this.#killedFor ??= `the recorder had not finished ${stopTimeoutMs} ms after a stop`;
      this.#child.kill('SIGTERM');
      this.#later(KILL_AFTER_MS, () => this.kill());
    });
  }

  /** After a stop there is nothing left to change, and the command is ignored. */
  change(command: ChangeCommand): void {
    if (!this.#stopping) this.#tell(command);
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }

  #kill(why: string): void {
    this.#killedFor ??= why;
    this.kill();
  }

  #hear(message: unknown, start: StartCommand): void {
    const { clock, log } = this.#options;
    const parsed = factSchema.safeParse(message);
    if (!parsed.success) {
      log.error({ sid: this.sid }, `a fact of the recorder is malformed and was ignored: ${parsed.error.message}`);
      return;
    }
    const fact = parsed.data;
    this.#heardUs = clock.monoUs();
    if (fact.type === 'ready') {
      this.#ready.cancel();
      this.#send(start);
      this.#started = true;
      for (const command of this.#early.splice(0)) this.#send(command);
      this.#timers.add(clock.every(PING_EVERY_MS, () => this.#ping()));
    }
    if (fact.type === 'pong') this.pong = fact;
    this.#onFact(fact);
  }

  #ping(): void {
    const silentMs = (this.#options.clock.monoUs() - this.#heardUs) / 1000;
    if (silentMs > SILENCE_MS) this.#kill(`the recorder process was silent for ${Math.round(silentMs / 1000)} s`);
    else this.#send({ type: 'ping', n: ++this.#pings });
  }

  /** Before `start` was sent, a stop would end the process with nothing recorded of what the feed holds already. */
  #tell(command: Command): void {
    if (this.#started) this.#send(command);
    else this.#early.push(command);
  }

  #send(command: Command): void {
    // A process that is ending has closed its channel; that it ends is told by `close`.
    if (this.#child.connected) this.#child.send(command, () => {});
  }

  #later(delayMs: number, run: () => void): Timer {
    const timer = this.#options.clock.after(delayMs, run);
    this.#timers.add(timer);
    return timer;
  }
}

function wordsOf(code: number | null, signal: NodeJS.Signals | null): string {
  return signal ? `the recorder process was ended by ${signal}` : `the recorder process ended with exit code ${code}`;
}
