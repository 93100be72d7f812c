/**
 * Watched: one recording that somebody watches. What its files have grown by is looked at ten times a second, for as
 * long as anybody asks.
 */
import { readdir } from 'node:fs/promises';
import { problem } from '../../contract/problems.ts';
import type { LiveWish } from '../../contract/rest/watch.ts';
import { type Clock, type Timer, within } from '../../kernel/clock.ts';
import { messageOf } from '../../kernel/fault.ts';
import type { HostUs } from '../../kernel/time.ts';
import { withoutFailover } from '../../media/failover-names.ts';
import type { MediaKind } from '../../media/track.ts';
import type { SessionLog, SpoolPort } from '../../session/ports.ts';
import type { WatchedTask } from '../../session/recordings.ts';
import {
  FIRST_SEGMENT,
  type LiveRendition,
  renderLivePlaylist,
  renderLiveRenditions,
} from '../../stages/mux/hls/live-playlist.ts';
import { readSliceName } from '../../stages/mux/names.ts';
import { partRule } from '../../stages/mux/ts/ts-parts.ts';
import type { CutSources, WholeSource } from '../cut-sources.ts';
import type { FileSpan, LiveFiles } from './live-files.ts';
import { LiveRow, type OpenFile } from './live-row.ts';

export type WatchedOptions = {
  sid: string;
  task: WatchedTask;
  spool: Pick<SpoolPort, 'runs'>;
  sources: Pick<CutSources, 'whole'>;
  files: LiveFiles;
  clock: Clock;
  log: SessionLog;
  /** A request waits no longer than this for what is to come. */
  waitMs: number;
  /** Nobody has asked for it in a while, or it was closed. */
  onClosed(): void;
};

const LOOK_MS = 100;
/** Folders are listed once in so many looks: a slice lasts fifteen seconds. */
const LOOKS_PER_LISTING = 2;
/** What nobody has asked for in this time is let go of, microseconds: while it is recorded, and afterwards. */
const UNWATCHED_US = 60_000_000;
const UNWATCHED_ENDED_US = 900_000_000;
/**
 * No segment is told to be longer, seconds (RFC 8216bis §4.4.3.1). Composites have a key frame every three seconds at
 * least; other senders may have none for as long as a slice lasts, which ends at the first after 15 s.
 */
const TARGET_S = { composite: 6, other: 18 };
/** What a player may ask for beyond what there is (§6.2.5.2). */
const SEGMENTS_AHEAD = 2;
const PARTS_AHEAD_S = 3;
/** Told to players of a user's picture and sound, bit/s; nobody knows what will come. */
const BANDWIDTH = 2_500_000;

/** The row of everybody together. */
const ALL = 'all';

export class Watched {
  readonly #o: WatchedOptions;
  readonly #rows = new Map<string, LiveRow>();
  #whole: WholeSource[] = [];
  #timer: Timer | undefined;
  #looks = 0;
  #looking: Promise<void> | undefined;
  #askedUs: HostUs;
  #waiting: (() => void)[] = [];
  /** The files of each row that are being written, as they were listed last. */
  #listed = new Map<string, OpenFile[]>();
  /** All that was recorded is known. */
  #isComplete = false;
  #isClosed = false;

