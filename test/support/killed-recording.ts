/**
 * A recording of a scripted channel whose runs are lost on the way: each is let go of in the middle of its work, as a
 * killed process is, and another goes on in a folder of its own with what the channel kept.
 */
import { linkSync, mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { expect, onTestFinished, vi } from 'vitest';
import type { ChangeCommand, StartCommand } from '../../src/contract/line/commands.ts';
import type { Plan } from '../../src/contract/line/plan.ts';
import type { Clock, Timer } from '../../src/kernel/clock.ts';
import type { Segment } from '../../src/media/segment.ts';
import type { Ending, Happening, Recording } from '../../src/pipeline/recording.ts';
import { startRecording } from '../../src/pipeline/start-recording.ts';
import { renderPlaylist } from '../../src/stages/mux/hls/playlist.ts';
import { Journal } from '../../src/stages/spool/journal.ts';
import { type RecordingSpool, readRuns } from '../../src/stages/spool/recording-spool.ts';
import { ManualClock } from './manual-clock.ts';
import { ScriptedFeed, type ScriptedUser } from './scripted-feed.ts';
import { BASE } from './scripted-recording.ts';

/** A clock whose timers stand still once its process is gone. */
export class MortalClock implements Clock {
  readonly #clock: Clock;
  #timers: Timer[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  nowMs = () => this.#clock.nowMs();
  monoUs = () => this.#clock.monoUs();
  after = (delayMs: number, run: () => void) => this.#kept(this.#clock.after(delayMs, run));
  every = (periodMs: number, run: () => void) => this.#kept(this.#clock.every(periodMs, run));

  die(): void {
    for (const timer of this.#timers) timer.cancel();
  }

  #kept(timer: Timer): Timer {
    this.#timers.push(timer);
    return timer;
  }
}

/**
 * A run is lost at `atS` and the next is up `downS` later. With `newChannel` the channel was lost too, and those in it;
 * with `endsItself` only the channel was, and the run ends its files. One that `isGivenUp` shares its process, which
 * lives. After one that is `last` no other comes.
 */
export type Kill = {
  atS: number;
  downS: number;
  newChannel?: ScriptedUser[];
  endsItself?: true;
  isGivenUp?: true;
  last?: true;
};
type NewChange = ChangeCommand extends infer C ? (C extends ChangeCommand ? Omit<C, 'atMonoUs'> : never) : never;
export type ChangeAt = { atS: number; change: NewChange };

export type KilledOptions = {
  kills?: Kill[];
  changes?: ChangeAt[];
  /** What a run is told besides. */
  start?: (generation: number) => Partial<StartCommand>;
  /** When the first run is up. */
  upAtS?: number;
  /** Called with the folder of each run that was lost, before the next one reads it. */
  onLost?: (dir: string) => Promise<void>;
};

export type Killed = {
  /** UTC of the recording's zero. */
  zeroUtcMs: number;
  spool: RecordingSpool;
  /** Of the runs, oldest first. */
  dirs: string[];
  /** Of the last run; undefined when it was lost. */
  ending: Ending | undefined;
  /** Of all runs. */
  happenings: Happening[];
  feed: ScriptedFeed;
  /** How far behind the present what was recorded was at worst, one second after each run was up; microseconds. */
  lagsUs: number[];
};

/** Brings the files of all runs of a composite into a new folder, with the playlist of its slices. */
export function joinRuns(
  { spool }: Pick<Killed, 'spool'>,
  folder: string,
): { folder: string; slices: Segment[]; playlist: string } {
  mkdirSync(folder);
  for (const { dir, file } of spool.files) linkSync(join(dir, file.name), join(folder, file.name));
  const slices = spool.files.flatMap(({ file }) => (file.type === 'slice' ? [file] : []));
  slices.sort((a, b) => a.index - b.index);
  const playlist = join(folder, `${BASE}.m3u8`);
  writeFileSync(playlist, renderPlaylist(slices, { extinfComma: false }));
  return { folder, slices, playlist };
}

export async function recordKilled(
  dir: string,
  users: ScriptedUser[],
  plan: Plan,
  stopS: number,
  { kills = [], changes = [], start: given, upAtS = 0, onLost }: KilledOptions = {},
): Promise<Killed> {
  // The end of a process closes its files. What a lost run leaves open is its journal.
  const journals = vi.spyOn(Journal, 'open');
  onTestFinished(() => journals.mockRestore());
  const clock = new ManualClock();
  clock.advance(60_000);
  const zeroMonoUs = clock.monoUs();
  const zeroUtcMs = clock.nowMs();
  clock.advance(upAtS * 1000);
  let feed = await ScriptedFeed.serve(join(dir, 'feed.sock'), users, zeroMonoUs, clock.monoUs());
  const dirs: string[] = [];
  const happenings: Happening[] = [];
  const made: ChangeCommand[] = [];
  const lagsUs: number[] = [];
  let own: MortalClock | undefined;
  let recording: Recording | undefined;
  let ending: Ending | undefined;
  let failure: unknown;
  let upMs = 0;
  const givenUp: { dir: string; files: object }[] = [];
  const begin = async (ms: number) => {
    own = new MortalClock(clock);
    const spoolDir = join(dir, String(dirs.length + 1));
    mkdirSync(spoolDir);
    const start: StartCommand = {
      ...{ type: 'start', plan, generation: dirs.length + 1, source: { kind: 'feed', path: feed.path }, spoolDir },
      ...{ earlierDirs: [...dirs], changes: [...made], imageNetworks: ['loopback'], zeroUtcMs, zeroMonoUs },
      // The clock may outrun the machine that the test is on, which is no overload.
      lowestRung: 'full',
      ...given?.(dirs.length + 1),
    };
    dirs.push(spoolDir);
    upMs = ms;
    recording = await startRecording(start, { clock: own, emit: (happening) => happenings.push(happening) });
    recording.done.then(
      (end) => {
        ending = end;
      },
      (error) => {
        failure = error;
      },
    );
  };
  await begin(upAtS * 1000);
  const due = [...kills];
  let upAtMs: number | undefined;
  for (let ms = upAtS * 1000; !ending && !failure; ms += 10) {
    const kill = due[0];
    if (kill && ms >= kill.atS * 1000) {
      due.shift();
      if (kill.endsItself) {
        feed.cut();
        while (!ending && !failure) {
          await pause(1);
          clock.advance(10);
          ms += 10;
        }
        ending = undefined;
      }
      if (kill.isGivenUp && recording) {
        recording.abort?.(new Error('given up'));
        await recording.done.catch(() => {});
        failure = undefined;
        givenUp.push({ dir: dirs.at(-1) as string, files: filesIn(dirs.at(-1) as string) });
      } else own?.die();
      recording = undefined;
      feed.cut();
      if (kill.last) break;
      if (kill.newChannel) {
        await feed.close();
        const path = join(dir, `feed${dirs.length}.sock`);
        const atUs = zeroMonoUs + ms * 1000 + kill.downS * 1e6;
        feed = await ScriptedFeed.serve(path, kill.newChannel, zeroMonoUs, atUs, atUs);
      }
      upAtMs = ms + kill.downS * 1000;
    }
    if (upAtMs !== undefined && ms >= upAtMs) {
      upAtMs = undefined;
      await onLost?.(dirs.at(-1) as string);
      await begin(ms);
    }
    for (const { atS, change } of changes) {
      if (ms !== Math.round(atS * 1000)) continue;
      const command = { ...change, atMonoUs: clock.monoUs() };
      made.push(command);
      recording?.change(command);
    }
    if (ms === Math.round(stopS * 1000)) recording?.stop(clock.monoUs(), 'stopped');
    if (ms > stopS * 1000 + 60_000) throw new Error('the recording did not end');
    if (recording || !kills.some(({ newChannel }) => newChannel)) await feed.playUntil(clock.monoUs());
    let waits = 0;
    do await pause(1);
    while (recording && recording.lagUs() > 500_000 && ++waits < 20 && !failure && !ending);
    if (recording && ms === upMs + 1000) lagsUs.push(recording.lagUs());
    clock.advance(10);
  }
  await feed.close();
  // Another run reads what one that was given up has left, so that one writes nothing any more.
  for (const { dir, files } of givenUp) expect(filesIn(dir)).toEqual(files);
  for (const opened of journals.mock.results) await (await (opened.value as Promise<Journal>)).close();
  if (failure) throw failure;
  return { zeroUtcMs, spool: await readRuns(dirs), dirs, ending, happenings, feed, lagsUs };
}

/** The files in a folder, with their sizes and the times at which they were written. */
function filesIn(dir: string): Record<string, [bytes: number, ms: number]> {
  const of = (name: string) => statSync(join(dir, name));
  return Object.fromEntries(readdirSync(dir).map((name) => [name, [of(name).size, of(name).mtimeMs]]));
}
