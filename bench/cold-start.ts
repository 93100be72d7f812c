/**
 * How soon a recording begins when no recorder is kept ready: from the start of the process to its first recorded
 * frame, with what the channel kept meanwhile waiting for it. Beside the recorder of an earlier commit, and beside one
 * of these sources without their bundle, turn by turn; on code that was compiled before, as on a server that has
 * recorded already.
 */
import { fork } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { childEntry } from '../src/app/bundled.ts';
import { compiledFolder } from '../src/app/compiled.ts';
import { childEnvironment } from '../src/config/child-environment.ts';
import type { StartCommand } from '../src/contract/line/commands.ts';
import type { Fact } from '../src/contract/line/facts.ts';
import type { Plan } from '../src/contract/line/plan.ts';
import { systemClock } from '../src/kernel/clock.ts';
import { US } from '../src/kernel/time.ts';
import { median } from '../test/support/judge/offsets.ts';
import { GREEN } from '../test/support/media/participants.ts';
import { ScriptedFeed } from '../test/support/scripted-feed.ts';
import { withCheckout } from './earlier.ts';
import { atMost, type Figure } from './measure.ts';
import { cpuSecondsOf, pssMbOf } from './proc.ts';

/** The last commit in which a server compiled nothing for its recorders. */
const BEFORE = '49b8915';
const ROOT = join(import.meta.dirname, '..');
const MAIN = 'src/app/cli/main.ts';
const TAKES = 7;
/** What the channel has of the recording when the process is started, seconds: more than composing waits for. */
const KEPT_S = 3;

const FILES = { hls: true, mp4: false };
const SUBSCRIBE = { audio: { kind: 'all' }, video: { kind: 'all' } } as const;
const COMMON = {
  ...{ sid: 'c'.repeat(32), baseName: 'c', subscribe: SUBSCRIBE, files: FILES, maxIdleMs: 5000 },
  mp4Limit: { durationMs: 7_200_000, bytes: 2_000_000_000 },
};
const VIDEO = {
  ...{ width: 640, height: 360, fps: 15, bitrateKbps: 500, backgroundColor: '#000000' },
  layout: { kind: 'bestFit' },
} as const;
const PLAN: Plan = { mode: 'mix', ...COMMON, video: VIDEO };

export function measureColdStart(): Promise<Figure[]> {
  return withCheckout(BEFORE, async (before) => {
    const compiled = { NODE_COMPILE_CACHE: compiledFolder(tmpdir()) };
    const begin = (script: string) => startOf(script, ['recorder', PLAN.mode], compiled);
    const takes: Record<'then' | 'sources' | 'bundle', Start>[] = [];
    // The first of each compiles, and reads from the disk what the others find in memory.
    for (let n = 0; n <= TAKES; n++) {
      const then = await startOf(join(before, MAIN), ['recorder'], {});
      const take = { then, sources: await begin(join(ROOT, MAIN)), bundle: await begin(childEntry()) };
      if (n > 0) takes.push(take);
    }
    const against = (what: string, other: 'then' | 'sources', of: keyof Start, limit: number, unit: string) => {
      const ratio = median(takes.map((take) => take.bundle[of] / take[other][of]));
      const list = (side: keyof (typeof takes)[number]) => takes.map((take) => take[side][of].toFixed(0)).join('/');
      return atMost(what, ratio, limit, '×', `${list('bundle')} against ${list(other)} ${unit}`);
    };
    return [
      against(`start → first frame, cold, against ${BEFORE}`, 'then', 'firstFrameMs', 0.5, 'ms'),
      against('CPU of a start until its first frame, bundled against sources', 'sources', 'cpuMs', 1, 'ms'),
      against('memory at its first frame, PSS, bundled against sources', 'sources', 'pssMb', 1, 'MB'),
    ];
  });
}

/** What a start took until its first recorded frame. */
type Start = { firstFrameMs: number; cpuMs: number; pssMb: number };

/** Begins a recorder with this script, and waits until it tells of its first recorded frame. */
async function startOf(script: string, command: string[], env: Record<string, string>): Promise<Start> {
  const dir = mkdtempSync(join(tmpdir(), 'aircheck-cold-'));
  const zeroMonoUs = systemClock.monoUs() - KEPT_S * US;
  // Few pictures: this process encodes them meanwhile.
  const picturesAtS = [-0.5, 0, 0.5, 1, 1.5, 2, 2.5];
  const user = { uid: '1', participant: GREEN, fromS: -1, toS: 60, picturesAtS };
  const feed = await ScriptedFeed.serve(join(dir, 'feed.sock'), [user], zeroMonoUs, systemClock.monoUs());
  const order: StartCommand = {
    ...{ type: 'start', plan: PLAN, generation: 1, source: { kind: 'feed', path: feed.path } },
    ...{ spoolDir: dir, earlierDirs: [], changes: [] },
    ...{ zeroUtcMs: systemClock.nowMs() - KEPT_S * 1000, zeroMonoUs },
  };
  const began = performance.now();
  const recorder = fork(script, command, {
    env: childEnvironment({ UV_THREADPOOL_SIZE: '2', MALLOC_ARENA_MAX: '2', ...env }),
    execArgv: [],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const exited = once(recorder, 'exit');
  try {
    const recorded = new Promise<Start>((resolve, reject) => {
      recorder.on('message', ({ type }: Fact) => {
        if (type === 'ready') recorder.send(order);
        if (type !== 'firstFrameRecorded') return;
        const firstFrameMs = performance.now() - began;
        const pid = recorder.pid as number;
        resolve({ firstFrameMs, cpuMs: 1000 * cpuSecondsOf(pid), pssMb: pssMbOf(pid) });
      });
      exited.then(([code]) => reject(new Error(`the recorder ended with exit code ${code}`)), reject);
    });
    const [start] = await Promise.all([recorded, feed.playUntil(systemClock.monoUs())]);
    return start;
  } finally {
    // In order: a process writes what it has compiled as it ends.
    recorder.kill('SIGTERM');
    await exited;
    await feed.close();
    rmSync(dir, { recursive: true, force: true });
  }
}
