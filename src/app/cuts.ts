/**
 * Cuts: stretches of recordings that somebody asked for as an MP4. Their slices are found on the spool or brought from
 * the store, a process of its own makes the file, and it is kept for an hour.
 */
import { link, mkdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { CutCommand } from '../contract/line/cut.ts';
import { problem } from '../contract/problems.ts';
import type { CutReply, CutRequest } from '../contract/rest/cut.ts';
import { type Clock, within } from '../kernel/clock.ts';
import { messageOf } from '../kernel/fault.ts';
import { newHexId } from '../kernel/ids.ts';
import { type CutMoment, type CutPlan, type CutScene, planCut } from '../pipeline/cut/cut-plan.ts';
import type { PastTask, SessionLog } from '../session/ports.ts';
import { checkFreeBytes } from '../stages/spool/recording-spool.ts';
import type { QueuedRuns } from '../worker/queued-runs.ts';
import type { CutSources, Fetch } from './cut-sources.ts';

export type CutsOptions = {
  /** The folder of the MP4s, which is emptied first. */
  dir: string;
  /** Begins the id of each cut, so that in a fleet a call about it finds its node. */
  owner: string;
  sources: Pick<CutSources, 'of' | 'opened'>;
  /** Throws `recording-unknown`. */
  find(appid: string, sid: string): Promise<PastTask>;
  runs: Pick<QueuedRuns, 'run'>;
  /** What must stay free on the disk. */
  reserveBytes: number;
  clock: Clock;
  log: SessionLog;
};

/** How long the MP4 of a cut is kept, and a failed one known. */
const KEEP_MS = 3_600_000;
/** So many are kept or under way at once, of one app and of all together: no app takes the places of all others. */
const MOST_CUTS = { ofApp: 100, inAll: 200 };
/** An answer waits this long for a short cut to be done. */
const SOON_MS = 2_500;
/** The form of a cut's id. */
const ID = /^[0-9a-f]{32}\.[0-9a-f]{32}$/;

type Cut = {
  appid: string;
  reply: CutReply;
  path: string;
  off: AbortController;
  done: Promise<void>;
};

export class Cuts {
  readonly #o: CutsOptions;
  readonly #cuts = new Map<string, Cut>();
  #closed = false;

  private constructor(options: CutsOptions) {
    this.#o = options;
  }

  static async open(options: CutsOptions): Promise<Cuts> {
    // What an earlier server made, nobody knows of any more.
    await rm(options.dir, { recursive: true, force: true });
    await mkdir(options.dir, { recursive: true, mode: 0o700 });
    return new Cuts(options);
  }

  /** Begins a cut, and waits a moment for it to be done. Throws a problem. */
  async begin(appid: string, sid: string, request: CutRequest): Promise<CutReply> {
    const { clock, sources, find } = this.#o;
    const past = await find(appid, sid);
    const scene = sceneOf(past);
    const plan = planCut(await sources.of(past), wishOf(request), scene);
    await this.#checkRoom(appid, plan);
    const fetch = await sources.opened(past, plan, request.keys);
    try {
      // Others may have begun meanwhile.
      this.#checkPlaces(appid);
    } catch (error) {
      fetch.close();
      throw error;
    }
    const cut = this.#add(appid, sid, plan, past, fetch);
    await within(clock, SOON_MS, cut.done, () => new Error('it takes longer')).catch(() => undefined);
    return { ...cut.reply };
  }

  /** What has become of a cut. Throws `cut-unknown`. */
  of(appid: string, sid: string, cutId: string): CutReply {
    return { ...this.#find(appid, sid, cutId).reply };
  }

  /** The MP4 of a cut. Throws `cut-unknown`, and `cut-unfinished` where there is none. */
  file(appid: string, sid: string, cutId: string): { path: string; bytes: number; name: string } {
    const { reply, path } = this.#find(appid, sid, cutId);
    if (reply.bytes === null)
      throw problem('cut-unfinished', reply.error === null ? undefined : `the cut failed: ${reply.error}`);
    return { path, bytes: reply.bytes, name: `${sid}_${reply.from}-${reply.to}.mp4` };
  }

  /** Calls a cut off, and removes what there is of it. Throws `cut-unknown`. */
  async remove(appid: string, sid: string, cutId: string): Promise<void> {
    const cut = this.#find(appid, sid, cutId);
    this.#cuts.delete(cutId);
    cut.off.abort(new Error('it was called off'));
    await cut.done;
    await rm(cut.path, { force: true });
  }

  /** Calls off and removes all cuts of a recording. Resolves when nothing of them is left. */
  async forget(sid: string): Promise<void> {
    const own = [...this.#cuts].filter(([, { reply }]) => reply.sid === sid);
    await Promise.all(own.map(([cutId, { appid }]) => this.remove(appid, sid, cutId)));
  }

  /** Calls all cuts off. Resolves when nothing is written any more. */
  async close(): Promise<void> {
    this.#closed = true;
    const all = [...this.#cuts.values()];
    for (const { off } of all) off.abort(new Error('the server is ending'));
    await Promise.all(all.map(({ done }) => done));
    await rm(this.#o.dir, { recursive: true, force: true });
  }

  #find(appid: string, sid: string, cutId: string): Cut {
    const cut = ID.test(cutId) ? this.#cuts.get(cutId) : undefined;
    if (cut?.appid !== appid || cut.reply.sid !== sid) throw problem('cut-unknown');
    return cut;
  }

  #checkPlaces(appid: string): void {
    if (this.#closed) throw problem('cut-refused', 'the server is ending');
    const { ofApp, inAll } = MOST_CUTS;
    const own = [...this.#cuts.values()].filter((cut) => cut.appid === appid).length;
    if (own < ofApp && this.#cuts.size < inAll) return;
    const many = own < ofApp ? `${inAll} cuts, of all apps,` : `${ofApp} cuts`;
    throw problem('cut-refused', `${many} are kept or under way; they are kept for an hour, or until DELETE`);
  }

  async #checkRoom(appid: string, { rows }: CutPlan): Promise<void> {
    const { dir, reserveBytes } = this.#o;
    this.#checkPlaces(appid);
    // Slices that are brought from the store take as much again.
    const sizes = rows.flat().map(({ file, at }) => file.bytes * ('key' in at ? 2 : 1));
    const needed = sizes.reduce((sum, bytes) => sum + bytes, 0) + reserveBytes;
    await checkFreeBytes(dir, needed).catch((cause: unknown) => {
      throw problem('cut-refused', messageOf(cause), { cause });
    });
  }

  #add(appid: string, sid: string, plan: CutPlan, past: PastTask, fetch: Fetch): Cut {
    const { dir, owner, clock, log } = this.#o;
    const cutId = `${owner}.${newHexId()}`;
    const reply: CutReply = {
      ...{ cutId, sid, state: 'queued', progress: 0 },
      ...{ from: plan.fromUs / 1e6, to: plan.toUs / 1e6, startUtcMs: plan.startUtcMs },
      ...{ bytes: null, file: null, error: null, expiresMs: null },
    };
    const off = new AbortController();
    const path = join(dir, `${cutId}.mp4`);
    const work = join(dir, cutId);
    const done = this.#make({ plan, past, fetch, work, path, reply, signal: off.signal })
      .then(
        (bytes) => {
          const file = `/v1/apps/${appid}/aircheck/recordings/${sid}/cuts/${cutId}/file`;
          Object.assign(reply, { state: 'done', progress: 1, bytes, file });
        },
        (error: unknown) => {
          Object.assign(reply, { state: 'failed', error: messageOf(error) });
          if (!off.signal.aborted) log.warn({ sid, cutId, error: messageOf(error) }, 'a stretch could not be cut out');
        },
      )
      .finally(() => {
        fetch.close();
        reply.expiresMs = Math.round(clock.nowMs() + KEEP_MS);
        clock.after(KEEP_MS, () => {
          if (!this.#cuts.delete(cutId)) return;
          void rm(path, { force: true }).catch((error: unknown) =>
            log.warn({ path, error: messageOf(error) }, 'the MP4 of a cut could not be removed'),
          );
        });
      });
    const cut = { appid, reply, path, off, done };
    this.#cuts.set(cutId, cut);
    return cut;
  }

  async #make({ plan, past, fetch, work, path, reply, signal }: Making): Promise<number> {
    await mkdir(work, { mode: 0o700 });
    try {
      const rows: CutCommand['rows'] = [];
      for (const row of plan.rows) {
        const slices: CutCommand['rows'][number] = [];
        for (const { file, at, placeUs, untilUs } of row) {
          // The spool may be freed meanwhile; a slice that is being written is renamed when it ends.
          const own = join(work, 'path' in at && at.path.endsWith('.part') ? `${file.name}.part` : file.name);
          if ('path' in at) await link(at.path, own).catch(() => fetch.fetch(file.name, at, own, signal));
          else await fetch.fetch(file.name, at, own, signal);
          slices.push({ path: own, placeUs, ...(untilUs !== undefined && { untilUs }) });
        }
        rows.push(slices);
      }
      const { fromUs, toUs, startUtcMs, holds, rotate } = plan;
      const coding = codingOf(past);
      const command: CutCommand = {
        output: path,
        fromUs,
        toUs,
        startUtcMs,
        rows,
        holds,
        rotate,
        ...(coding && { coding }),
      };
      const lines = await this.#o.runs.run(command, {
        signal,
        onProcess: () => Object.assign(reply, { state: 'running' }),
        onLine: (line) => {
          const part = /^progress ([\d.]+)$/.exec(line)?.[1];
          if (part !== undefined) reply.progress = Number(part);
        },
      });
      return Number(/^bytes (\d+)$/.exec(lines.at(-1) ?? '')?.[1] ?? 0);
    } finally {
      await rm(work, { recursive: true, force: true });
      if (signal.aborted) await rm(`${path}.part`, { force: true });
    }
  }
}

type Making = {
  plan: CutPlan;
  past: PastTask;
  fetch: Fetch;
  work: string;
  path: string;
  reply: CutReply;
  signal: AbortSignal;
};

function wishOf({ from, to, uid }: CutRequest) {
  const momentOf = (moment: number | string): CutMoment =>
    typeof moment === 'number' ? { playedS: moment } : { utcMs: Date.parse(moment) };
  return { from: momentOf(from), to: momentOf(to), uid };
}

/** Throws `nothing-stored` for a recording that never began. */
function sceneOf({ task, state, quality }: PastTask): CutScene {
  if (task.document.plan.mode !== 'individual') return { kind: 'together' };
  const { zeroUtcMs } = state;
  if (zeroUtcMs === undefined) throw problem('nothing-stored');
  const holds = (quality?.holds ?? []).map(({ fromMs, durationMs }) => ({
    fromUs: fromMs * 1000,
    untilUs: durationMs === null ? Number.POSITIVE_INFINITY : (fromMs + durationMs) * 1000,
  }));
  return { kind: 'alone', zeroUtcMs, holds };
}

/** How the picture is encoded; undefined where it is passed on. */
function codingOf({ task }: PastTask): CutCommand['coding'] {
  const { plan } = task.document;
  if (plan.mode === 'individual' || !plan.video) return undefined;
  const { fps, bitrateKbps } = plan.video;
  return { fps, bitrateKbps };
}
