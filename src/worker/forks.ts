/**
 * Forks: has processes started by a small process beside the server (`fork-server.ts`). To fork a process the system
 * copies its page tables, and the process stands still meanwhile: for the server 50 ms or more in which packets wait.
 * What children say, and how they end, is reported by that small process.
 */
import { type ChildProcess, fork } from 'node:child_process';
import { extname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { type Clock, sleep, type Timer } from '../kernel/clock.ts';
import { Fault, messageOf } from '../kernel/fault.ts';
import type { SessionLog } from '../session/ports.ts';
import type { ProcessIdentity } from '../session/run-record.ts';
import { identityOf, isAlive, killGroup, signalGroup, signalProcess } from './process-identity.ts';
import { steadyTicks } from './steady-ticks.ts';

/** What is started: a script under this Node, in a process group of its own. */
export type ForkSpec = {
  entry: string;
  args: readonly string[];
  /** Flags of Node itself. */
  flags: readonly string[];
  env: Record<string, string | undefined>;
  /**
   * All that it reads on standard input; its output is then read too. Without this it has neither, and exchanges
   * messages.
   */
  input?: string;
};
/** How a child ended; `lost` when nobody is left to say. */
export type ForkEnd = { code: number | null; signal: NodeJS.Signals | null } | { lost: string };
export type ForkListener = {
  /** The process exists. */
  onStarted?(process: ProcessIdentity): void;
  onMessage?(message: unknown): void;
  onLine(from: 'stdout' | 'stderr', line: string): void;
  /** Called once, after everything else. Nothing that the child started is left. */
  onClosed(end: ForkEnd): void;
};

/** Orders to the fork server; `n` is our number for the child. */
export type ForkOrder = { n: number } & (
  | { type: 'start'; spec: ForkSpec }
  | { type: 'send'; message: unknown }
  | { type: 'disconnect' }
);
/** Reports of the fork server. */
export type ForkReport = { n: number } & (
  | { type: 'started'; pid: number }
  | { type: 'heard'; message: unknown }
  | { type: 'line'; from: 'stdout' | 'stderr'; line: string }
  | { type: 'troubled'; error: string }
  | { type: 'closed'; end: ForkEnd }
);

/** It holds little and does little: a small heap and one thread to collect it are enough. */
const FLAGS = ['--max-semi-space-size=1', '--optimize-for-size', '--single-threaded-gc'];
/** After this many ticks without a report on a child that we killed, the fork server hangs. */
const MAX_TICKS_TO_TELL = 5;
const LOOK_MS = 20;

export type ForksOptions = {
  clock: Clock;
  log: SessionLog;
  env: Record<string, string | undefined>;
  /** The script that is begun in place of one, as things are when a child is started. By default that very one. */
  present?: (entry: string) => string;
};

export class Forks {
  #options: ForksOptions;
  #server: ChildProcess | undefined;
  #children = new Map<number, Fork>();
  #count = 0;
  #closed = false;

  constructor(options: ForksOptions) {
    this.#options = options;
  }

  /** Pid of the fork server; undefined while there is none. */
  get pid(): number | undefined {
    return this.#server?.pid;
  }

  /** Starts the fork server. That costs least while this process is small. Throws a Fault when it cannot be started. */
  open(): void {
    if (this.#server) return;
    const { env, log } = this.#options;
    const own = fileURLToPath(import.meta.url);
    // A group of its own: Ctrl-C at the server does not cut recorders off from it.
    const server = fork(join(own, '..', `fork-server${extname(own)}`), [], {
      env,
      execArgv: FLAGS,
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
      detached: true,
    });
    this.#server = server;
    server.on('error', (error) => {
      log.error({ error: messageOf(error) }, 'the process that starts recorders has trouble');
    });
    if (server.pid === undefined) {
      this.#server = undefined;
      throw new Fault('recorder-not-started', 'the process that starts recorders cannot be started', { blame: 'self' });
    }
    server.on('message', (report: ForkReport) => this.#children.get(report.n)?.hear(report));
    server.on('exit', (code, signal) => this.#lose(server, signal ?? `exit code ${code}`));
    if (server.stderr)
      createInterface({ input: server.stderr }).on('line', (line) =>
        log.warn({ pid: server.pid }, `the process that starts recorders: ${line}`),
      );
  }

  /** Starts a child. Throws a Fault when there is no fork server to start it. */
  start(spec: ForkSpec, listener: ForkListener): Fork {
    if (this.#closed) throw new Fault('recorder-not-started', 'the server is ending', { blame: 'self' });
    this.open();
    const entry = this.#present(spec.entry);
    const n = ++this.#count;
    const child = new Fork({
      ...this.#options,
      listener: {
        ...listener,
        onClosed: (end) => {
          this.#children.delete(n);
          listener.onClosed(end);
        },
      },
      order: (order) => this.#order({ ...order, n } as ForkOrder),
      onUntold: () => this.#giveUp(),
    });
    this.#children.set(n, child);
    this.#order({ type: 'start', n, spec: { ...spec, entry } });
    return child;
  }

  /** Ends the fork server and lets go of children that are still there. Resolves when it is gone. */
  async close(): Promise<void> {
    this.#closed = true;
    const server = this.#server;
    if (!server) return;
    const gone = new Promise((resolve) => server.once('exit', resolve));
    if (server.connected) server.disconnect();
    if (this.#children.size > 0) server.kill('SIGKILL');
    await gone;
  }

  #present(entry: string): string {
    const { present, log } = this.#options;
    const begun = present?.(entry) ?? entry;
    if (begun !== entry) log.warn({ entry, begun }, 'the script of children is gone, and they begin with another');
    return begun;
  }

  #order(order: ForkOrder): void {
    // A fork server that is ending reports it by `exit`.
    if (this.#server?.connected) this.#server.send(order, () => {});
  }

  #giveUp(): void {
    this.#options.log.error({ pid: this.pid }, 'the process that starts recorders hangs, and is ended');
    this.#server?.kill('SIGKILL');
  }

  /**
   * Without the fork server nothing more is heard of its children: they are ended, so that others can take their
   * places.
   */
  #lose(server: ChildProcess, how: string): void {
    if (this.#server === server) this.#server = undefined;
    const left = [...this.#children.values()];
    if (this.#closed && left.length === 0) return;
    const why = `the process that starts recorders was ended (${how})`;
    this.#options.log.error({ children: left.length }, why);
    for (const child of left) void child.lose(why);
  }
}

type ForkOptions = {
  clock: Clock;
  log: SessionLog;
  listener: ForkListener;
  order(order: { type: 'send'; message: unknown } | { type: 'disconnect' }): void;
  /** The child was killed, and its end was not reported. */
  onUntold(): void;
};

/** A child of the fork server. */
export class Fork {
  #options: ForkOptions;
  #identity: ProcessIdentity | undefined;
  #isOver = false;
  #isKilled = false;
  #untold: Timer | undefined;

  constructor(options: ForkOptions) {
    this.#options = options;
  }

  /** Undefined until the process exists. */
  get identity(): ProcessIdentity | undefined {
    return this.#identity;
  }

  send(message: unknown): void {
    this.#options.order({ type: 'send', message });
  }

  /** Closes the channel of messages to the child. Its end is still reported. */
  disconnect(): void {
    this.#options.order({ type: 'disconnect' });
  }

  /** Asks the child to end. */
  terminate(): void {
    const identity = this.#identity;
    if (!this.#isOver && identity && isAlive(identity)) signalProcess(identity.pid, 'SIGTERM');
  }

  /** Ends the child and everything it started by force; a child that does not exist yet is ended as soon as it does. */
  kill(): void {
    if (this.#isOver) return;
    this.#isKilled = true;
    if (this.#identity && isAlive(this.#identity)) signalGroup(this.#identity.pid, 'SIGKILL');
    let ticks = 0;
    this.#untold ??= steadyTicks(this.#options.clock, (late) => {
      if (!late && ++ticks === MAX_TICKS_TO_TELL) this.#options.onUntold();
    });
  }

  /** Takes a report of the fork server on this child. */
  hear(report: ForkReport): void {
    const { listener, log } = this.#options;
    switch (report.type) {
      case 'started': {
        const { pid } = report;
        this.#identity = identityOf(pid) ?? { pid, startTicks: undefined, bootId: undefined };
        listener.onStarted?.(this.#identity);
        if (this.#isKilled) this.kill();
        return;
      }
      case 'heard':
        listener.onMessage?.(report.message);
        return;
      case 'line':
        listener.onLine(report.from, report.line);
        return;
      case 'troubled':
        log.warn({ pid: this.#identity?.pid, error: report.error }, 'a child process has trouble');
        return;
      case 'closed':
        this.#close(report.end);
        return;
    }
  }

  /** Ends the child when nothing more can be heard of it. Resolves when it is gone. */
  async lose(why: string): Promise<void> {
    const identity = this.#identity;
    this.#untold?.cancel();
    if (identity) {
      killGroup(identity);
      while (isAlive(identity)) await sleep(this.#options.clock, LOOK_MS);
    }
    this.#close({ lost: why });
  }

  #close(end: ForkEnd): void {
    if (this.#isOver) return;
    this.#isOver = true;
    this.#untold?.cancel();
    this.#options.listener.onClosed(end);
  }
}
