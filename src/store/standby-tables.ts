/**
 * StandbyTables: which running recordings want a second recorder on another node, which node has it, and what that one
 * must know to make the same files (ADR 0037). The owner of a recording says what is wanted; nodes take it by a claim.
 */
import { z } from 'zod';
import { changeSchema } from '../contract/line/commands.ts';
import { planSchema } from '../contract/line/plan.ts';
import type { HostUs, RecordingUs } from '../kernel/time.ts';
import type { ChangedPlan } from '../session/changes.ts';
import { CAN_GO_ON, FREE, LATE } from './claim.ts';
import type { Database, Row } from './database.ts';
import { openDocument } from './sealed-document.ts';
import type { Vault } from './vault.ts';

/** What a recorder must know to make the same files as the owner's. */
export type Standing = {
  sid: string;
  appid: string;
  cname: string;
  uid: string;
  /** The node that has the recording. */
  keeper: string;
  /** Where the channel is at home, and the recording's zero by the monotonic clock of that node. */
  home: string;
  zeroUs: HostUs;
  zeroUtcMs: number;
  /** Where the files begin. */
  originUs: RecordingUs;
  /** A frame that a slice begins with; undefined while the owner's recorder has not begun one. */
  sliceFrame: number | undefined;
  plan: ChangedPlan;
  /** The node that stands by, if there is one; it may be gone. */
  owner: string | undefined;
};

/** A slice that the owner of a recording has told of. Times are Unix milliseconds. */
export type KnownSlice = { name: string; startUtcMs: number; endUtcMs: number; isStored: boolean };

/** How long a standby is left to the node with most free capacity, before any node takes it. */
const CHOICE = `interval '3 seconds'`;
/** For so long the owner waits for a node that stands by, before it says that there is none. */
const UNMET = `interval '20 seconds'`;
const AT_ONCE = 4;

const STANDING = `s.*, t.appid, t.cname, t.uid, t.document, t.state, t.owner as keeper
  from standbys s join tasks t using (sid)`;
/** A recording that has been on hold has slices that no frame number tells the place of. */
const WANTED = `t.ended_ms is null and t.running and t.state->>'phase' = 'recording' and not s.held
  and s.origin_us is not null and s.slice_frame is not null`;
const HAS_NONE = `not exists (select 1 from owners k where k.owner = s.owner and k.lease_until > now())`;

const documentSchema = z.object({
  plan: planSchema,
  changed: z
    .object({ before: planSchema, changes: z.array(z.object({ atUs: z.number(), change: changeSchema })) })
    .optional(),
});
const shownSchema = z.object({ plan: z.unknown(), changed: z.unknown().optional() });
const stateSchema = z.object({ zeroUtcMs: z.number() });

export class StandbyTables {
  readonly #database: Database;
  readonly #vault: Vault;
  readonly #self: string;

  /** @param self the owner that this start of this server is */
  constructor({ database, vault, self }: { database: Database; vault: Vault; self: string }) {
    this.#database = database;
    this.#vault = vault;
    this.#self = self;
  }

  /**
   * A run of a recording of this server was launched: a second recorder is wanted on another node from its first slice
   * on. Resolves to where the files began, if they have.
   */
  async want(sid: string, home: string, zeroUs: HostUs): Promise<RecordingUs | undefined> {
    const [row] = await this.#database.query(
      `insert into standbys (sid, home, zero_us)
       select sid, $3, $4 from tasks where sid = $1 and owner = $2 and ended_ms is null
       on conflict (sid) do update set home = excluded.home, zero_us = excluded.zero_us, slice_frame = null,
         protected_at = null, owner = nullif(standbys.owner, $2), wanted_at = now()
       returning origin_us`,
      [sid, this.#self, home, zeroUs],
    );
    return numberOf(row?.['origin_us']);
  }

  /** Where the files of a recording of this server begin, and a frame that a slice begins with. */
  async place(sid: string, originUs: RecordingUs, sliceFrame: number): Promise<void> {
    await this.#database.query(
      `update standbys s set origin_us = $3, slice_frame = $4 from tasks t
       where s.sid = $1 and t.sid = s.sid and t.owner = $2`,
      [sid, this.#self, originUs, sliceFrame],
    );
  }

  /** A recording of this server is, or was, on hold: from now on no other recorder can begin in the middle of it. */
  async hold(sid: string): Promise<void> {
    await this.#database.query(
      `update standbys s set held = true from tasks t where s.sid = $1 and t.sid = s.sid and t.owner = $2`,
      [sid, this.#self],
    );
  }

  /** The recording has ended. */
  async end(sid: string): Promise<void> {
    await this.#database.query('delete from standbys where sid = $1', [sid]);
  }

  /** Recordings of this server that have wanted a second recorder for long, and that no node stands by for. */
  async unmet(): Promise<string[]> {
    const rows = await this.#database.repeated(
      `select s.sid from standbys s join tasks t using (sid)
       where t.owner = $1 and t.ended_ms is null and t.running and ${HAS_NONE} and s.wanted_at < now() - ${UNMET}`,
      [this.#self],
    );
    return rows.map((row) => String(row['sid']));
  }

