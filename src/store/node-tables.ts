/** NodeTables: the servers that share this database, as each last told of itself. */
import { z } from 'zod';
import type { Database, Row } from './database.ts';

/** A server from one start to its end. `id` is the owner of its tasks. */
export type Node = {
  id: string;
  name: string;
  version: string;
  /** Undefined of a version that is in no fleet. */
  wire: number | undefined;
  /** How other nodes reach it; undefined where it is in no fleet. */
  nodeUrl: string | undefined;
  publicUrl: string | undefined;
  /** `gone`: its lease is over, and it never said that it ends. */
  state: 'live' | 'draining' | 'gone';
  capacity: { cores: number; bytes: number };
  load: { cores: number; bytes: number };
  recordings: number;
  /** Running recordings that it makes of other nodes' channels, and that others make of its, where asked for. */
  readElsewhere?: number;
  readByOthers?: number;
  /** Second recorders that it has of other nodes' recordings, where asked for. */
  standbys?: number;
  publishers: number;
  /** Calls in the second before its last renewal, by App ID. */
  calls: ReadonlyMap<string, number>;
  /** Since its last renewal, by the database's clock. */
  seenMsAgo: number;
};

const callsSchema = z.record(z.string(), z.number());

/** Recordings whose channel is at home on another node than they are made on, with the owners of both. */
const APART = `tasks t join homes h using (appid, cname)
  where t.running and t.mode <> 'web' and t.owner <> h.owner`;
const COLUMNS = `owner, name, version, wire, node_url, public_url, cores, memory_bytes, load_cores, load_bytes,
  recordings, publishers, calls, draining, lease_until > now() as is_live,
  extract(epoch from now() - renewed_at) * 1000 as seen_ms_ago`;

export class NodeTables {
  readonly #database: Database;

  constructor(database: Database) {
    this.#database = database;
  }

  /**
   * Those that live, and those that went within the last hour without having said so and are not back on their data
   * folder, by name. A server of a version that says nothing of itself has its owner for a name.
   */
  async list(): Promise<Node[]> {
    const rows = await this.#database.query(
      `select ${COLUMNS},
         (select count(*) from ${APART} and t.owner = owners.owner) as read_elsewhere,
         (select count(*) from ${APART} and h.owner = owners.owner) as read_by_others,
         (select count(*) from standbys s where s.owner = owners.owner) as standbys
       from owners
       where lease_until > now() or (
         not ended and lease_until > now() - interval '1 hour'
         and not exists (select 1 from owners back where back.folder = owners.folder and back.lease_until > now())
       ) order by name, started_at`,
    );
    return rows.map(toNode);
  }

  /** The channels of an app that have a home in the fleet. */
  async channels(appid: string): Promise<string[]> {
    const rows = await this.#database.query(
      `select cname from homes join owners using (owner) where appid = $1 and lease_until > now()`,
      [appid],
    );
    return rows.map((row) => String(row['cname']));
  }

  /** The nodes of the fleet that live. */
  async live(): Promise<Node[]> {
    const rows = await this.#database.repeated(
      `select ${COLUMNS} from owners where lease_until > now() and node_url is not null`,
    );
    return rows.map(toNode);
  }
}

function toNode(row: Row): Node {
  const text = (value: unknown) => (value === null ? undefined : String(value));
  return {
    id: String(row['owner']),
    name: text(row['name']) ?? String(row['owner']),
    version: text(row['version']) ?? 'unknown',
    wire: row['wire'] === null ? undefined : Number(row['wire']),
    nodeUrl: text(row['node_url']),
    publicUrl: text(row['public_url']),
    state: row['is_live'] !== true ? 'gone' : row['draining'] === true ? 'draining' : 'live',
    capacity: { cores: Number(row['cores']), bytes: Number(row['memory_bytes']) },
    load: { cores: Number(row['load_cores']), bytes: Number(row['load_bytes']) },
    recordings: Number(row['recordings']),
    ...(row['read_elsewhere'] !== undefined && {
      readElsewhere: Number(row['read_elsewhere']),
      readByOthers: Number(row['read_by_others']),
      standbys: Number(row['standbys']),
    }),
    publishers: Number(row['publishers']),
    calls: new Map(Object.entries(callsSchema.catch({}).parse(row['calls']))),
    seenMsAgo: Math.round(Number(row['seen_ms_ago'])),
  };
}
