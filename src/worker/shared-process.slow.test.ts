/**
 * Real recordings in one real recorder process, on scripted feeds in real time: what fails in one ends that one alone,
 * and all are whole however their process ends.
 */
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { afterAll, afterEach, expect, onTestFinished, test } from 'vitest';
import { hear, onSeconds, see, writePlaylists } from '../../test/support/judge/user-streams.ts';
import { GREEN, RED } from '../../test/support/media/participants.ts';
import { ScriptedFeed } from '../../test/support/scripted-feed.ts';
import { individualPlanOf } from '../../test/support/scripted-recording.ts';
import { SmallDisk } from '../../test/support/small-disk.ts';
import type { Fact } from '../contract/line/facts.ts';
import { systemClock } from '../kernel/clock.ts';
import { newSid } from '../kernel/ids.ts';
import { readRuns } from '../stages/spool/recording-spool.ts';
import { Forks } from './forks.ts';
import { Sharing } from './sharing.ts';
import { Supervisor } from './supervisor.ts';

/** On a signal the next step of a recording throws; the recorder steps every 100 ms. */
const DEFECT = `
  let broken = false;
  process.on('SIGUSR2', () => { broken = true; });
  const { setInterval } = globalThis;
  globalThis.setInterval = (run, ms) => setInterval(() => {
    if (!broken || ms !== 100) return run();
    broken = false;
    throw new Error('a defect');
  }, ms);`;
const STOP_S = 6;

const lines: string[] = [];
const line = (_details: object, text: string) => void lines.push(text);
const log = { debug: line, info: line, warn: line, error: line };
const env = { NODE_OPTIONS: `--import "data:text/javascript,${encodeURIComponent(DEFECT)}"` };
const forks = new Forks({ clock: systemClock, log, env: {} });
const supervisor = new Supervisor({
  ...{ clock: systemClock, log, forks, env, args: ['recorder'], completeArgs: [] },
  entry: join(import.meta.dirname, '../app/cli/main.ts'),
  ...{ readyTimeoutMs: 60_000, stopTimeoutMs: 20_000, warmRecorders: 0, sharing: new Sharing(8) },
  ...{ completeParallel: 1, completeTimeoutMs: 60_000 },
});
afterAll(async () => {
  await supervisor.close();
  await forks.close();
});
const scenes: Scene[] = [];
afterEach(async () => {
  for (const scene of scenes.splice(0)) await scene.close();
});

/** A recording of one user, whose runs come one after another as the server has them. */
class Scene {
  readonly sid = newSid();
  readonly dir = mkdtempSync(join(tmpdir(), 'aircheck-shared-'));
  /** What its runs write lies here, each in a folder of its own. */
  readonly spool: string;
  readonly zeroMonoUs = systemClock.monoUs();
  readonly #zeroUtcMs = systemClock.nowMs();
  readonly pids: number[] = [];
  readonly dirs: string[] = [];
  /** Why runs were over. */
  readonly exits: string[] = [];
  feed!: ScriptedFeed;
  #stop: () => void = () => {};
  #stopAtUs: number | undefined;
  readonly #ended = Promise.withResolvers<Fact>();

  constructor(spool?: string) {
    this.spool = spool ?? this.dir;
  }

  static async open(participant: typeof RED, spool?: string): Promise<Scene> {
    const scene = new Scene(spool);
    const user = { uid: '1', participant, fromS: -1, toS: 60 };
    scene.feed = await ScriptedFeed.serve(join(scene.dir, 'feed.sock'), [user], scene.zeroMonoUs, scene.zeroMonoUs);
    scenes.push(scene);
    await scene.#launch();
    return scene;
  }

  #launch(): Promise<void> {
    const spoolDir = join(this.spool, String(this.dirs.length + 1));
    mkdirSync(spoolDir);
    const joined = Promise.withResolvers<void>();
    const { sid, zeroMonoUs, feed } = this;
    const earlierDirs = [...this.dirs];
    this.dirs.push(spoolDir);
    let isOver = false;
    const plan = individualPlanOf({ sid, maxUsers: 2, baseName: 'x' });
    const process = supervisor.launch(
      {
        ...{ type: 'start', plan, generation: this.dirs.length, spoolDir, earlierDirs, changes: [] },
        ...{ source: { kind: 'feed', path: feed.path }, zeroUtcMs: this.#zeroUtcMs, zeroMonoUs },
      },
      {
        onProcess: ({ pid }) => this.pids.push(pid),
        onFact: (fact) => {
          if (fact.type === 'joined') joined.resolve();
          if (fact.type !== 'ended') return;
          isOver = fact.reason === 'stopped';
          if (isOver) this.#ended.resolve(fact);
        },
        onExit: (why) => {
          this.exits.push(why);
          if (!isOver) void this.#launch();
        },
      },
    );
    this.#stop = () => this.#stopAtUs !== undefined && process.stop(this.#stopAtUs);
    this.#stop();
    return joined.promise;
  }

  get nowS(): number {
    return (systemClock.monoUs() - this.zeroMonoUs) / 1e6;
  }

  /** Stops the recording at a second of it, and resolves when it has ended. */
  async end(atS: number): Promise<Fact> {
    this.#stopAtUs = this.zeroMonoUs + atS * 1e6;
    this.#stop();
    return this.#ended.promise;
  }

