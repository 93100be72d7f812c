/**
 * What a server comes to that records nothing: its memory, the most it took meanwhile, and how soon it answers; with a
 * new data folder and with one that is there already; beside the server of an earlier commit, turn by turn.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { median } from '../test/support/judge/offsets.ts';
import { descendantsOf } from '../test/support/processes.ts';
import { ServerProcess } from '../test/support/server-process.ts';
import { withCheckout } from './earlier.ts';
import { atMost, type Figure } from './measure.ts';
import { peakMemoryMbOf, pssMbOf } from './proc.ts';

/** The last commit in which PGlite had the settings and the compiler that it comes with. */
const BEFORE = '49b8915';
const TAKES = 3;
/** What its start leaves behind is let go by then. */
const SETTLE_MS = 10_000;

type Rest = { restMb: number; peakMb: number; answersMs: number };
type Folder = 'new' | 'known';

export function measureAtRest(): Promise<Figure[]> {
  return withCheckout(BEFORE, async (before) => {
    const takes = { new: [] as [Rest, Rest][], known: [] as [Rest, Rest][] };
    for (let n = 0; n < TAKES; n++) {
      const [then, now] = [await rests(before), await rests()];
      for (const folder of ['new', 'known'] as const) takes[folder].push([now[folder], then[folder]]);
    }
    return [
      ...figures('known', takes.known, { restMb: 0.4, peakMb: 0.2, answersMs: 1 }),
      ...figures('new', takes.new, { restMb: 0.4, peakMb: 0.2, answersMs: 0.5 }),
    ];
  });
}

const TITLES: Record<keyof Rest, string> = {
  restMb: 'memory of a server at rest',
  peakMb: 'the most memory that its start takes',
  answersMs: 'start → first answer',
};

function figures(folder: Folder, takes: readonly [Rest, Rest][], goals: Rest): Figure[] {
  return (Object.keys(TITLES) as (keyof Rest)[]).map((what) => {
    const list = (side: 0 | 1) => takes.map((take) => take[side][what].toFixed(0)).join('/');
    const ratio = median(takes.map(([now, then]) => now[what] / then[what]));
    const title = `${TITLES[what]}, ${folder} folder, against ${BEFORE}`;
    return atMost(title, ratio, goals[what], '×', `${list(0)} against ${list(1)} ${what.endsWith('Mb') ? 'MB' : 'ms'}`);
  });
}

/** A server on a new data folder, and started again on the same one. */
async function rests(checkout?: string): Promise<Record<Folder, Rest>> {
  const dir = mkdtempSync(join(tmpdir(), 'aircheck-bench-'));
  const options = { dataDir: join(dir, 'data'), env: { AIRCHECK_LOG_LEVEL: 'warn' }, ...(checkout && { checkout }) };
  try {
    return { new: await rest(options), known: await rest(options) };
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

async function rest(options: Parameters<typeof ServerProcess.start>[0]): Promise<Rest> {
  const began = performance.now();
  const server = await ServerProcess.start(options);
  try {
    const answersMs = performance.now() - began;
    await pause(SETTLE_MS);
    return { restMb: restMbOf(server.pid), peakMb: peakMemoryMbOf(server.pid), answersMs };
  } finally {
    await server.stop();
  }
}

/** PSS of the server and of the small process that forks for it; recorders kept ready are not counted. */
function restMbOf(server: number): number {
  const forks = descendantsOf(server).filter((pid) => fileOf(pid, 'cmdline').includes('fork-server'));
  return [server, ...forks].reduce((sum, pid) => sum + pssMbOf(pid), 0);
}

function fileOf(pid: number, name: string): string {
  return readFileSync(`/proc/${pid}/${name}`, 'utf8');
}
