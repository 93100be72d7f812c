/**
 * How long the main thread of a server of some memory stands while a process is started: by a fork of its own, and by
 * the fork server (ADR 0018). And what the fork server itself holds.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { setImmediate as turn } from 'node:timers/promises';
import { systemClock } from '../src/kernel/clock.ts';
import { Forks } from '../src/worker/forks.ts';
import { median } from '../test/support/judge/offsets.ts';
import { atMost, type Figure } from './measure.ts';

const STARTS = 9;
/** Memory that is held beside this process's own, MB. */
const HELD_MB = [0, 500];
/** A process is begun well within this. */
const WATCH_MS = 150;

export async function measureForkStall(): Promise<Figure[]> {
  const forks = new Forks({ clock: systemClock, log: { debug() {}, info() {}, warn() {}, error() {} }, env: {} });
  forks.open();
  const figures: Figure[] = [];
  const held: Buffer[] = [];
  try {
    await startByServer(forks);
    for (const mb of HELD_MB) {
      while (held.length < mb) held.push(Buffer.alloc(1 << 20, held.length + 1));
      const [own, byServer]: [number[], number[]] = [[], []];
      // By turns, so that what else the machine does falls on both.
      for (let n = 0; n < STARTS; n++) {
        own.push(await longestStandMs(startItself));
        byServer.push(await longestStandMs(() => startByServer(forks)));
      }
      const memoryMb = process.memoryUsage.rss() / 1e6;
      const single = byServer.map((ms) => ms.toFixed(1)).join(', ');
      const detail = `of ${memoryMb.toFixed(0)} MB; by its own fork ${median(own).toFixed(1)} ms; ${single}`;
      const what = `a process${mb > 0 ? ` of ${mb} MB more` : ''} stands while another is started`;
      figures.push(atMost(what, median(byServer), 10, 'ms', detail));
    }
    // The rest are pages of Node's program, which all its processes share.
    const anonKb = Number(readFileSync(`/proc/${forks.pid}/status`, 'utf8').match(/^RssAnon:\s+(\d+)/m)?.[1]);
    figures.push(atMost('memory of the fork server that is its own', anonKb / 1000, 30, 'MB', ''));
  } finally {
    await forks.close();
  }
  return figures;
}

/** The longest time between two turns of the event loop from the start on. */
async function longestStandMs(start: () => unknown): Promise<number> {
  const until = performance.now() + WATCH_MS;
  let before = performance.now();
  let longest = 0;
  const ended = Promise.resolve(start());
  while (before < until) {
    await turn();
    const now = performance.now();
    longest = Math.max(longest, now - before);
    before = now;
  }
  await ended;
  return longest;
}

const SCRIPT = '/dev/null';

function startItself(): Promise<void> {
  const child: ChildProcess = spawn(process.execPath, [SCRIPT], { detached: true, stdio: 'ignore', env: {} });
  return new Promise((resolve) => child.once('close', () => resolve()));
}

function startByServer(forks: Forks): Promise<void> {
  return new Promise((resolve) => {
    forks.start({ entry: SCRIPT, args: [], flags: [], env: {} }, { onLine: () => {}, onClosed: () => resolve() });
  });
}
