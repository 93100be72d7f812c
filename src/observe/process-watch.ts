/**
 * ProcessWatch: what the server process takes, and how late its timers are.
 */
import { readFileSync } from 'node:fs';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import type { Clock } from '../kernel/clock.ts';
import type { ProcessSnapshot } from './metrics.ts';

/** A timer of this period is watched; a delay that is shorter may fall between two of its moments. */
const PERIOD_MS = 50;
const NS = 1e9;

export class ProcessWatch {
  /** Of this package. */
  readonly version: string;
  readonly #startedS: number;
  /** Begun by the first snapshot: nobody pays for it where nobody reads it. */
  #delays: ReturnType<typeof monitorEventLoopDelay> | undefined;

  constructor(clock: Pick<Clock, 'nowMs'>) {
    this.#startedS = clock.nowMs() / 1000 - process.uptime();
    this.version = readVersion();
  }

  snapshot(): ProcessSnapshot {
    const { user, system } = process.cpuUsage();
    const { rss, heapUsed } = process.memoryUsage();
    return {
      version: this.version,
      node: process.version,
      cpuS: (user + system) / 1e6,
      residentBytes: rss,
      heapBytes: heapUsed,
      startedS: this.#startedS,
      ...this.#takeDelays(),
    };
  }

  #takeDelays(): Pick<ProcessSnapshot, 'loopP99S' | 'loopMaxS'> {
    const delays = this.#delays;
    if (!delays) {
      this.#delays = monitorEventLoopDelay({ resolution: PERIOD_MS });
      this.#delays.enable();
      return { loopP99S: 0, loopMaxS: 0 };
    }
    // What it measures is from one moment to the next; before the first two it has nothing.
    const lateS = (ns: number) => (delays.count === 0 ? 0 : Math.max(0, ns / NS - PERIOD_MS / 1000));
    const late = { loopP99S: lateS(delays.percentile(99)), loopMaxS: lateS(delays.max) };
    delays.reset();
    return late;
  }

  close(): void {
    this.#delays?.disable();
  }
}

/** Of our package, which is two folders above this file in the source and in a build. */
function readVersion(): string {
  const file = new URL('../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
