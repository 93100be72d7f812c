/**
 * GET /v1/apps/{appid}/aircheck/changes: recordings of an app as they change, and mixes of one of them, as server-sent
 * events (HTML §9.2), from whichever node of a fleet they are on. Aircheck's own, not part of the contract.
 */
import { Readable } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import { problem } from '../../contract/problems.ts';
import type { MixReply } from '../../contract/rest/mix.ts';
import type { ListedRecordingReply } from '../../contract/rest/recording-list.ts';
import type { Clock, Timer } from '../../kernel/clock.ts';
import { messageOf } from '../../kernel/fault.ts';
import type { RecordingList } from '../../store/recording-list.ts';

const LOOK_MS = 1_000;
/** Sizes grow without a change of state; every fifth look tells all that goes on. */
const LOOKS_PER_ALL = 5;
/** Something is sent at least this often, so that proxies keep the connection, and it is known when it breaks. */
const BEAT_MS = 15_000;
const MOST_WATCHERS = 500;
const MOST_WAITING_BYTES = 1_000_000;
const SID = /^[0-9a-f]{32}$/;

export type ChangesOptions = {
  list: Pick<RecordingList, 'unfinished' | 'of'>;
  /** The mixes of these recordings of an app, the newest first, by sid; none of those that have none. */
  mixesOf(appid: string, sids: readonly string[]): Promise<ReadonlyMap<string, MixReply[]>>;
  clock: Clock;
  log: { warn(details: object, text: string): void };
};

export type Watcher = {
  onRecordings(changed: ListedRecordingReply[]): void;
  /** A recording of which all mixes are told at once, and whenever one of them has changed. */
  mixes?: { sid: string; onMixes(mixes: MixReply[]): void } | undefined;
};
type Watched = {
  /** With the mixes that each was told of last, as text. */
  watchers: Map<Watcher, string | undefined>;
  timer: Timer;
  known: Map<string, number> | undefined;
  looks: number;
};

/** Looks at the database once a second for each app that somebody watches, however many do. */
export class Changes {
  readonly #options: ChangesOptions;
  readonly #apps = new Map<string, Watched>();

  constructor(options: ChangesOptions) {
    this.#options = options;
  }

  get watchers(): number {
    return [...this.#apps.values()].reduce((sum, { watchers }) => sum + watchers.size, 0);
  }

  /** @returns what ends the watch */
  watch(appid: string, watcher: Watcher): () => void {
    let watched = this.#apps.get(appid);
    if (!watched) {
      let looking = false;
      const timer = this.#options.clock.every(LOOK_MS, () => {
        // A slow database is not asked again before it has answered.
        if (looking) return;
        looking = true;
        void Promise.all([this.#look(appid), this.#lookAtMixes(appid)]).finally(() => {
          looking = false;
        });
      });
      watched = { watchers: new Map(), timer, known: undefined, looks: 0 };
      this.#apps.set(appid, watched);
    }
    const { watchers, timer } = watched;
    watchers.set(watcher, undefined);
    if (watcher.mixes) void this.#lookAtMixes(appid);
    return () => {
      watchers.delete(watcher);
      if (watchers.size > 0) return;
      timer.cancel();
      if (this.#apps.get(appid)?.watchers === watchers) this.#apps.delete(appid);
    };
  }

  async #look(appid: string): Promise<void> {
    const watched = this.#apps.get(appid);
    if (!watched) return;
    const { list } = this.#options;
    try {
      const revisions = new Map((await list.unfinished(appid)).map(({ sid, revision }) => [sid, revision]));
      const { known } = watched;
      const isAll = watched.looks++ % LOOKS_PER_ALL === 0 || known === undefined;
      const changed = [...revisions].filter(([sid, revision]) => isAll || known.get(sid) !== revision);
      // What is not there any more has ended.
      const ended = [...(known?.keys() ?? [])].filter((sid) => !revisions.has(sid));
      const recordings = await list.of(appid, [...changed.map(([sid]) => sid), ...ended]);
      watched.known = revisions;
      if (recordings.length > 0) for (const { onRecordings } of watched.watchers.keys()) onRecordings(recordings);
    } catch (error) {
      this.#warn(error, 'recordings');
    }
  }

  async #lookAtMixes(appid: string): Promise<void> {
    const watchers = this.#apps.get(appid)?.watchers ?? new Map<Watcher, string | undefined>();
    const sids = new Set([...watchers.keys()].flatMap(({ mixes }) => mixes?.sid ?? []));
    if (sids.size === 0) return;
    try {
      const found = await this.#options.mixesOf(appid, [...sids]);
      for (const [watcher, told] of watchers) {
        // One that came meanwhile has a look of its own.
        if (!watcher.mixes || !sids.has(watcher.mixes.sid)) continue;
        const mixes = found.get(watcher.mixes.sid) ?? [];
        const text = JSON.stringify(mixes);
        if (text === told) continue;
        watchers.set(watcher, text);
        watcher.mixes.onMixes(mixes);
      }
    } catch (error) {
      this.#warn(error, 'mixes');
    }
  }

  #warn(error: unknown, what: string): void {
    const { log } = this.#options;
    log.warn({ error: messageOf(error) }, `changes of ${what} cannot be read; they are looked for again`);
  }
}

type ChangesQuery = { Params: { appid: string }; Querystring: { mixesOf?: string } };

export function changesRoute(app: FastifyInstance, { changes, clock }: { changes: Changes; clock: Clock }): void {
  app.get<ChangesQuery>('/changes', async ({ params, query }, reply) => {
    const { mixesOf: sid } = query;
    if (sid !== undefined && !SID.test(sid))
      throw problem('request-invalid', 'api body validate failed! mixesOf must be 32 lowercase hexadecimal digits');
    if (changes.watchers >= MOST_WATCHERS) throw problem('rate-limited');
    const stream = new Readable({ read() {}, highWaterMark: MOST_WAITING_BYTES });
    // A reader that does not read is let go, and reads the list again when it comes back.
    const say = (text: string) => {
      if (!stream.push(text)) stream.destroy();
    };
    const tell = (event: string, data: object) => say(`event: ${event}\ndata: ${JSON.stringify(data)}\n\n`);
    stream.push('retry: 2000\n\n');
    const end = changes.watch(params.appid, {
      onRecordings(recordings) {
        for (const recording of recordings) tell('recording', recording);
      },
      mixes: sid === undefined ? undefined : { sid, onMixes: (mixes) => tell('mixes', { sid, mixes }) },
    });
    const beat = clock.every(BEAT_MS, () => say(': still here\n\n'));
    stream.once('close', () => {
      end();
      beat.cancel();
    });
    return reply
      .type('text/event-stream; charset=utf-8')
      .header('cache-control', 'no-store')
      .header('x-accel-buffering', 'no')
      .send(stream);
  });
}