  /** What other nodes record and want a second recorder for, and this node may give one. */
  async wanted(): Promise<Standing[]> {
    const rows = await this.#database.repeated(
      `select ${STANDING} join owners o on o.owner = t.owner join owners me on me.owner = $1
       where ${WANTED} and t.owner <> $1 and o.lease_until > now() and ${HAS_NONE}
         and not exists (
           select 1 from strays x where x.sid = s.sid and x.folder = me.folder and x.stored_ms is null
         )
         and me.node_url is not null and not me.draining and me.renewed_at > now() - ${LATE}
         and (s.wanted_at < now() - ${CHOICE} or $1 = (
           select n.owner from owners n where n.owner <> t.owner and ${CAN_GO_ON} order by ${FREE} desc, n.owner limit 1
         ))
       order by s.wanted_at limit ${AT_ONCE}`,
      [this.#self],
    );
    return this.#standings(rows);
  }

  /** Makes this node the one that stands by. False when another was faster, or something else is wanted by now. */
  async claim({ sid, home, zeroUs, keeper }: Standing): Promise<boolean> {
    const rows = await this.#database.query(
      `update standbys s set owner = $2, stands_at = now(), protected_at = null from tasks t
       where s.sid = $1 and t.sid = s.sid and t.owner = $5 and s.home = $3 and s.zero_us = $4 and ${WANTED} and ${HAS_NONE}
       returning 1`,
      [sid, this.#self, home, zeroUs, keeper],
    );
    return rows.length > 0;
  }

  /** This node stands by no longer. */
  async release(sid: string): Promise<void> {
    await this.#database.query(
      `update standbys set owner = null, wanted_at = now(), stands_at = null, protected_at = null
       where sid = $1 and owner = $2`,
      [sid, this.#self],
    );
  }

  /** This node has all of the recording that its store has not. */
  async protect(sid: string): Promise<void> {
    await this.#database.query(
      'update standbys set protected_at = now() where sid = $1 and owner = $2 and protected_at is null',
      [sid, this.#self],
    );
  }

  /** How many recordings of this server another node protects, and how many that want it none does. */
  async counts(): Promise<{ protected: number; exposed: number }> {
    const [row] = await this.#database.query(
      `select count(*) filter (where not ${HAS_NONE} and s.protected_at is not null) as protected, count(*) as wanted
       from standbys s join tasks t using (sid) where t.owner = $1 and t.ended_ms is null and t.running`,
      [this.#self],
    );
    const safe = Number(row?.['protected'] ?? 0);
    return { protected: safe, exposed: Number(row?.['wanted'] ?? 0) - safe };
  }

  /** The recordings that this node stands by for and that are recorded. */
  async mine(): Promise<Standing[]> {
    const rows = await this.#database.repeated(
      `select ${STANDING} where s.owner = $1 and t.ended_ms is null and t.running
         and t.state->>'phase' = 'recording' and s.origin_us is not null`,
      [this.#self],
    );
    return this.#standings(rows);
  }

  /** What is known of the slices of a recording that begin at `fromUtcMs` or later, Unix milliseconds. */
  async slices(sid: string, fromUtcMs: number): Promise<KnownSlice[]> {
    const rows = await this.#database.repeated(
      `select name, state in ('stored', 'accepted') as stored, (file->>'startUtcMs')::float8 as start_ms,
         (file->>'durationUs')::float8 / 1000 as duration_ms
       from objects where sid = $1 and kind = 'slice' and (file->>'startUtcMs')::float8 >= $2`,
      [sid, fromUtcMs],
    );
    return rows.map((row) => {
      const startUtcMs = Number(row['start_ms']);
      const endUtcMs = startUtcMs + Number(row['duration_ms']);
      return { name: String(row['name']), startUtcMs, endUtcMs, isStored: row['stored'] === true };
    });
  }

  #documentOf(value: unknown): z.infer<typeof documentSchema> | undefined {
    // No more is opened than what names images.
    const shown = shownSchema.safeParse(value).data;
    try {
      return documentSchema.safeParse(openDocument(this.#vault, shown).document).data;
    } catch {
      return undefined;
    }
  }

  #standings(rows: readonly Row[]): Standing[] {
    return rows.flatMap((row) => {
      const document = this.#documentOf(row['document']);
      const state = stateSchema.safeParse(row['state']);
      // A row of another version is left to nodes of that version.
      if (!document || !state.success) return [];
      const { plan, changed } = document;
      return {
        sid: String(row['sid']),
        appid: String(row['appid']),
        cname: String(row['cname']),
        uid: String(row['uid']),
        keeper: String(row['keeper']),
        home: String(row['home']),
        zeroUs: Number(row['zero_us']),
        zeroUtcMs: state.data.zeroUtcMs,
        originUs: Number(row['origin_us']),
        sliceFrame: numberOf(row['slice_frame']),
        plan: changed ?? { before: plan, changes: [] },
        owner: row['owner'] === null ? undefined : String(row['owner']),
      };
    });
  }
}

function numberOf(value: unknown): number | undefined {
  return value === null || value === undefined ? undefined : Number(value);
}
