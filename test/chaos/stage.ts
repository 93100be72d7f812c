/**
 * ChaosStage: a real server with a receiver of its webhooks, on which shows are played: people publish, recordings are
 * made over the REST API, harm is done at its time, and what came of it is handed over to be judged.
 */
import { existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { Notice } from '../../src/contract/webhook/notice.ts';
import { Cast } from '../media/cast.ts';
import type { Course, Step } from '../media/plan.ts';
import { type ProcessRef, processesOf, signal } from '../support/processes.ts';
import { localStorage, TestServer, until } from '../support/test-server.ts';
import { WebhookReceiver } from '../support/webhook-receiver.ts';
import { CANVAS, type Outage, type Show, type Take } from './show.ts';
import { TakeWatch, type Watched } from './take-watch.ts';

const BITRATE_KBPS = 300;
/** Long enough for everyone to come back, and shorter than any show. */
const MAX_IDLE_S = 30;
/** The last event of a recording that was stopped is there after this at most. */
const LAST_EVENT_MS = 30_000;

/** What came of one recording of a show. */
export type Outcome = Watched & {
  take: Take;
  sid: string;
  cname: string;
  /** Where its files are stored. */
  dir: string;
  course: Course;
  /** As the server keeps them, and as the receiver took them. */
  events: Notice[];
  delivered: Notice[];
  unsigned: number;
};

/** What is left of recordings that have ended: folders on the spool, and feeds' sockets. */
export type Leftovers = { spool: string[]; feeds: string[] };

export class ChaosStage {
  readonly #dir: string;
  readonly #receiver: WebhookReceiver;
  readonly server: TestServer;
  #shows = 0;

  /** @param env settings of the server */
  static async open(env: Record<string, string> = {}): Promise<ChaosStage> {
    const dir = mkdtempSync(join(tmpdir(), 'aircheck-chaos-'));
    const receiver = await new WebhookReceiver().start();
    const stage = new ChaosStage(dir, receiver, env);
    try {
      await stage.server.start();
    } catch (error) {
      await stage.close();
      throw error;
    }
    return stage;
  }

  private constructor(dir: string, receiver: WebhookReceiver, env: Record<string, string>) {
    this.#dir = dir;
    this.#receiver = receiver;
    this.server = new TestServer(join(dir, 'data'), {
      AIRCHECK_NOTIFY_URL: receiver.url,
      AIRCHECK_NOTIFY_SECRET: receiver.secret,
      // What is done to the recorder of one recording is done to that alone.
      AIRCHECK_RECORDINGS_PER_RECORDER: '1',
      ...env,
    });
  }

  /** Plays a show. Rejects with an Error when people cannot publish or a recording cannot be started. */
  async perform(show: Show): Promise<Outcome[]> {
    const cname = `show${this.#shows++}`;
    const cast = new Cast(this.server, cname, show.plan);
    const watches: TakeWatch[] = [];
    try {
      await cast.gather();
      for (const [i, take] of show.takes.entries()) watches.push(await this.#begin(cname, take, i));
      const zeroWallS = (watches[0] as TakeWatch).zeroWallS;
      const [steps, outages] = await Promise.all([
        cast.play(zeroWallS),
        show.meanwhile?.((atS) => pause(Math.max(0, (zeroWallS + atS) * 1000 - Date.now()))) ?? [],
        ...watches.map((watch) => watch.play(zeroWallS)),
      ]);
      const watched = await Promise.all(watches.map((watch) => watch.end()));
      return await Promise.all(
        watched.map((each, i) => {
          const watch = watches[i] as TakeWatch;
          return this.#outcomeOf(each, watch, { plan: show.plan, ...shifted(steps, outages, zeroWallS, watch) });
        }),
      );
    } finally {
      for (const watch of watches) watch.close();
      await cast.close();
    }
  }

  /** Ends the server in order, and returns how long that took, milliseconds. */
  async end(): Promise<number> {
    const began = performance.now();
    await this.server.end();
    return performance.now() - began;
  }

  leftovers(): Leftovers {
    const { dataDir } = this.server;
    const names = (folder: string) => (existsSync(join(dataDir, folder)) ? readdirSync(join(dataDir, folder)) : []);
    const filesOf = (sid: string) => readdirSync(join(dataDir, 'spool', sid), { recursive: true }).join(' ');
    return { spool: names('spool').map((sid) => `${sid} (${filesOf(sid)})`), feeds: names('feeds') };
  }

  /** Kills the server and starts it again at once. What had arrived may be lost for `lostS` at most. */
  async restart(lostS: number): Promise<Outage> {
    const fromS = Date.now() / 1000 - lostS;
    await this.server.kill();
    await this.server.start();
    return { fromS, toS: Date.now() / 1000 };
  }

  /** Has the server leave its recordings and starts it again, as in an upgrade. What had arrived must be there. */
  async hangUp(): Promise<Outage> {
    const fromS = Date.now() / 1000;
    await this.server.hangUp();
    await this.server.start();
    return { fromS, toS: Date.now() / 1000 };
  }

  /** Ends the server in order and starts it again, so that it can be asked. */
  async shutDown(): Promise<Outage> {
    const fromS = Date.now() / 1000;
    await this.server.end();
    await this.server.start();
    return { fromS, toS: Number.POSITIVE_INFINITY };
  }

  /** Lets the server stand still. */
  async suspend(forS: number): Promise<Outage> {
    const { pid } = this.server.running;
    const fromS = Date.now() / 1000;
    process.kill(pid, 'SIGSTOP');
    await pause(forS * 1000);
    process.kill(pid, 'SIGCONT');
    return { fromS, toS: Date.now() / 1000 };
  }

  /** A second server of the same fleet, which has not been started. */
  another(): TestServer {
    return this.server.another(join(this.#dir, 'another'));
  }

  /** Every process of the server, itself included. */
  processes(): ProcessRef[] {
    return processesOf(this.server.dataDir);
  }

  async close(): Promise<void> {
    await this.server.end();
    await this.#receiver.close();
    // What a test has stopped, or left behind, must not outlive it.
    for (const each of this.processes()) signal(each, 'SIGKILL');
    rmSync(this.#dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 200 });
  }

  async #begin(cname: string, take: Take, n: number): Promise<TakeWatch> {
    const common = { storageConfig: localStorage(`${cname}-${n}`) };
    const recordingConfig = { channelType: 1, maxIdleTime: MAX_IDLE_S };
    const mix = {
      recordingConfig: {
        ...recordingConfig,
        transcodingConfig: { ...CANVAS, bitrate: BITRATE_KBPS, mixedVideoLayout: 1 },
      },
      recordingFileConfig: { avFileType: ['hls', 'mp4'] },
    };
    const individual = { recordingConfig: { ...recordingConfig, subscribeUidGroup: 1 } };
    const request = { ...common, ...(take.mode === 'mix' ? mix : individual) };
    const recording = await this.server.record(cname, String(9000 + n), request, take.mode);
    const dir = join(this.server.dataDir, 'recordings', `${cname}-${n}`);
    return new TakeWatch({ take, recording, dataDir: this.server.dataDir, cname, dir });
  }

  async #outcomeOf(watched: Watched, watch: TakeWatch, course: Course): Promise<Outcome> {
    const { take, cname, dir } = watch;
    const { sid } = watch.recording;
    const hasExit = (events: readonly Notice[]) => events.some(({ eventType }) => eventType === 11);
    await until('the last event', async () => hasExit(await watch.recording.events()), LAST_EVENT_MS).catch(() => {});
    const events = await watch.recording.events();
    const arrived = () => this.#receiver.taken(sid);
    const isAll = () => new Set(arrived().map(({ notice }) => notice.noticeId)).size >= events.length;
    await until('all webhooks', isAll, 10_000).catch(() => {});
    const delivered = arrived().map(({ notice }) => notice);
    const unsigned = arrived().filter(({ signed }) => !signed).length;
    return { ...watched, take, sid, cname, dir, course, events, delivered, unsigned };
  }
}

/** What was done in the time of the first recording, in that of another. */
function shifted(
  steps: readonly Step[],
  outages: readonly Outage[],
  zeroWallS: number,
  watch: TakeWatch,
): Pick<Course, 'zeroWallS' | 'steps' | 'layouts' | 'outages'> {
  const byS = watch.zeroWallS - zeroWallS;
  const own = steps.map((step) => ({ ...step, fromS: step.fromS - byS, toS: step.toS - byS }));
  const away = outages.map(({ fromS, toS }) => ({ fromS: fromS - watch.zeroWallS, toS: toS - watch.zeroWallS }));
  return {
    zeroWallS: watch.zeroWallS,
    // Who publishes anew after the server was gone had left with it, and comes back.
    steps: own.flatMap((step): Step[] => {
      const outage = away.findLast(({ fromS }) => fromS < step.fromS);
      if (step.does !== 'replace' || !outage) return [step];
      return [
        { ...outage, uid: step.uid, does: 'lose' },
        { ...step, does: 'rejoin' },
      ];
    }),
    layouts: watch.layouts,
    outages: away,
  };
}