  /** The seconds whose flash and beep lie in its files. */
  async marks(participant: typeof RED): Promise<{ flashes: number[]; beeps: number[] }> {
    const { files } = await readRuns(this.dirs);
    const all = mkdtempSync(join(this.dir, 'all-'));
    for (const { dir, file } of files) cpSync(join(dir, file.name), join(all, file.name));
    writePlaylists(
      all,
      files.map(({ file }) => file),
    );
    const flashes = see(join(all, 'x__uid_s_1__uid_e_video.m3u8'), participant).flashes;
    const { beeps } = hear(join(all, 'x__uid_s_1__uid_e_audio.m3u8'), participant);
    return { flashes: onSeconds(flashes).seconds, beeps: onSeconds(beeps).seconds };
  }

  async close(): Promise<void> {
    await this.feed.close();
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** Plays the feeds of all, as the time is, until `done`. */
async function play(done: () => boolean): Promise<void> {
  while (!done()) {
    for (const { feed } of scenes) await feed.playUntil(systemClock.monoUs());
    await pause(10);
  }
}

async function playWhile<T>(work: Promise<T>): Promise<T> {
  let isDone = false;
  const done = work.finally(() => {
    isDone = true;
  });
  await play(() => isDone);
  return done;
}

const SECONDS = [1, 2, 3, 4, 5];

/**
 * Two recordings come into one process and are stopped at the same moment, at STOP_S of the second.
 * @param harm is done to it while both record
 * @param mend is done 1.5 s later, at a second of the first
 * @param spool of the first one
 */
async function recordTwo(
  harm: (pid: number) => void,
  mend = (_atS: number) => {},
  spool?: string,
): Promise<[Scene, Scene]> {
  const first = await playWhile(Scene.open(RED, spool));
  // Nobody comes into a process that is late, as it may be on a slow machine while it begins.
  await play(() => (supervisor.atWork().get(first.sid)?.pong?.lagUs ?? Number.POSITIVE_INFINITY) < 500_000);
  const second = await playWhile(Scene.open(GREEN));
  expect(second.pids).toEqual(first.pids);
  await play(() => second.nowS > 2.3);
  harm(first.pids[0] as number);
  await play(() => second.nowS > 3.8);
  mend(first.nowS);
  await play(() => second.nowS > STOP_S);
  const aheadS = first.nowS - second.nowS;
  const endings = await playWhile(Promise.all([first.end(STOP_S + aheadS), second.end(STOP_S)]));
  expect(endings, lines.join('\n')).toMatchObject([{ recorded: true }, { recorded: true }]);
  return [first, second];
}

async function expectWhole(scene: Scene, participant: typeof RED): Promise<void> {
  const { flashes, beeps } = await scene.marks(participant);
  expect(flashes.filter((s) => s > 0 && s < STOP_S)).toEqual(SECONDS);
  expect(beeps.filter((s) => s > 0 && s < STOP_S)).toEqual(SECONDS);
}

test('a process that two recordings share is killed: both go on alone, and nothing is lost', {
  timeout: 60_000,
}, async () => {
  const [first, second] = await recordTwo((pid) => process.kill(pid, 'SIGKILL'));
  await expectWhole(first, RED);
  await expectWhole(second, GREEN);
  for (const { exits } of [first, second]) expect(exits[0]).toBe('the recorder process was ended by SIGKILL');
  expect(new Set([...first.pids, ...second.pids]).size).toBe(3);
});

test('what one recording throws ends its run alone: it goes on elsewhere, and the other does not notice', {
  timeout: 60_000,
}, async () => {
  const [first, second] = await recordTwo((pid) => process.kill(pid, 'SIGUSR2'));
  await expectWhole(first, RED);
  await expectWhole(second, GREEN);
  const [failed, whole] = [first, second].toSorted((a, b) => b.dirs.length - a.dirs.length) as [Scene, Scene];
  expect([failed.dirs.length, whole.dirs.length]).toEqual([2, 1]);
  expect(failed.exits[0]).toBe('the run has ended: a defect');
  expect(whole.exits).toEqual(['the run has ended: stopped as asked']);
  expect(failed.pids[1]).not.toBe(whole.pids[0]);
});

test('a disk without room costs the recording that writes to it some seconds, and the other nothing', {
  timeout: 60_000,
}, async () => {
  const disk = SmallDisk.mount(mkdtempSync(join(tmpdir(), 'aircheck-shared-disk-')), 16_000_000);
  if (!disk) return;
  onTestFinished(() => {
    disk.unmount();
    rmSync(disk.path, { recursive: true });
  });
  let [freeBytes, mendedS] = [Number.NaN, Number.NaN];
  const mend = (atS: number) => {
    [freeBytes, mendedS] = [disk.freeBytes, atS];
    disk.makeRoom();
  };
  const [first, second] = await recordTwo(() => disk.fill(0), mend, disk.path);
  await expectWhole(second, GREEN);
  // It was full indeed.
  expect(freeBytes).toBe(0);
  const { flashes, beeps } = await first.marks(RED);
  for (const marks of [flashes, beeps])
    expect([marks.includes(1), marks.some((s) => s > mendedS)]).toEqual([true, true]);
  for (const { exits } of [first, second]) expect(exits).toEqual(['the run has ended: stopped as asked']);
});
