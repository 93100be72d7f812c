/**
 * Mixes: composites of recordings of single users that somebody asked for afterwards (ADR 0040). Each is a row in the
 * database; the node whose row it is makes it in a process of its own, begins it anew when that process or the node
 * itself has ended, and keeps its MP4 for some hours.
 */
import { mkdir, readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { problem } from '../../contract/problems.ts';
import { type MixListReply, type MixReply, type MixRequest, withoutEffect } from '../../contract/rest/mix.ts';
import type { Clock, Timer } from '../../kernel/clock.ts';
import { Fault, messageOf } from '../../kernel/fault.ts';
import { newHexId } from '../../kernel/ids.ts';
import type { PastTask, SessionLog } from '../../session/ports.ts';
import { checkFreeBytes } from '../../stages/spool/recording-spool.ts';
import type { MixTables, TakenMix } from '../../store/mix-tables.ts';
import { type MixRunOptions, makeMix, planned } from './mix-run.ts';

export type MixesOptions = MixRunOptions & {
  tables: MixTables;
  /** The folder of the MP4s. */
  dir: string;
  /** Throws `recording-unknown`. */
  find(appid: string, sid: string): Promise<PastTask>;
  /** How many are made at once. */
  parallel: number;
  /** How long an MP4 is kept, and a failed mix known. */
  keepMs: number;
  /** What the MP4s may take together. */
  totalBytes: number;
  clock: Clock;
  log: SessionLog;
};

/** How often it is looked for what is over, waits, or was left by a node that is gone. */
const LOOK_MS = 5_000;
/** How often it is noted how far a mix is. */
const NOTE_MS = 1_000;
/** So many wait or are made at once, all apps together. */
const MOST_OPEN = 100;
/** A mix is begun so often at most: one that ends its process each time does not keep the others waiting for ever. */
const MOST_ATTEMPTS = 3;
/** The pause before a mix is begun anew, for each attempt so far. */
const PAUSE_MS = 5_000;
const ID = /^[0-9a-f]{32}$/;
const SERVER_ENDED = 'the server that made it ended';

type Active = { off: AbortController; done: Promise<void> };

export class Mixes {
  readonly #o: MixesOptions;
  readonly #active = new Map<string, Active>();
  readonly #closing = new AbortController();
  #timer: Timer | undefined;
  /** One look at the queue follows the other. */
  #looking: Promise<void> = Promise.resolve();
  #next: Promise<void> | undefined;

  constructor(options: MixesOptions) {
    this.#o = options;
  }

  /** Begins to work on what waits already. */
  async start(): Promise<void> {
    const { dir, tables, clock } = this.#o;
    await mkdir(dir, { recursive: true, mode: 0o700 });
    await tables.recover(SERVER_ENDED);
    this.#timer = clock.every(LOOK_MS, () => void this.look());
    await this.look();
  }

  /** Has a recording mixed. Throws a problem. */
  async begin(appid: string, sid: string, { keys, ...request }: MixRequest): Promise<MixReply> {
    const { find, sources, tables, clock } = this.#o;
    const past = await find(appid, sid);
    const plan = planned(past, await sources.whole(sid), request);
    await this.#checkRoom(plan.mp4Bytes, plan.sliceBytes);
    // Asked for at once, so that keys that are missing are told to whoever has them.
    const storage = plan.isFar ? sources.storageOf(sid, past.place, keys) : undefined;
    const mixId = newHexId();
    const ignored = request.transcodingConfig ? withoutEffect(request.transcodingConfig) : [];
    const isAdded = await tables.add({
      ...{ mixId, appid, sid, request, storage, users: plan.users, fromS: plan.fromS, toS: plan.toS },
      bytes: plan.mp4Bytes,
      warnings: ignored.map((name) => `${name} has no effect`),
      nowMs: clock.nowMs(),
    });
    if (!isAdded) throw problem('nothing-stored');
    void this.look();
    return this.of(appid, sid, mixId);
  }

  /** Throws `recording-unknown`. */
  async list(appid: string, sid: string): Promise<MixListReply> {
    await this.#o.find(appid, sid);
    return { mixes: (await this.listOf(appid, [sid])).get(sid) ?? [] };
  }

  /** The mixes of these recordings of an app, the newest first, by sid; nothing of those that have none. */
  listOf(appid: string, sids: readonly string[]): Promise<ReadonlyMap<string, MixReply[]>> {
    return this.#o.tables.listOf(appid, sids);
  }

  /** How many wait here, and are being made. */
  counts(): Promise<{ queued: number; running: number }> {
    return this.#o.tables.counts();
  }

  /** What has become of a mix. Throws `mix-unknown`. */
  async of(appid: string, sid: string, mixId: string): Promise<MixReply> {
    return (await this.#find(appid, sid, mixId)).reply;
  }

  /** The MP4 of a mix. Throws `mix-unknown`, and `mix-unfinished` where there is none. */
  async file(appid: string, sid: string, mixId: string): Promise<{ path: string; bytes: number; name: string }> {
    const { reply, isHere } = await this.#find(appid, sid, mixId);
    if (reply.bytes === null)
      throw problem('mix-unfinished', reply.state === 'failed' ? `the mix failed: ${reply.error}` : undefined);
    const path = this.#pathOf(mixId);
    const found = isHere ? await stat(path).catch(() => undefined) : undefined;
    if (!found) throw problem('mix-unfinished', 'the node that has the MP4 of this mix is away');
    return { path, bytes: found.size, name: `${sid}_mix_${reply.from.toFixed(3)}-${reply.to.toFixed(3)}.mp4` };
  }

  /** Calls a mix off, or removes its MP4. Throws `mix-unknown`, and `deletion-refused` under a legal hold. */
  async remove(appid: string, sid: string, mixId: string): Promise<void> {
    await this.#find(appid, sid, mixId);
    if (!(await this.#o.tables.remove(appid, sid, mixId))) {
      await this.#find(appid, sid, mixId);
      throw problem('deletion-refused', 'the recording is under a legal hold, and the mix with it');
    }
    const active = this.#active.get(mixId);
    active?.off.abort(new Error('it was called off'));
    await active?.done;
    await rm(this.#pathOf(mixId), { force: true });
  }

  /** Puts back what is being made, for the next start. Resolves when nothing is written any more. */
  async close(): Promise<void> {
    this.#timer?.cancel();
    this.#closing.abort(new Error('the server is ending'));
    await this.#looking;
    await Promise.all([...this.#active.values()].map(({ done }) => done));
  }

  /** Forgets what is over, removes its files, and begins what waits. Resolves when that is done; never rejects. */
  look(): Promise<void> {
    // One that has not begun will see all that there is.
    if (this.#next !== undefined) return this.#next;
    this.#next = this.#looking.then(async () => {
      this.#next = undefined;
      try {
        await this.#tidy();
        await this.#takeAll();
      } catch (error) {
        this.#o.log.warn({ why: messageOf(error) }, 'mixes could not be looked after; it is tried again');
      }
    });
    this.#looking = this.#next;
    return this.#next;
  }

  async #tidy(): Promise<void> {
    const { tables, clock, dir, log } = this.#o;
    if (this.#closing.signal.aborted) return;
    await tables.forget(clock.nowMs());
    const taken = await tables.takeOver('the node that made it is gone');
    if (taken > 0) log.info({ mixes: taken }, 'mixes of a node that is gone are made here');
    const names = await readdir(dir);
    const unknown = this.#active.size > 0 || names.length > 0 ? await tables.ids() : new Set<string>();
    for (const [mixId, { off }] of this.#active)
      if (!unknown.has(mixId)) off.abort(new Error('it was called off, or its recording deleted'));
    for (const name of names) {
      const [mixId = ''] = name.split('.');
      const isWork = !name.endsWith('.mp4');
      if (isWork ? this.#active.has(mixId) : unknown.has(mixId)) continue;
      await rm(join(dir, name), { recursive: true, force: true });
    }
  }

  async #takeAll(): Promise<void> {
    const { tables, clock, parallel } = this.#o;
    while (this.#active.size < parallel && !this.#closing.signal.aborted) {
      const mix = await tables.take(clock.nowMs());
      if (!mix) return;
      const off = new AbortController();
      const done = this.#make(mix, off).finally(() => {
        this.#active.delete(mix.mixId);
        void this.look();
      });
      this.#active.set(mix.mixId, { off, done });
    }
  }

  /** One attempt at a mix, whose outcome is noted. Never rejects. */
  async #make(mix: TakenMix, off: AbortController): Promise<void> {
    const { tables, clock, keepMs, find, dir, log } = this.#o;
    const { mixId, sid, attempts } = mix;
    const signal = AbortSignal.any([off.signal, this.#closing.signal]);
    const path = this.#pathOf(mixId);
    let progress = 0;
    let noted = Promise.resolve();
    const note = clock.every(NOTE_MS, () => {
      noted = noted
        .then(() => tables.progress(mix, progress))
        .then(
          (isOurs) => isOurs || off.abort(new Error('it was called off')),
          // It is noted a second later.
          () => undefined,
        )
        .then(() => undefined);
    });
    try {
      if (attempts > MOST_ATTEMPTS)
        throw new Fault('mix-failed', `it was begun ${MOST_ATTEMPTS} times: ${mix.error}`, { blame: 'self' });
      const past = await find(mix.appid, sid);
      const work = join(dir, `${mixId}.${attempts}`);
      const made = await makeMix(this.#o, {
        ...{ past, mix, work, path, signal },
        onProgress(part) {
          progress = part;
        },
      });
      note.cancel();
      await noted;
      const isKept = await tables.done(mix, { ...made, nowMs: clock.nowMs(), keepMs });
      if (!isKept) await rm(path, { force: true });
      else log.info({ sid, mixId, bytes: made.bytes }, 'a recording is mixed');
    } catch (error) {
      note.cancel();
      await noted;
      await this.#ended(mix, error, off.signal).catch((failure: unknown) =>
        // It is taken for one that a server left when this one starts again.
        log.warn({ sid, mixId, why: messageOf(failure) }, 'what became of a mix could not be noted'),
      );
    }
  }

  async #ended(mix: TakenMix, error: unknown, off: AbortSignal): Promise<void> {
    const { tables, clock, keepMs, log } = this.#o;
    const { mixId, sid, attempts } = mix;
    // Its row is gone, or another node's.
    if (off.aborted) return;
    if (this.#closing.signal.aborted) return void (await tables.putBack(mix));
    const why = messageOf(error);
    const nowMs = clock.nowMs();
    if (error instanceof Fault && error.retryable && attempts < MOST_ATTEMPTS) {
      log.warn({ sid, mixId, attempts, why }, 'a mix is begun anew');
      const nextTryMs = nowMs + PAUSE_MS * attempts;
      await tables.again(mix, { error: why, nextTryMs });
      return;
    }
    const isLast = error instanceof Fault && error.retryable;
    await tables.failed(mix, { error: isLast ? `it was begun ${attempts} times: ${why}` : why, nowMs, keepMs });
    log.warn({ sid, mixId, attempts, why }, 'a recording could not be mixed');
  }

  async #find(appid: string, sid: string, mixId: string) {
    const found = ID.test(mixId) && ID.test(sid) ? await this.#o.tables.find(appid, sid, mixId) : undefined;
    if (!found) throw problem('mix-unknown');
    return found;
  }

  async #checkRoom(mp4Bytes: number, sliceBytes: number): Promise<void> {
    const { tables, totalBytes, dir, reserveBytes } = this.#o;
    if (this.#closing.signal.aborted) throw problem('mix-refused', 'the server is ending');
    const { open, bytes } = await tables.totals();
    if (open >= MOST_OPEN) throw problem('mix-refused', `${MOST_OPEN} mixes wait or are being made`);
    const mb = (count: number) => Math.ceil(count / 1e6);
    if (bytes + mp4Bytes > totalBytes)
      throw problem(
        'mix-refused',
        `the mixes that are kept and wait may take ${mb(totalBytes)} MB (mixTotalMb): they take ${mb(bytes)} MB, and this one up to ${mb(mp4Bytes)} MB`,
      );
    await checkFreeBytes(dir, mp4Bytes + sliceBytes + reserveBytes).catch((cause: unknown) => {
      throw problem('mix-refused', messageOf(cause), { cause });
    });
  }

  #pathOf(mixId: string): string {
    return join(this.#o.dir, `${mixId}.mp4`);
  }
}
