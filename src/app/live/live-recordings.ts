/** LiveRecordings: the recordings that are watched at this node, while they are recorded and for a while afterwards. */
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { problem } from '../../contract/problems.ts';
import type { LiveWish } from '../../contract/rest/watch.ts';
import type { Clock } from '../../kernel/clock.ts';
import type { PastTask, SessionLog, SpoolPort } from '../../session/ports.ts';
import type { WatchedTask } from '../../session/recordings.ts';
import type { CutSources } from '../cut-sources.ts';
import { type FileSpan, LiveFiles } from './live-files.ts';
import { Watched } from './watched.ts';

export type LiveRecordingsOptions = {
  /** The folder of slices that are brought from stores, which is emptied first. */
  dir: string;
  sources: Pick<CutSources, 'whole' | 'fetchFrom' | 'storageOf'>;
  spool: Pick<SpoolPort, 'runs'>;
  /** A recording that has not ended here; undefined of others. */
  find(appid: string, sid: string): WatchedTask | undefined;
  /** One that may have ended. Throws `recording-unknown`. */
  findPast(appid: string, sid: string): Promise<PastTask>;
  clock: Clock;
  log: SessionLog;
  /** A request waits no longer than this for what is to come. */
  waitMs: number;
};

/** So many recordings are watched at once. */
const MOST_WATCHED = 200;

export class LiveRecordings {
  readonly #o: LiveRecordingsOptions;
  readonly #watched = new Map<string, Promise<Watched>>();
  #closed = false;

  static async open(options: LiveRecordingsOptions): Promise<LiveRecordings> {
    await rm(options.dir, { recursive: true, force: true });
    return new LiveRecordings(options);
  }

  private constructor(options: LiveRecordingsOptions) {
    this.#o = options;
  }

  /** Who can be watched in a recording of single users; undefined of another. Throws as `playlist`. */
  async users(appid: string, sid: string): Promise<Watched['users']> {
    return (await this.#of(appid, sid)).users;
  }

  /** As of Watched. Throws `recording-unknown`, `watch-impossible`, `watch-refused` as well. */
  async playlist(appid: string, sid: string, wish: LiveWish, query: string): Promise<string> {
    return (await this.#of(appid, sid)).playlist(wish, query);
  }

  /** Where a segment lies, or a part of one, which may be about to come. Throws as `playlist`. */
  async file(appid: string, sid: string, row: string, segment: number, part?: number): Promise<FileSpan> {
    const watched = await this.#of(appid, sid);
    return watched.spanOf(row, segment, part);
  }

  /** Lets go of a recording, with what was brought here of it; whoever goes on watching opens it anew. */
  async forget(sid: string): Promise<void> {
    const own = [...this.#watched].filter(([key]) => key.endsWith(` ${sid}`));
    const opened = await Promise.allSettled(own.map(([, watched]) => watched));
    await Promise.all(opened.flatMap((each) => (each.status === 'fulfilled' ? [each.value.close()] : [])));
    for (const [key, watched] of own) if (this.#watched.get(key) === watched) this.#watched.delete(key);
  }

  /** Lets go of all. */
  async close(): Promise<void> {
    this.#closed = true;
    const all = await Promise.allSettled(this.#watched.values());
    await Promise.all(all.flatMap((each) => (each.status === 'fulfilled' ? [each.value.close()] : [])));
    await rm(this.#o.dir, { recursive: true, force: true });
  }

  async #of(appid: string, sid: string): Promise<Watched> {
    const key = `${appid} ${sid}`;
    const known = this.#watched.get(key);
    const opening = known ?? this.#open(appid, sid, () => this.#watched.delete(key));
    if (!known) {
      this.#watched.set(key, opening);
      opening.catch(() => this.#watched.delete(key));
    }
    const watched = await opening;
    watched.touch();
    return watched;
  }

  async #open(appid: string, sid: string, onClosed: () => void): Promise<Watched> {
    const { dir, sources, spool, find, findPast, clock, log, waitMs } = this.#o;
    if (this.#closed || this.#watched.size >= MOST_WATCHED) throw problem('watch-refused');
    const past = await findPast(appid, sid);
    const task = find(appid, sid) ?? { plan: past.task.document.plan, isRecorded: () => false };
    // Its keys are kept for as long as it is watched; the server forgets them when the recording ends.
    const storage = storageOrNone(() => sources.storageOf(sid, past.place));
    const files = new LiveFiles({ sid, dir: join(dir, sid), sources, storage });
    return Watched.open({ sid, task, spool, sources, files, clock, log, waitMs, onClosed });
  }
}

function storageOrNone<T>(find: () => T): T | undefined {
  try {
    return find();
  } catch {
    return undefined;
  }
}
