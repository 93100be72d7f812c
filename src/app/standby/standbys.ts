/**
 * Standbys: the second recorders of this node, each of a recording that another node has (ADR 0037). Each makes the
 * same slices from a feed of its own, stores nothing and tells nobody. What the store has is removed here. When this
 * node has claimed the recording, as the other is gone or drains, what its recorder made becomes a run of it.
 */
import { existsSync } from 'node:fs';
import { mkdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { StartCommand } from '../../contract/line/commands.ts';
import type { Fact } from '../../contract/line/facts.ts';
import type { IndividualPlan, MixPlan, Plan } from '../../contract/line/plan.ts';
import type { Clock, Timer } from '../../kernel/clock.ts';
import { messageOf } from '../../kernel/fault.ts';
import { newHexId } from '../../kernel/ids.ts';
import { type HostUs, toRecording } from '../../kernel/time.ts';
import type { Segment } from '../../media/segment.ts';
import type { Log } from '../../observe/log.ts';
import type { StandbySnapshot } from '../../observe/metrics.ts';
import { rowKeyOf } from '../../pipeline/individual/taken-over.ts';
import { sliceGrid } from '../../pipeline/mix/slice-grid.ts';
import { keepChanges, planAfter, toCommands } from '../../session/changes.ts';
import type { AdoptedRun, ChannelPort, Feed, RecorderPort, RecorderProcess } from '../../session/ports.ts';
import { asStandby, canStandBy } from '../../session/standby-plan.ts';
import { createRunFolder, recordingFolder, runFolder } from '../../stages/spool/recording-spool.ts';
import type { KnownSlice, StandbyTables, Standing } from '../../store/standby-tables.ts';
import { filesTakenOver, takeoverOf } from './files-taken-over.ts';
import { storedRows } from './stored-rows.ts';

export type StandbysOptions = {
  /** The id of this node, and what it is called. */
  self: string;
  name: string;
  tables: Pick<StandbyTables, 'wanted' | 'claim' | 'release' | 'mine' | 'slices' | 'protect'>;
  feeds: {
    openAt(home: string, who: Parameters<ChannelPort['openFeed']>[0]): Promise<Feed & { toOwn(us: HostUs): HostUs }>;
  };
  recorders: Pick<RecorderPort, 'launch'>;
  admission: { refusalOf(plan: Plan, appid: string): string | undefined; forget(sid: string): void };
  /** Calls back with each recording of a node that may have changed, until the signal aborts or the node is gone. */
  follow(node: string, onChange: (sid: string) => void, signal: AbortSignal): Promise<void>;
  /** Whether this node takes nothing new. */
  isLeaving(): boolean;
  /** Folder of the standbys' files, which this server alone uses; on one file system with `spoolRoot`. */
  root: string;
  spoolRoot: string;
  minFreeBytes: number;
  given: Pick<StartCommand, 'imageNetworks' | 'lowestRung'>;
  /** A recording of this mode goes on here with what its standby made. */
  onTakenOver(mode: string): void;
  clock: Clock;
  log: Log;
};

const LOOK_MS = 1_000;
/** A standby that could not be begun, or that ended by itself, is not begun again here for this long. */
const AGAIN_US = 10_000_000;
/** What the store has is removed here, but the newest slices: a run that goes on finds in them where it is. */
const KEPT_SLICES = 2;
/** No slice is longer (contract §4.2), but for what comes until the next packet. */
const LONGEST_SLICE_MS = 400_000;
/** Rows that begin so soon after the first begin with it; what ends so soon before a slice ends where it begins. */
const JOINED_MS = 2_000;
/** Both recorders begin a row of somebody who just came at the same moment, but for this. */
const SAME_MS = 100;
/** The first run of a recording alone writes MP4s itself, and each next run of a feed has a higher number. */
const GENERATION = 2;

type Standby = Standing & {
  feed: Feed;
  dir: string;
  zeroMonoUs: HostUs;
  process: RecorderProcess;
  /** Resolves when its process is gone. */
  exited: Promise<void>;
  hasExited: boolean;
  /** It has begun a slice. */
  hasBegun: boolean;
  /** Changes that it knows of, as JSON. */
  known: Set<string>;
  slices: Segment[];
  /** Where it began each row, Unix milliseconds, until it has all that the store has not; undefined from then on. */
  begunMs: Map<string, number> | undefined;
  /** How many finished slices it keeps because the store has them not. */
  lag: number;
  /** When it began to stand by, and since when it has all that the store has not; Unix milliseconds. */
  sinceMs: number;
  protectedMs: number | undefined;
};

export class Standbys {
  readonly #o: StandbysOptions;
  readonly #standbys = new Map<string, Standby>();
  /** Feeds of standbys that are recorders now, until these ask for one. */
  readonly #left = new Map<string, Feed>();
  readonly #notBeforeUs = new Map<string, HostUs>();
  readonly #followed = new Map<string, AbortController>();
  #timer: Timer | undefined;
  #looking: Promise<void> | undefined;
  #isDue = false;
  #closed = false;

  constructor(options: StandbysOptions) {
    this.#o = options;
  }

  /** Begins to stand by. What an earlier start left is removed: its feeds are gone. */
  async start(): Promise<void> {
    await rm(this.#o.root, { recursive: true, force: true });
    this.#timer = this.#o.clock.every(LOOK_MS, () => this.#lookSoon());
  }

  /** What is kept here of recordings of other nodes. */
  get held(): StandbySnapshot {
    const all = [...this.#standbys.values()];
    const bytes = all.flatMap(({ slices }) => slices).reduce((sum, slice) => sum + slice.bytes, 0);
    return { recorders: all.length, lagSlices: Math.max(0, ...all.map(({ lag }) => lag)), bytes };
  }

  /** The feed that a standby read whose recording is this node's now; undefined where none did. Given once. */
  takeFeed(sid: string): Feed | undefined {
    const feed = this.#left.get(sid);
    this.#left.delete(sid);
    return feed;
  }

  /** As of TaskPorts. */
  async adopt(sid: string, generation: number): Promise<AdoptedRun | undefined> {
    const standby = this.#standbys.get(sid);
    if (!standby) return undefined;
    this.#standbys.delete(sid);
    const { spoolRoot } = this.#o;
    standby.process.kill();
    await standby.exited;
    if (!standby.hasBegun) {
      await this.#remove(standby);
      return undefined;
    }
    const { dir, feed, zeroMonoUs } = standby;
    const { files, fromMs } = await filesTakenOver(standby, (own) => this.#known(sid, own));
    const path = runFolder(spoolRoot, sid, generation);
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    await rename(dir, path);
    this.#left.set(sid, feed);
    await rm(recordingFolder(this.#o.root, sid), { recursive: true, force: true });
    // Its report is of the standby alone.
    const ofRecording = files.filter(({ type }) => type !== 'document');
    this.#o.onTakenOver(standby.plan.before.mode);
    const { name, clock } = this.#o;
    const takeover = takeoverOf(standby, { node: name, fromMs, untilMs: clock.nowMs() });
    return { zeroMonoUs, files: ofRecording.map((file) => ({ dir: path, file })), takeover };
  }

  /** What is known of the owner's slices of the time of these. */
  #known(sid: string, own: readonly { startUtcMs: number }[]): Promise<KnownSlice[]> {
    const fromMs = Math.min(...own.map(({ startUtcMs }) => startUtcMs));
    return this.#o.tables.slices(sid, Number.isFinite(fromMs) ? fromMs - LONGEST_SLICE_MS : 0);
  }

  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    await this.#looking;
    for (const off of this.#followed.values()) off.abort();
    for (const feed of this.#left.values()) feed.close();
    await Promise.all([...this.#standbys.values()].map((standby) => this.#end(standby)));
  }

  #lookSoon(): void {
    this.#isDue = true;
    this.#looking ??= this.#lookAll().finally(() => {
      this.#looking = undefined;
    });
  }

  async #lookAll(): Promise<void> {
    while (this.#isDue && !this.#closed) {
      this.#isDue = false;
      await this.#look().catch((error) =>
        this.#o.log.debug({ error: messageOf(error) }, 'the database does not tell what this node stands by for'),
      );
    }
  }

  async #look(): Promise<void> {
    const { tables, isLeaving } = this.#o;
    const mine = await tables.mine();
    for (const standing of mine) await this.#keep(standing);
    // A recording that is this node's now is adopted by its runner; one that has ended needs no standby.
    for (const [sid, standby] of this.#standbys) if (!mine.some((each) => each.sid === sid)) await this.#end(standby);
    this.#followKeepers();
    if (isLeaving()) {
      for (const standby of this.#standbys.values()) await this.#end(standby);
      return;
    }
    for (const standing of await tables.wanted()) await this.#begin(standing);
  }

  /** Looks after a standby of this node: whether it still makes what is wanted, and knows all changes. */
  async #keep(standing: Standing): Promise<void> {
    const { sid, home, zeroUs, sliceFrame, plan } = standing;
    const standby = this.#standbys.get(sid);
    // Its runner is about to adopt the standby.
    if (standing.keeper === this.#o.self) return;
    if (!standby) return this.#o.tables.release(sid);
    const isOff = sliceFrame !== undefined && (sliceFrame - (standby.sliceFrame ?? 0)) % ofSliceOf(plan.before) !== 0;
    const isOther = standing.keeper !== standby.keeper || home !== standby.home || zeroUs !== standby.zeroUs;
    // Of a channel whose home is gone there is nothing to record; what came until then is kept for whoever goes on.
    if (isOther || isOff) return this.#end(standby);
    for (const change of plan.changes) {
      const text = JSON.stringify(change);
      if (standby.known.has(text)) continue;
      standby.known.add(text);
      for (const command of toCommands([change], standby.zeroMonoUs)) standby.process.change(command);
    }
    await this.#removeStored(standby);
    if (standby.begunMs) await this.#protect(standby, standby.begunMs);
  }

  /** Tells once that what the store has reaches to where this standby began. */
  async #protect(standby: Standby, begunMs: ReadonlyMap<string, number>): Promise<void> {
    const { sid } = standby;
    if (begunMs.size === 0) return;
    const { tables, clock } = this.#o;
    const own = [...begunMs].map(([row, startUtcMs]) => ({ row, startUtcMs }));
    const known = await this.#known(sid, own);
    const reaches = ({ row, startUtcMs }: (typeof own)[number]) =>
      known.some((slice) => {
        const isOfRow = (rowKeyOf(slice.name) ?? '') === row;
        const begins = slice.startUtcMs <= startUtcMs + SAME_MS;
        return slice.isStored && isOfRow && begins && slice.endUtcMs > startUtcMs - JOINED_MS;
      });
    if (!own.every(reaches)) return;
    await tables.protect(sid);
    standby.begunMs = undefined;
    standby.protectedMs = clock.nowMs();
  }

  async #removeStored(standby: Standby): Promise<void> {
    const { sid, dir, slices, plan } = standby;
    const old =
      plan.before.mode === 'mix' ? slices.slice(0, -KEPT_SLICES) : slices.filter((each) => isOld(each, slices));
    standby.lag = old.length;
    if (old.length === 0) return;
    const known = await this.#known(sid, old);
    const stored = new Set(known.filter(({ isStored }) => isStored).map(({ name }) => name));
    const rows = storedRows(known, slices);
    for (const slice of old) {
      const { name } = slice;
      const isStored =
        plan.before.mode === 'mix' ? stored.has(name) : endMsOf(slice) <= (rows.get(rowKeyOf(name)!) ?? 0);
      if (!isStored) continue;
      await rm(join(dir, name), { force: true });
      standby.slices = standby.slices.filter((each) => each !== slice);
      standby.lag--;
    }
  }

  async #begin(standing: Standing): Promise<void> {
    const { tables, admission, clock, log } = this.#o;
    const { sid, appid } = standing;
    if (this.#closed || this.#standbys.has(sid) || clock.monoUs() < (this.#notBeforeUs.get(sid) ?? 0)) return;
    const plan = planAfter(standing.plan);
    if (!canStandBy(plan)) return;
    const refusal = admission.refusalOf(plan, appid);
    if (refusal !== undefined) {
      this.#pause(sid);
      return log.debug({ sid, why: refusal }, 'this node has no room for the standby of a recording');
    }
    try {
      if (!(await tables.claim(standing))) return;
      await this.#launch(standing, plan);
      log.info({ sid }, 'this node stands by for a recording of another one');
    } catch (error) {
      this.#pause(sid);
      log.warn({ sid, why: messageOf(error) }, 'a recording of another node cannot have its standby here');
      await tables.release(sid);
    } finally {
      admission.forget(sid);
    }
  }

  async #launch(standing: Standing, { mode, videoStreamType = 0 }: MixPlan | IndividualPlan): Promise<void> {
    const { feeds, recorders, root, minFreeBytes, given, clock } = this.#o;
    const { sid, appid, cname, uid, home, zeroUs, zeroUtcMs, originUs, sliceFrame = 0, plan } = standing;
    const name = newHexId();
    const dir = await createRunFolder(root, sid, GENERATION, minFreeBytes);
    const who = { appid, cname, uid: `${uid}#${name.slice(0, 8)}`, sid: name, videoStreamType };
    const feed = await feeds.openAt(home, who);
    const exited = Promise.withResolvers<void>();
    try {
      const zeroMonoUs = feed.toOwn(zeroUs);
      const kept = keepChanges(plan, [], toRecording(clock.monoUs(), zeroMonoUs));
      const process = recorders.launch(
        {
          type: 'start',
          plan: canStandBy(kept.before) ? asStandby(kept.before) : kept.before,
          generation: GENERATION,
          source: { kind: 'feed', path: feed.path },
          spoolDir: dir,
          earlierDirs: [],
          changes: toCommands(kept.changes, zeroMonoUs),
          follows: { originUs, sliceFrame },
          isTwin: true,
          ...(mode === 'mix' && given),
          zeroUtcMs,
          zeroMonoUs,
        },
        {
          onProcess: () => {},
          onFact: (fact) => this.#hear(standby, fact),
          onExit: (why) => {
            standby.hasExited = true;
            exited.resolve();
            this.#onExit(standby, why);
          },
        },
      );
      const known = new Set(plan.changes.map((change) => JSON.stringify(change)));
      const told = { begunMs: new Map<string, number>(), lag: 0, sinceMs: clock.nowMs(), protectedMs: undefined };
      const state = { hasExited: false, hasBegun: false, slices: [], known, ...told };
      const standby: Standby = { ...standing, ...state, feed, dir, zeroMonoUs, process, exited: exited.promise };
      this.#standbys.set(sid, standby);
    } catch (error) {
      feed.close();
      throw error;
    }
  }

  #hear(standby: Standby, fact: Fact): void {
    if (fact.type === 'sliceStarted') {
      const { uid, trackType, startUtcMs } = fact;
      const row = uid === undefined ? '' : `${uid} ${trackType === 'audio_and_video' ? 'av' : trackType}`;
      const { begunMs } = standby;
      const firstMs = Math.min(startUtcMs, ...(begunMs?.values() ?? []));
      // Of who comes later both recorders have everything.
      if (startUtcMs - firstMs < JOINED_MS && !begunMs?.has(row)) begunMs?.set(row, startUtcMs);
      standby.hasBegun = true;
    }
    if (fact.type === 'fileSpooled' && fact.file.type === 'slice') standby.slices.push(fact.file);
  }

  #onExit(standby: Standby, why: string): void {
    if (this.#standbys.get(standby.sid) !== standby || this.#closed) return;
    this.#o.log.warn({ sid: standby.sid, why }, 'the recorder of a standby has ended');
    // Where the channel's home is gone, its owner may be as well: then what was recorded until now is wanted at once.
    if (standby.feed.isOver) return;
    this.#pause(standby.sid);
    void this.#end(standby);
  }

  async #end(standby: Standby): Promise<void> {
    if (this.#standbys.get(standby.sid) !== standby) return;
    this.#standbys.delete(standby.sid);
    await this.#remove(standby);
    await this.#o.tables.release(standby.sid).catch((error) => {
      this.#o.log.debug({ error: messageOf(error) }, 'the database does not know that a standby has ended');
    });
  }

  async #remove(standby: Standby): Promise<void> {
    if (!standby.hasExited) standby.process.kill();
    await standby.exited;
    await standby.feed.close();
    const folder = recordingFolder(this.#o.root, standby.sid);
    if (existsSync(folder)) await rm(folder, { recursive: true, force: true });
  }

  #pause(sid: string): void {
    const nowUs = this.#o.clock.monoUs();
    for (const [each, untilUs] of this.#notBeforeUs) if (untilUs <= nowUs) this.#notBeforeUs.delete(each);
    this.#notBeforeUs.set(sid, nowUs + AGAIN_US);
  }

  /** Has the nodes whose recordings have a standby here tell of changes at once. */
  #followKeepers(): void {
    const keepers = new Set([...this.#standbys.values()].map(({ keeper }) => keeper));
    for (const [node, off] of this.#followed)
      if (!keepers.has(node)) {
        off.abort();
        this.#followed.delete(node);
      }
    for (const node of keepers) {
      if (this.#followed.has(node)) continue;
      const off = new AbortController();
      this.#followed.set(node, off);
      const onChange = (sid: string) => {
        if (this.#standbys.has(sid)) this.#lookSoon();
      };
      void this.#o
        .follow(node, onChange, off.signal)
        .catch(() => {})
        .finally(() => {
          if (this.#followed.get(node) === off) this.#followed.delete(node);
        });
    }
  }
}

/** How many frames, or blocks of sound, lie between the beginnings of slices; those of single users begin anywhere. */
function ofSliceOf(plan: Plan): number {
  return plan.mode === 'mix' ? sliceGrid(plan.video?.fps).ofSlice : 1;
}

/** Whether a slice of one user is not the newest of its row. */
function isOld({ name, startUtcMs }: Segment, slices: readonly Segment[]): boolean {
  return slices.some((each) => each.startUtcMs > startUtcMs && rowKeyOf(each.name) === rowKeyOf(name));
}

function endMsOf({ startUtcMs, durationUs }: Segment): number {
  return startUtcMs + durationUs / 1000;
}
