/**
 * PageMeter: what the programs of a page take of the machine, by what Linux tells of them and of all processes that
 * they started.
 */
import { readdir, readFile } from 'node:fs/promises';

/** Clock ticks per second of /proc/<pid>/stat; 100 on every Linux that Node runs on. */
const TICKS = 100;

export type PageUse = {
  /** All processes since their start, including those that have ended, microseconds. */
  cpuUs: number;
  /** At present; memory that processes share is counted once (PSS). */
  memoryBytes: number;
  processes: number;
};
type ProcessUse = { pid: number; startedTicks: number; cpuUs: number; memoryBytes: number };

export class PageMeter {
  readonly #roots: () => readonly number[];
  readonly #proc: string;
  /** Processes that existed at the last reading. */
  #living = new Map<number, ProcessUse>();
  #endedUs = 0;

  /** @param roots pids of the programs, whose children count too */
  constructor(roots: () => readonly number[], proc = '/proc') {
    this.#roots = roots;
    this.#proc = proc;
  }

  async read(): Promise<PageUse> {
    const before = this.#living;
    this.#living = new Map();
    for (const pid of this.#roots()) await this.#readTree(pid);
    // A pid may belong to another process by now.
    for (const [pid, { startedTicks, cpuUs }] of before)
      if (this.#living.get(pid)?.startedTicks !== startedTicks) this.#endedUs += cpuUs;
    const all = [...this.#living.values()];
    return {
      cpuUs: all.reduce((sum, { cpuUs }) => sum + cpuUs, this.#endedUs),
      memoryBytes: all.reduce((sum, { memoryBytes }) => sum + memoryBytes, 0),
      processes: all.length,
    };
  }

  /** Pids of the processes that were there at the last reading. */
  get pids(): number[] {
    return [...this.#living.keys()];
  }

  /**
   * Of the processes whose command line contains `word`, the pid of the one with the most memory at the last reading.
   */
  async largest(word: string): Promise<number | undefined> {
    const sorted = [...this.#living.values()].sort((a, b) => b.memoryBytes - a.memoryBytes);
    for (const { pid } of sorted) if ((await this.#text(pid, 'cmdline'))?.split('\0').includes(word)) return pid;
    return undefined;
  }

  async #readTree(pid: number): Promise<void> {
    if (this.#living.has(pid)) return;
    const stat = await this.#text(pid, 'stat');
    if (stat === undefined) return;
    // The name in brackets may hold spaces, so fields are counted from behind it.
    const fields = (stat.split(') ').at(-1) ?? '').split(' ');
    const cpuUs = ((Number(fields[11]) + Number(fields[12])) * 1e6) / TICKS;
    const startedTicks = Number(fields[19]);
    this.#living.set(pid, { pid, startedTicks, cpuUs, memoryBytes: await this.#memoryOf(pid) });
    for (const child of await this.#childrenOf(pid)) await this.#readTree(child);
  }

  async #memoryOf(pid: number): Promise<number> {
    const rollup = await this.#text(pid, 'smaps_rollup');
    const pss = rollup && /^Pss:\s+(\d+) kB$/m.exec(rollup);
    if (pss) return Number(pss[1]) * 1024;
    // A process of another user, or one that hides its memory: only its own memory is known.
    const status = (await this.#text(pid, 'status')) ?? '';
    return Number(/^RssAnon:\s+(\d+) kB$/m.exec(status)?.[1] ?? 0) * 1024;
  }

  async #childrenOf(pid: number): Promise<number[]> {
    const threads = await readdir(`${this.#proc}/${pid}/task`).catch(() => []);
    const lists = await Promise.all(threads.map((thread) => this.#text(pid, `task/${thread}/children`)));
    return lists.flatMap((list) => (list ?? '').trim().split(/\s+/).filter(Boolean).map(Number));
  }

  /** Undefined when the process has ended or may not be read. */
  #text(pid: number, file: string): Promise<string | undefined> {
    return readFile(`${this.#proc}/${pid}/${file}`, 'utf8').catch(() => undefined);
  }
}
