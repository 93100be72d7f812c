/** Mixes in SQL: what was asked for, who makes it, how far it is, and until when its MP4 is kept (ADR 0040). */
import { type StorageConfig, storageConfigSchema } from '../contract/line/storage.ts';
import type { KeptMixRequest, MixReply, MixState } from '../contract/rest/mix.ts';
import type { Database, Row } from './database.ts';
import type { Vault } from './vault.ts';

export type NewMix = {
  mixId: string;
  appid: string;
  sid: string;
  request: KeptMixRequest;
  users: string[];
  fromS: number;
  toS: number;
  /** What opens the store of its slices; undefined where they lie on this node. */
  storage: StorageConfig | undefined;
  /** How large it may become. */
  bytes: number;
  warnings: string[];
  nowMs: number;
};

/** A mix that this node has taken up; `storage` is undefined, too, where the key is lost that it was sealed with. */
export type TakenMix = Pick<NewMix, 'mixId' | 'appid' | 'sid' | 'request' | 'storage' | 'warnings'> & {
  /** How often it was begun, this time among them. */
  attempts: number;
  /** What ended the attempt before. */
  error: string | null;
};
type Attempt = Pick<TakenMix, 'mixId' | 'attempts'>;

export type MixTablesOptions = {
  database: Database;
  vault: Vault;
  /** The data folder of this node: what it makes lies there. */
  folder: string;
  /** Whether nodes go on with each other's work: they have the same secret keys then. */
  inFleet: boolean;
};

/** A mix m whose recording is under a legal hold. */
const IS_HELD = 'exists (select 1 from retentions r where r.sid = m.sid and r.held_ms is not null)';
/** A mix m whose recording's files are deleted. */
const IS_DELETED = 'exists (select 1 from retentions r where r.sid = m.sid and r.deleted_ms is not null)';
/** That this node still makes the mix, in this attempt: $1 the mix, $2 the folder, $3 the attempt. */
const IS_OURS = `mix_id = $1 and folder = $2 and attempts = $3 and state = 'running'`;

export class MixTables {
  readonly #o: MixTablesOptions;

  constructor(options: MixTablesOptions) {
    this.#o = options;
  }

  /** Adds a mix for this node to make. False, and nothing is added, when the recording's files are deleted. */
  async add(mix: NewMix): Promise<boolean> {
    const { database, vault, folder } = this.#o;
    const added = await database.query(
      `insert into mixes
         (mix_id, appid, sid, folder, request, users, from_s, to_s, storage, bytes, warnings, created_ms)
       select $1, $2, t.sid, $4, $5::json, $6::json, $7, $8, $9, $10, $11::json, $12 from tasks t
       where t.sid = $3 and t.appid = $2
         and not exists (select 1 from retentions r where r.sid = t.sid and r.deleted_ms is not null)
       returning 1`,
      [
        ...[mix.mixId, mix.appid, mix.sid, folder, JSON.stringify(mix.request), JSON.stringify(mix.users)],
        ...[mix.fromS, mix.toS, mix.storage ? vault.seal(JSON.stringify(mix.storage)) : null, Math.round(mix.bytes)],
        ...[JSON.stringify(mix.warnings), Math.round(mix.nowMs)],
      ],
    );
    return added.length > 0;
  }

