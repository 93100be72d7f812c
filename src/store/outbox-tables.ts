/**
 * The outbox: every event of every recording, written in the transaction that changed the recording, and how far its
 * delivery is. Events stay readable afterwards, until they are forgotten by age.
 */
import { type Notice, noticeSchema } from '../contract/webhook/notice.ts';
import type { Database, Queryable, Row } from './database.ts';

/**
 * `pending` until its receiver took it (`delivered`) or it was given up (`dead`); `unwanted` when nobody asked for it.
 */
export const EVENT_STATES = ['pending', 'delivered', 'dead', 'unwanted'] as const;
type EventState = (typeof EVENT_STATES)[number];

/** An event of the outbox. Times are Unix milliseconds. */
export type StoredEvent = {
  /** Grows with each event of the whole server, in the order in which events became visible; numbers may be missing. */
  position: number;
  sid: string;
  appid: string;
  state: EventState;
  /** How often it was sent, without failed sendings by hand while it was pending. */
  attempts: number;
  /** When it, or an earlier event of its recording that it waits for, was first sent. */
  firstTriedMs: number | undefined;
  lastAttemptMs: number | undefined;
  /** When it is sent again; undefined before the first sending, and when it is not pending. */
  nextAttemptMs: number | undefined;
  deliveredMs: number | undefined;
  lastError: string | undefined;
  notice: Notice;
};

export type EventFilter = {
  sid?: string | undefined;
  state?: EventState | undefined;
  /** Only events after this position. */
  after: number;
  limit: number;
};

/** Where the tables of recordings put what is to be told. */
export type Outbox = {
  /** Adds notices inside the transaction that they belong to. A notice whose noticeId exists already is not changed. */
  add(inside: Queryable, notices: readonly Notice[], nowMs: number): Promise<void>;
  /** A transaction that added notices of this recording was committed. */
  added(sid: string): void;
};

/** Whoever adds events holds this lock until the commit, so that no position becomes visible after a higher one. */
const POSITION_LOCK = 4_227_316_801;

export class OutboxTables {
  #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /**
   * Adds notices of known recordings, pending when `wants` says so. Resolves to whether there is anything to deliver.
   * Rejects when a recording has another notice with the same sequence.
   */
  async add(
    inside: Queryable,
    notices: readonly Notice[],
    nowMs: number,
    wants: (appid: string, eventType: number) => boolean,
  ): Promise<boolean> {
    await inside.query('select pg_advisory_xact_lock($1::bigint)', [POSITION_LOCK]);
    let pending = false;
    for (const notice of notices) {
      const [task] = await inside.query('select appid from tasks where sid = $1', [notice.sid]);
      if (!task) continue;
      const appid = String(task['appid']);
      const state: EventState = wants(appid, notice.eventType) ? 'pending' : 'unwanted';
      pending ||= state === 'pending';
      await inside.query(
        `insert into events (notice_id, sid, appid, sequence, event_type, notice, created_ms, state)
         values ($1, $2, $3, $4, $5, $6::json, $7, $8) on conflict (notice_id) do nothing`,
        [
          notice.noticeId,
          notice.sid,
          appid,
          notice.payload.sequence,
          notice.eventType,
          JSON.stringify(notice),
          nowMs,
          state,
        ],
      );
    }
    return pending;
  }