  static async open(options: WatchedOptions): Promise<Watched> {
    const watched = new Watched(options);
    watched.#whole = await options.sources.whole(options.sid);
    for (const { file } of watched.#whole) watched.#rowFor(file.name);
    await watched.#look();
    watched.#timer = options.clock.every(LOOK_MS, () => {
      watched.#looking ??= watched.#look().finally(() => {
        watched.#looking = undefined;
      });
    });
    return watched;
  }

  private constructor(options: WatchedOptions) {
    this.#o = options;
    this.#askedUs = options.clock.monoUs();
  }

  /** Somebody asks for it. */
  touch(): void {
    this.#askedUs = this.#o.clock.monoUs();
  }

  /** Resolves when its files are not being looked at. */
  async settled(): Promise<void> {
    await this.#looking;
  }

  async close(): Promise<void> {
    if (this.#isClosed) return;
    this.#isClosed = true;
    this.#timer?.cancel();
    this.#o.onClosed();
    this.#wake();
    await this.#looking;
    for (const row of this.#rows.values()) await row.close();
    await this.#o.files.close();
  }

  /** The users of a recording of single users who can be watched, and what of them; undefined of another. */
  get users(): { uid: string; kinds: MediaKind[] }[] | undefined {
    if (this.#o.task.plan.mode !== 'individual') return undefined;
    const users = new Map<string, Set<MediaKind>>();
    for (const [name, row] of this.#rows) {
      const [, uid] = name.split('-');
      if (uid !== undefined) users.set(uid, (users.get(uid) ?? new Set()).add(row.rule.kind));
    }
    return [...users].map(([uid, kinds]) => ({ uid, kinds: [...kinds].sort() }));
  }

  /**
   * The playlist of everybody together, of one stream of a user, or one that names both. Waits for the version that is
   * wished for, and where that does not come in time is the newest there is. Throws `live-version-unknown`,
   * `live-file-unknown`, `watch-impossible`.
   * @param query goes behind every address
   */
  async playlist(wish: LiveWish, query: string): Promise<string> {
    const endUs = this.#waitsUntilUs();
    await this.#until(endUs, () => this.#isComplete || this.#namesOf(wish).length > 0);
    const names = this.#namesOf(wish);
    if (names.length === 0) throw this.#nothingOf(wish);
    if (names.length > 1)
      return renderLiveRenditions(
        names.map((name) => this.#rendition(name, query)),
        BANDWIDTH,
      );
    const row = this.#rows.get(names[0]!)!;
    await this.#waitFor(row, wish, endUs);
    return this.#render(names[0]!, row, wish.skips, query);
  }

  /**
   * Where a segment lies, or a part of one, which may be about to come. Throws `live-file-unknown`, `watch-impossible`.
   */
  async spanOf(name: string, number: number, part?: number): Promise<FileSpan> {
    const segment = number - FIRST_SEGMENT;
    const row = this.#rows.get(name);
    if (row && part !== undefined) {
      const { segments } = row;
      const [newest, length] = [segments.at(-1), segments.length];
      const isHinted =
        newest && newest.durationUs === undefined
          ? segment === length - 1 && part === newest.parts.length
          : segment === length && part === 0;
      // It was announced, and is waited for.
      if (isHinted)
        await this.#until(this.#waitsUntilUs(), () => {
          const found = row.segments[segment];
          return found !== undefined && (part < found.parts.length || found.durationUs !== undefined);
        });
    }
    const bytes = row?.bytesOf(segment, part);
    if (!bytes) throw problem('live-file-unknown');
    return this.#o.files.spanOf(bytes);
  }

  #namesOf({ uid, kind }: LiveWish): string[] {
    const isAlone = this.#o.task.plan.mode === 'individual';
    if (isAlone && uid === undefined)
      throw problem('watch-impossible', `every user is recorded alone: name one as uid, of ${this.#uids()}`);
    if (!isAlone && uid !== undefined)
      throw problem('watch-impossible', 'all users are recorded together: leave uid out');
    const kinds = kind ? [kind] : (['video', 'audio'] as const);
    const wanted = isAlone ? kinds.map((each) => `${each}-${uid}`) : [ALL];
    return wanted.filter((name) => this.#rows.get(name)?.segments.some((segment) => lengthOf(segment) > 0));
  }

  #nothingOf({ uid }: LiveWish) {
    const reason =
      uid === undefined
        ? 'nothing is recorded yet, or nothing that can be watched: slices of MPEG-TS'
        : `nothing of user ${uid} can be watched; of others: ${this.#uids()}`;
    return problem('live-file-unknown', reason);
  }

  #uids(): string {
    return this.users?.map(({ uid }) => uid).join(', ') || 'nobody';
  }

  #rendition(name: string, query: string): LiveRendition {
    const { kind } = this.#rows.get(name)!.rule;
    return { kind, uri: `live.m3u8?${query}&kind=${kind}` };
  }

  async #waitFor(row: LiveRow, { segment: number, part }: LiveWish, endUs: HostUs): Promise<void> {
    if (this.#isComplete) return;
    const { segments, rule } = row;
    // hls.js takes a playlist of parts alone for an empty one.
    if (number === undefined) return this.#until(endUs, () => this.#isComplete || hasCome(segments, 0, undefined));
    const segment = number - FIRST_SEGMENT;
    const newest = segments.at(-1);
    const isOpen = newest?.durationUs === undefined;
    // The number of the last segment that is whole, and how many parts there are behind it.
    const last = segments.length - (isOpen ? 2 : 1);
    const partsAhead = Math.ceil(PARTS_AHEAD_S / Math.min(1, rule.targetUs / 1e6));
    const parts = segment === last + 1 && isOpen ? (newest?.parts.length ?? 0) : 0;
    if (segment > last + SEGMENTS_AHEAD || (part !== undefined && segment > last && part >= parts + partsAhead))
      throw problem('live-version-unknown');
    await this.#until(endUs, () => this.#isComplete || hasCome(segments, segment, part));
  }

  #render(name: string, row: LiveRow, skips: boolean, query: string): string {
    const isComposite = this.#o.task.plan.mode !== 'individual';
    return renderLivePlaylist({
      ...{ segments: row.segments, isEnded: this.#isComplete, skips, partTargetUs: row.rule.targetUs },
      targetS: Math.max(TARGET_S[isComposite ? 'composite' : 'other'], Math.ceil(row.longestUs / 1e6)),
      segmentUri: (segment) => `live/${name}/${segment}.ts?${query}`,
      partUri: (segment, part) => `live/${name}/${segment}.${part}.ts?${query}`,
    });
  }

  #waitsUntilUs(): HostUs {
    return this.#o.clock.monoUs() + this.#o.waitMs * 1000;
  }

  async #until(endUs: HostUs, holds: () => boolean): Promise<void> {
    const { clock } = this.#o;
    while (!holds() && !this.#isClosed) {
      const leftMs = (endUs - clock.monoUs()) / 1000;
      if (leftMs <= 0) return;
      const news = new Promise<void>((resolve) => this.#waiting.push(resolve));
      await within(clock, leftMs, news, () => new Error('nothing came')).catch(() => undefined);
    }
  }

  #wake(): void {
    for (const resolve of this.#waiting.splice(0)) resolve();
  }

  async #look(): Promise<void> {
    const { clock, log, sid } = this.#o;
    const unwatchedUs = clock.monoUs() - this.#askedUs;
    if (unwatchedUs > (this.#isComplete ? UNWATCHED_ENDED_US : UNWATCHED_US)) {
      // Not awaited: closing waits for this look.
      void this.close();
      return;
    }
    if (this.#isComplete) return;
    try {
      if (await this.#poll()) this.#wake();
    } catch (error) {
      log.warn({ sid, error: messageOf(error) }, 'a recording that is watched could not be read');
    }
  }

  /** Whether there is news. */
  async #poll(): Promise<boolean> {
    // Asked before the files are looked at: what was written until then is found.
    const isRecorded = this.#o.task.isRecorded();
    let isNews = false;
    if (this.#looks++ % LOOKS_PER_LISTING === 0 || !isRecorded) this.#listed = await this.#list();
    for (const [name, files] of this.#listed) {
      const row = this.#rows.get(name);
      if (row) isNews = (await row.poll(files)) || isNews;
    }
    if (isRecorded) return isNews;
    const whole = await this.#o.sources.whole(this.#o.sid);
    for (const { file } of whole) this.#rowFor(file.name);
    for (const [name, row] of this.#rows) await row.end(whole.filter(({ file }) => rowOf(file.name)?.row === name));
    this.#isComplete = true;
    return true;
  }

  async #list(): Promise<Map<string, OpenFile[]>> {
    const listed = new Map<string, OpenFile[]>();
    for (const { dir } of await this.#o.spool.runs(this.#o.sid))
      for (const part of await readdir(dir)) {
        if (!part.endsWith('.ts.part')) continue;
        const name = part.slice(0, -'.part'.length);
        const row = this.#rowFor(name);
        const startUtcMs = readSliceName(name)?.startUtcMs;
        if (row === undefined || startUtcMs === undefined) continue;
        listed.set(row, [...(listed.get(row) ?? []), { dir, name, startUtcMs }]);
      }
    for (const row of this.#rows.keys()) if (!listed.has(row)) listed.set(row, []);
    return listed;
  }

  /** The row that a slice belongs to, which is made where there is none; undefined where it cannot be watched. */
  #rowFor(name: string): string | undefined {
    const found = rowOf(name);
    if (!found || this.#rows.has(found.row)) return found?.row;
    const { plan } = this.#o.task;
    const fps = plan.mode === 'individual' ? undefined : plan.video?.fps;
    const kind = found.kind ?? (plan.mode === 'individual' || plan.video ? 'video' : 'audio');
    const own = this.#whole.filter(({ file }) => rowOf(file.name)?.row === found.row);
    this.#rows.set(found.row, new LiveRow(partRule(kind, fps), own));
    return found.row;
  }
}

/** Which row a slice belongs to by its name; undefined where it is not of MPEG-TS, or holds what others hold too. */
function rowOf(name: string): { row: string; kind: MediaKind | undefined } | undefined {
  const parts = readSliceName(withoutFailover(name));
  if (parts?.extension !== 'ts') return undefined;
  if (!parts.user) return { row: ALL, kind: undefined };
  const { type, uid } = parts.user;
  return type === 'av' ? undefined : { row: `${type}-${uid}`, kind: type };
}

/** Whether a segment is whole, or the part of it is there. */
function hasCome(segments: LiveRow['segments'], segment: number, part: number | undefined): boolean {
  const found = segments[segment];
  if (!found) return segment < 0;
  const isWhole = found.durationUs !== undefined;
  if (part === undefined) return isWhole;
  if (part < found.parts.length || !isWhole) return part < found.parts.length;
  // A part behind the last of a segment is the first of the next (§6.2.5.2).
  return segment + 2 < segments.length || hasCome(segments, segment + 1, 0);
}

function lengthOf({ durationUs, parts }: { durationUs: number | undefined; parts: readonly { durationUs: number }[] }) {
  return durationUs ?? parts.reduce((sum, part) => sum + part.durationUs, 0);
}
