/**
 * The tables, as numbered steps that are applied once each, in order, and never changed after a release.
 */
import type { Database } from './database.ts';

const MIGRATIONS: readonly { name: string; statements: readonly string[] }[] = [
  {
    name: 'resources and tasks',
    statements: [
      `create table resources (
        resource_id text primary key,
        appid text not null,
        cname text not null,
        uid text not null,
        scene integer not null,
        expires_ms bigint not null,
        expired_hour integer not null,
        start_hash text,
        sid text,
        started_ms bigint
      )`,
      `create index resources_unused on resources (expires_ms) where sid is null`,
      `create table tasks (
        sid text primary key,
        resource_id text not null references resources (resource_id),
        appid text not null,
        cname text not null,
        uid text not null,
        mode text not null,
        created_ms bigint not null,
        updated_ms bigint not null,
        ended_ms bigint,
        running boolean not null,
        status integer not null,
        state jsonb not null,
        document jsonb not null
      )`,
      // Two recorders under one uid in one channel would throw each other out.
      `create unique index tasks_running on tasks (appid, cname, uid) where running`,
      `create index tasks_unfinished on tasks (created_ms) where ended_ms is null`,
    ],
  },
  {
    name: 'events',
    statements: [
      `create table events (
        notice_id text primary key,
        position bigserial not null,
        sid text not null,
        appid text not null,
        sequence integer not null,
        event_type integer not null,
        -- json, not jsonb: its members stay in their order.
        notice json not null,
        created_ms bigint not null,
        state text not null check (state in ('pending', 'delivered', 'dead', 'unwanted')),
        attempts integer not null default 0,
        first_tried_ms bigint,
        last_attempt_ms bigint,
        next_attempt_ms bigint,
        delivered_ms bigint,
        last_error text,
        unique (sid, sequence)
      )`,
      `create index events_of_app on events (appid, position)`,
      `create index events_pending on events (sid, sequence) where state = 'pending'`,
      `create index events_by_age on events (created_ms)`,
    ],
  },
  {
    name: 'quality reports',
    statements: [
      // Apart from tasks, whose rows are read and written all the time. json, not jsonb: its members stay in their order.
      `create table quality_reports (
        sid text primary key references tasks (sid),
        report json not null
      )`,
    ],
  },
];

/** Applies what the database lacks, each migration in a transaction of its own. */
export async function migrate(database: Database): Promise<void> {
  await database.query('create table if not exists migrations (number integer primary key, name text not null)');
  for (const [index, { name, statements }] of MIGRATIONS.entries()) {
    const number = index + 1;
    await database.transaction(async (inside) => {
      // Of several servers that start at once, one applies a migration and the others wait for it here.
      await inside.query('lock table migrations in exclusive mode');
      if ((await inside.query('select 1 from migrations where number = $1', [number])).length > 0) return;
      for (const statement of statements) await inside.query(statement);
      await inside.query('insert into migrations (number, name) values ($1, $2)', [number, name]);
    });
  }
}