  /** The first pending event of a recording, which must be sent before the others. */
  async nextOf(sid: string): Promise<StoredEvent | undefined> {
    const [row] = await this.#database.query(
      `select * from events where sid = $1 and state = 'pending' order by sequence limit 1`,
      [sid],
    );
    return row && toEvent(row);
  }

  /** Recordings whose first pending event is due at `nowMs`; the longest wait comes first. */
  async dueSids(nowMs: number, limit: number): Promise<string[]> {
    const rows = await this.#database.query(
      `select sid from (
         select distinct on (sid) sid, position, next_attempt_ms from events where state = 'pending' order by sid, sequence
       ) as heads where coalesce(next_attempt_ms, 0) <= $1 order by position limit $2`,
      [nowMs, limit],
    );
    return rows.map((row) => String(row['sid']));
  }

  /** Recordings whose first pending event is due after `ms`; the longest wait comes first. */
  async dueAfter(ms: number, limit: number): Promise<string[]> {
    const rows = await this.#database.query(
      `select sid from (
         select distinct on (sid) sid, position, next_attempt_ms from events where state = 'pending' order by sid, sequence
       ) as heads where next_attempt_ms > $1 order by position limit $2`,
      [ms, limit],
    );
    return rows.map((row) => String(row['sid']));
  }

  /** Whether anything is pending, due or not. */
  async hasPending(): Promise<boolean> {
    return (await this.#database.query(`select 1 from events where state = 'pending' limit 1`)).length > 0;
  }

  /** How many are pending, due or not, and since when the oldest is, Unix milliseconds. */
  async pendingTotal(): Promise<{ pending: number; sinceMs: number | undefined }> {
    const [row] = await this.#database.query(
      `select count(*) as pending, min(created_ms) as since_ms from events where state = 'pending'`,
    );
    const since = row?.['since_ms'];
    return { pending: Number(row?.['pending'] ?? 0), sinceMs: since == null ? undefined : Number(since) };
  }

  /** The receiver took it. */
  async delivered(noticeId: string, sentMs: number, nowMs: number): Promise<void> {
    await this.#database.query(
      `update events set state = 'delivered', attempts = attempts + 1, first_tried_ms = coalesce(first_tried_ms, $2::bigint),
         last_attempt_ms = $2::bigint, delivered_ms = $3, next_attempt_ms = null, last_error = null
       where notice_id = $1`,
      [noticeId, sentMs, nowMs],
    );
  }

  /**
   * The receiver did not take a pending event: it is sent again at `nextAttemptMs`, or is dead when that is undefined.
   * The time of the recording's later events begins to count too: else, when a receiver stays away, they would be given
   * up one after another, each after the whole time.
   */
  async failed(event: StoredEvent, sentMs: number, error: string, nextAttemptMs: number | undefined): Promise<void> {
    await this.#database.transaction(async (inside) => {
      await inside.query(
        `update events set state = $4, attempts = attempts + 1, last_attempt_ms = $2, last_error = $3, next_attempt_ms = $5
         where notice_id = $1 and state = 'pending'`,
        [event.notice.noticeId, sentMs, error, nextAttemptMs === undefined ? 'dead' : 'pending', nextAttemptMs ?? null],
      );
      await inside.query(
        'update events set first_tried_ms = $2 where sid = $1 and first_tried_ms is null and sequence >= $3',
        [event.sid, sentMs, event.notice.payload.sequence],
      );
    });
  }

  /** A sending by hand failed: the event keeps its state, and a pending one keeps its remaining retries. */
  async redeliveryFailed(noticeId: string, sentMs: number, error: string): Promise<void> {
    await this.#database.query(
      `update events set last_attempt_ms = $2, last_error = $3,
         attempts = attempts + case when state = 'pending' then 0 else 1 end
       where notice_id = $1`,
      [noticeId, sentMs, error],
    );
  }

  /** Nobody wants a pending event any more. */
  async unwanted(noticeId: string): Promise<void> {
    await this.#database.query(
      `update events set state = 'unwanted', next_attempt_ms = null where notice_id = $1 and state = 'pending'`,
      [noticeId],
    );
  }

  /** Events of an app, oldest first. */
  async list(appid: string, { sid, state, after, limit }: EventFilter): Promise<StoredEvent[]> {
    const rows = await this.#database.query(
      `select * from events where appid = $1 and position > $2 and ($3::text is null or sid = $3)
         and ($4::text is null or state = $4) order by position limit $5`,
      [appid, after, sid ?? null, state ?? null, limit],
    );
    return rows.map(toEvent);
  }

  async find(appid: string, noticeId: string): Promise<StoredEvent | undefined> {
    const [row] = await this.#database.query('select * from events where appid = $1 and notice_id = $2', [
      appid,
      noticeId,
    ]);
    return row && toEvent(row);
  }

  /** Forgets events that are older and were not sent later either; never a pending one. Resolves to how many. */
  async forget(beforeMs: number): Promise<number> {
    const rows = await this.#database.query(
      `delete from events where created_ms < $1 and coalesce(last_attempt_ms, 0) < $1 and state <> 'pending'
       returning 1 as gone`,
      [beforeMs],
    );
    return rows.length;
  }
}

function toEvent(row: Row): StoredEvent {
  const optionalMs = (name: string) => (row[name] === null ? undefined : Number(row[name]));
  return {
    position: Number(row['position']),
    sid: String(row['sid']),
    appid: String(row['appid']),
    state: row['state'] as EventState,
    attempts: Number(row['attempts']),
    firstTriedMs: optionalMs('first_tried_ms'),
    lastAttemptMs: optionalMs('last_attempt_ms'),
    nextAttemptMs: optionalMs('next_attempt_ms'),
    deliveredMs: optionalMs('delivered_ms'),
    lastError: row['last_error'] === null ? undefined : String(row['last_error']),
    notice: noticeSchema.parse(row['notice']),
  };
}