  /** The mixes of these recordings of an app, the newest first, by sid; nothing of those that have none. */
  async listOf(appid: string, sids: readonly string[]): Promise<Map<string, MixReply[]>> {
    const rows = await this.#o.database.query(
      `select m.*, ${IS_HELD} as held from mixes m where appid = $1 and sid = any($2) order by position desc`,
      [appid, [...sids]],
    );
    return Map.groupBy(rows.map(toReply), ({ sid }) => sid);
  }

  /** One of them, and whether its MP4 is this node's. */
  async find(appid: string, sid: string, mixId: string): Promise<{ reply: MixReply; isHere: boolean } | undefined> {
    const [row] = await this.#o.database.query(
      `select m.*, ${IS_HELD} as held from mixes m where appid = $1 and sid = $2 and mix_id = $3`,
      [appid, sid, mixId],
    );
    return row && { reply: toReply(row), isHere: row['folder'] === this.#o.folder };
  }

  /** How many mixes wait on this node, and are being made. */
  async counts(): Promise<{ queued: number; running: number }> {
    const [row] = await this.#o.database.query(
      `select count(*) filter (where state = 'queued') as queued, count(*) filter (where state = 'running') as running
       from mixes where folder = $1 and state in ('queued', 'running')`,
      [this.#o.folder],
    );
    return { queued: Number(row?.['queued'] ?? 0), running: Number(row?.['running'] ?? 0) };
  }

  /** What this node has of mixes: those that wait or are made, and how large all of them are or may become. */
  async totals(): Promise<{ open: number; bytes: number }> {
    const [row] = await this.#o.database.query(
      `select count(*) filter (where state in ('queued', 'running')) as open,
         coalesce(sum(bytes) filter (where state <> 'failed'), 0) as bytes from mixes where folder = $1`,
      [this.#o.folder],
    );
    return { open: Number(row?.['open'] ?? 0), bytes: Number(row?.['bytes'] ?? 0) };
  }

  /** Takes up the mix of this node that has waited longest and may be begun, if there is one. */
  async take(nowMs: number): Promise<TakenMix | undefined> {
    const { database, vault, folder } = this.#o;
    const [row] = await database.query(
      `update mixes set state = 'running', attempts = attempts + 1, progress = 0, next_try_ms = null
       where mix_id = (select mix_id from mixes where folder = $1 and state = 'queued' and coalesce(next_try_ms, 0) <= $2
         order by position limit 1 for update skip locked)
       returning *`,
      [folder, Math.round(nowMs)],
    );
    if (!row) return undefined;
    const sealed = row['storage'] === null ? undefined : vault.openIfKnown(String(row['storage']));
    return {
      ...{ mixId: String(row['mix_id']), appid: String(row['appid']), sid: String(row['sid']) },
      ...{ request: row['request'] as KeptMixRequest, warnings: row['warnings'] as string[] },
      storage: sealed === undefined ? undefined : storageConfigSchema.parse(JSON.parse(sealed)),
      attempts: Number(row['attempts']),
      error: row['error'] === null ? null : String(row['error']),
    };
  }

  /** Notes how far an attempt is. False when the mix was called off, or another node has it. */
  progress(attempt: Attempt, progress: number): Promise<boolean> {
    return this.#change(attempt, 'progress = $4', [progress]);
  }

  /** Notes that the MP4 is there. False as of `progress`. */
  done(attempt: Attempt, made: { bytes: number; warnings: string[]; nowMs: number; keepMs: number }): Promise<boolean> {
    const { bytes, warnings, nowMs, keepMs } = made;
    return this.#change(
      attempt,
      `state = 'done', progress = 1, bytes = $4, warnings = $5::json, ended_ms = $6, expires_ms = $7, error = null,
       storage = null`,
      [bytes, JSON.stringify(warnings), Math.round(nowMs), Math.round(nowMs + keepMs)],
    );
  }

  /** Notes that there will be none. False as of `progress`. */
  failed(attempt: Attempt, { error, nowMs, keepMs }: { error: string; nowMs: number; keepMs: number }) {
    return this.#change(attempt, `state = 'failed', error = $4, ended_ms = $5, expires_ms = $6, storage = null`, [
      error,
      Math.round(nowMs),
      Math.round(nowMs + keepMs),
    ]);
  }

  /** Has the mix begun anew from `nextTryMs` on. False as of `progress`. */
  again(attempt: Attempt, { error, nextTryMs }: { error: string; nextTryMs: number }): Promise<boolean> {
    return this.#change(attempt, `state = 'queued', progress = 0, error = $4, next_try_ms = $5`, [
      error,
      Math.round(nextTryMs),
    ]);
  }

  /** Puts the mix back: nobody is to blame that it was not finished, and the attempt does not count. */
  putBack(attempt: Attempt): Promise<boolean> {
    return this.#change(attempt, `state = 'queued', progress = 0, attempts = attempts - 1`, []);
  }

  /** Has what an earlier server of this data folder was making begun anew. */
  async recover(error: string): Promise<void> {
    await this.#o.database.query(
      `update mixes set state = 'queued', progress = 0, error = $2 where folder = $1 and state = 'running'`,
      [this.#o.folder, error],
    );
  }

  /**
   * Makes unfinished mixes of nodes that are gone this node's, where all their slices lie in a store that every node
   * reaches. Of nodes that look at the same moment each takes others.
   */
  async takeOver(error: string): Promise<number> {
    const { database, folder, inFleet } = this.#o;
    if (!inFleet) return 0;
    const taken = await database.query(
      `update mixes set folder = $1, progress = 0,
         error = case when state = 'running' then $2 else error end, state = 'queued'
       where position in (
         select m.position from mixes m join tasks t using (sid)
         where m.state in ('queued', 'running') and m.folder <> $1 and t.place->>'vendor' <> '1000'
           and not exists (select 1 from objects o where o.sid = m.sid and o.state in ('waiting', 'backup', 'gaveUp'))
           and not exists (select 1 from owners w where w.folder = m.folder and not w.ended and w.lease_until > now())
         for update of m skip locked)
       returning 1`,
      [folder, error],
    );
    return taken.length;
  }

  /** Forgets mixes whose days are over, and those of recordings whose files are deleted; none under a legal hold. */
  async forget(nowMs: number): Promise<void> {
    await this.#o.database.query(
      `delete from mixes m where m.folder = $1 and not ${IS_HELD} and (m.expires_ms <= $2 or ${IS_DELETED})`,
      [this.#o.folder, Math.round(nowMs)],
    );
  }

  /** Forgets one mix. False, and it stays, when its MP4 is there and its recording under a legal hold. */
  async remove(appid: string, sid: string, mixId: string): Promise<boolean> {
    const removed = await this.#o.database.query(
      `delete from mixes m where appid = $1 and sid = $2 and mix_id = $3 and not (state = 'done' and ${IS_HELD})
       returning 1`,
      [appid, sid, mixId],
    );
    return removed.length > 0;
  }

  /** The mixes of this node. */
  async ids(): Promise<Set<string>> {
    const rows = await this.#o.database.query('select mix_id from mixes where folder = $1', [this.#o.folder]);
    return new Set(rows.map((row) => String(row['mix_id'])));
  }

  async #change({ mixId, attempts }: Attempt, what: string, values: unknown[]): Promise<boolean> {
    const { database, folder } = this.#o;
    const changed = await database.query(`update mixes set ${what} where ${IS_OURS} returning 1`, [
      ...[mixId, folder, attempts],
      ...values,
    ]);
    return changed.length > 0;
  }
}

function toReply(row: Row): MixReply {
  const state = row['state'] as MixState;
  const [mixId, sid] = [String(row['mix_id']), String(row['sid'])];
  const isDone = state === 'done';
  const orNull = (value: unknown) => (value === null ? null : Number(value));
  return {
    ...{ mixId, sid, state, progress: Number(row['progress']), users: row['users'] as string[] },
    ...{ from: Number(row['from_s']), to: Number(row['to_s']), request: row['request'] as Record<string, unknown> },
    ...{ attempts: Number(row['attempts']), createdMs: Number(row['created_ms']), endedMs: orNull(row['ended_ms']) },
    bytes: isDone ? Number(row['bytes']) : null,
    file: isDone ? `/v1/apps/${row['appid']}/aircheck/recordings/${sid}/mixes/${mixId}/file` : null,
    error: row['error'] === null ? null : String(row['error']),
    warnings: row['warnings'] as string[],
    expiresMs: row['held'] === true ? null : orNull(row['expires_ms']),
  };
}
