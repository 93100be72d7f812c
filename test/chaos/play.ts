/**
 * Plays shows on a server of their own, judges every recording, and looks for what is left behind.
 */
import { cpSync, existsSync, mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { judgeTake, type TakeVerdict } from './judge.ts';
import type { Show } from './show.ts';
import { ChaosStage, type Outcome } from './stage.ts';

export type Report = {
  takes: TakeVerdict[];
  /** What is wrong beside what is wrong with single recordings. */
  problems: string[];
  /** How soon recordings were live again that another node went on with, and how soon they must be. */
  livesMs?: number[];
  liveAgainMs?: { median: number; worst: number };
  /** What else was measured, in words. */
  notes?: string[];
};
export type Scenario = { meaning: string; run(): Promise<Report> };

let keepDir: string | undefined;
/** Has the files of all shows from now on, and what was done meanwhile, left in a folder. */
export function keepIn(dir: string): void {
  keepDir = dir;
}

/** Where files are to be left, if they are. */
export function keptIn(): string | undefined {
  return keepDir;
}

/** How soon a recording must be live again, over all of a scenario. */
const LIVE_AGAIN_MS = { median: 3000, worst: 5000 };
const ENDS_WITHIN_MS = 10_000;

export type Playing = {
  /** Settings of the server. */
  env?: Record<string, string>;
  /** Looks at what came of a show, and says what is wrong beside what is wrong with single recordings. */
  judge?: (outcomes: readonly Outcome[]) => string[];
};

/** Plays shows one after another on one server, and ends it in order. */
export async function play(
  showsOf: (stage: ChaosStage) => readonly Show[],
  { env, judge }: Playing = {},
): Promise<Report> {
  const stage = await ChaosStage.open(env);
  const report: Report = { takes: [], problems: [] };
  try {
    for (const show of showsOf(stage)) {
      const outcomes = await stage.perform(show);
      if (keepDir !== undefined) for (const outcome of outcomes) keep(outcome, stage.server.running.log, keepDir);
      report.takes.push(...outcomes.map(judgeTake));
      report.problems.push(...(judge?.(outcomes) ?? []));
    }
    report.problems.push(...(await leftBy(stage)));
  } catch (error) {
    if (keepDir !== undefined) keepLog(stage.server.running.log, keepDir);
    throw error;
  } finally {
    await stage.close();
  }
  return report;
}

function keep(outcome: Outcome, log: string, dir: string): void {
  const own = join(dir, outcome.sid);
  mkdirSync(own, { recursive: true });
  if (existsSync(outcome.dir)) cpSync(outcome.dir, own, { recursive: true });
  writeFileSync(join(own, 'outcome.json'), JSON.stringify(outcome, null, 2));
  keepLog(log, own);
}

function keepLog(log: string, dir: string): void {
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, 'server.log'), log);
}

/** What is left after all recordings have ended, and after the server has. */
async function leftBy(stage: ChaosStage): Promise<string[]> {
  const problems: string[] = [];
  const { spool, feeds } = stage.leftovers();
  if (spool.length > 0) problems.push(`folders left on the spool: ${spool.join(', ')}`);
  if (feeds.length > 0) problems.push(`sockets left: ${feeds.join(', ')}`);
  const tookMs = await stage.end();
  if (tookMs > ENDS_WITHIN_MS) problems.push(`the server took ${(tookMs / 1000).toFixed(0)} s to end`);
  for (const { pid, args } of stage.processes()) problems.push(`process ${pid} is left: ${args.join(' ')}`);
  return problems;
}

/** All that is wrong, whatever the machine does besides. */
export function missesOf(report: Report): string[] {
  return [...report.problems, ...report.takes.flatMap(({ problems }) => problems)];
}

/** Goals of time that all recordings of a scenario share; they hold on a machine that does nothing else. */
export function latenessOf(report: Report): string[] {
  const lives = livesOf(report);
  const [median, worst] = [lives[lives.length >> 1], lives.at(-1)];
  const most = report.liveAgainMs ?? LIVE_AGAIN_MS;
  const lates: string[] = [];
  const late = (ms: number, what: string) => lates.push(`live again after ${ms.toFixed(0)} ms ${what}`);
  if (median !== undefined && median > most.median) late(median, 'in the median');
  if (worst !== undefined && worst > most.worst) late(worst, 'at worst');
  return lates;
}

/** Marks, breaks and times in one line. */
export function summaryOf(report: Report): string {
  const { takes } = report;
  const total = (of: 'flashes' | 'beeps', what: 'required' | 'missing') =>
    takes.reduce((sum, take) => sum + take[of][what], 0);
  const lives = livesOf(report);
  const median = lives[lives.length >> 1]?.toFixed(0);
  const worstMs = Math.max(0, ...takes.map(({ worstOffsetMs }) => Math.abs(worstOffsetMs)));
  const judged = [
    `${takes.length} recordings`,
    `${total('flashes', 'missing')} of ${total('flashes', 'required')} flashes missing`,
    `${total('beeps', 'missing')} of ${total('beeps', 'required')} beeps missing`,
    `at most ${Math.max(0, ...takes.map(({ discontinuities }) => discontinuities))} discontinuities`,
    `sound within ${worstMs.toFixed(0)} ms of the picture`,
  ];
  return [
    ...(takes.length > 0 ? judged : []),
    ...(report.notes ?? []),
    ...(lives.length > 0
      ? [`live again after ${median} ms (median), ${lives.at(-1)?.toFixed(0)} ms (worst of ${lives.length})`]
      : []),
  ].join(', ');
}

function livesOf({ takes, livesMs = [] }: Report): number[] {
  return [...livesMs, ...takes.flatMap(({ liveAfterMs }) => liveAfterMs)].sort((a, b) => a - b);
}
