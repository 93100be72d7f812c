/**
 * A recording of a scripted channel on a machine of a given speed, by a held clock: each picture takes time of the
 * world's, by the rung that it is made on. The same every time, however fast the real machine is.
 */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { setImmediate as turn } from 'node:timers/promises';
import { onTestFinished, vi } from 'vitest';
import type { ChangeCommand, StartCommand } from '../../src/contract/line/commands.ts';
import type { MixPlan } from '../../src/contract/line/plan.ts';
import type { RungName } from '../../src/contract/line/rungs.ts';
import { MixOutput } from '../../src/pipeline/mix/mix-output.ts';
import type { Ending, Happening, Recording } from '../../src/pipeline/recording.ts';
import { startRecording } from '../../src/pipeline/start-recording.ts';
import { FeedSession } from '../../src/pipeline/tracks/feed-session.ts';
import { Journal } from '../../src/stages/spool/journal.ts';
import { type ChangeAt, MortalClock } from './killed-recording.ts';
import { ManualClock } from './manual-clock.ts';
import { ScriptedFeed, type ScriptedUser } from './scripted-feed.ts';

const STEP_MS = 10;

/** How much of what a picture costs on the first rung it costs on the others. */
const COSTS: Readonly<Record<RungName, number>> = {
  full: 1,
  fastCoding: 0.65,
  fastestCoding: 0.5,
  halfRate: 0.5,
  thirdRate: 0.5,
  lessDetail: 0.3,
  oneASecond: 0.3,
};

export type SlowMachine = {
  /** How long a picture of the whole takes at a second of the recording, milliseconds. */
  pictureMs(atS: number): number;
  stopS: number;
  /** The run is lost then, and another one is up `downS` later. */
  kill?: { atS: number; downS: number };
  changes?: ChangeAt[];
  lowestRung?: RungName;
};

export type MadeSlowly = {
  /** Of the runs, oldest first. */
  dirs: string[];
  ending: Ending;
  /** Of all runs, each with its second. */
  happenings: (Happening & { atS: number })[];
  /** How late it was at worst, and at the stop; seconds. */
  worstLagS: number;
  stopLagS: number;
};

export async function recordSlowly(
  dir: string,
  users: ScriptedUser[],
  plan: MixPlan,
  { pictureMs, stopS, kill, changes = [], lowestRung }: SlowMachine,
): Promise<MadeSlowly> {
  // The end of a process closes its files. What a lost run leaves open is its journal.
  const journals = vi.spyOn(Journal, 'open');
  const write = MixOutput.prototype.writePicture;
  const writes = vi.spyOn(MixOutput.prototype, 'writePicture').mockImplementation(async function (
    this: MixOutput,
    canvas,
    frame,
  ) {
    await pass(pictureMs(nowS()) * COSTS[rung]);
    return write.call(this, canvas, frame);
  });
  const advance = FeedSession.prototype.advance;
  const advances = vi.spyOn(FeedSession.prototype, 'advance').mockImplementation(async function (
    this: FeedSession,
    step,
  ) {
    atWork++;
    await advance.call(this, step).finally(() => atWork--);
  });
  onTestFinished(() => {
    for (const spy of [journals, writes, advances]) spy.mockRestore();
  });

  const clock = new ManualClock();
  clock.advance(60_000);
  const zeroMonoUs = clock.monoUs();
  const zeroUtcMs = clock.nowMs();
  const nowS = () => (clock.monoUs() - zeroMonoUs) / 1e6;
  const feed = await ScriptedFeed.serve(join(dir, 'feed.sock'), users, zeroMonoUs, zeroMonoUs);
  const dirs: string[] = [];
  const happenings: MadeSlowly['happenings'] = [];
  const made: ChangeCommand[] = [];
  const due = [...changes];
  let atWork = 0;
  let owedMs = 0;
  let rung: RungName = 'full';
  let own: MortalClock | undefined;
  let recording: Recording | undefined;
  let ending: Ending | undefined;
  let failure: unknown;
  let worstLagS = 0;
  let stopLagS = 0;

  const step = async () => {
    clock.advance(STEP_MS);
    for (let next = due[0]; next && next.atS <= nowS(); next = due[0]) {
      const command = { ...next.change, atMonoUs: clock.monoUs() };
      made.push(command);
      recording?.change(command);
      due.shift();
    }
    if (Math.abs(nowS() - stopS) < STEP_MS / 2000) {
      stopLagS = (recording?.lagUs() ?? 0) / 1e6;
      recording?.stop(clock.monoUs(), 'stopped');
    }
    worstLagS = Math.max(worstLagS, (recording?.lagUs() ?? 0) / 1e6);
    await feed.playUntil(clock.monoUs());
  };
  /** So much of the world's time goes by. */
  const pass = async (ms: number) => {
    for (owedMs += ms; owedMs >= STEP_MS; owedMs -= STEP_MS) await step();
  };
  const begin = async () => {
    own = new MortalClock(clock);
    const spoolDir = join(dir, String(dirs.length + 1));
    mkdirSync(spoolDir);
    const start: StartCommand = {
      ...{ type: 'start', plan, generation: dirs.length + 1, source: { kind: 'feed', path: feed.path }, spoolDir },
      ...{ earlierDirs: [...dirs], changes: [...made], zeroUtcMs, zeroMonoUs, lowestRung },
    };
    dirs.push(spoolDir);
    const emit = (happening: Happening) => {
      if (happening.type === 'rungChanged') rung = happening.rung;
      happenings.push({ ...happening, atS: nowS() });
    };
    recording = await startRecording(start, { clock: own, emit });
    recording.done.then(
      (end) => {
        ending = end;
      },
      (error) => {
        failure = error;
      },
    );
  };

  await begin();
  let upAtS: number | undefined;
  while (!ending && !failure) {
    if (nowS() > stopS + 120) throw new Error('the recording did not end');
    await step();
    // What is read from the socket takes a turn or two to come.
    do for (let n = 0; n < 3; n++) await turn();
    while (atWork > 0 && !failure);
    if (kill && upAtS === undefined && nowS() >= kill.atS) {
      own?.die();
      recording = undefined;
      feed.cut();
      upAtS = nowS() + kill.downS;
    }
    if (upAtS !== undefined && dirs.length === 1 && nowS() >= upAtS) await begin();
  }
  await feed.close();
  for (const opened of journals.mock.results) await (await (opened.value as Promise<Journal>)).close();
  if (failure) throw failure;
  return { dirs, ending: ending as Ending, happenings, worstLagS, stopLagS };
}
