/**
 * A large fleet without media: a thousand nodes with a hundred recordings each on one Postgres, by the server's own
 * code for leases, claims, homes, events and files. What that costs the database at rest, how soon the tasks of nodes
 * that die have an owner again, how soon a start has one, and how many rows of events and files a second it bears.
 *
 *   npm run bench -- simulation --nodes 300      for a machine that a thousand would need more of than it has
 */
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { systemClock } from '../../src/kernel/clock.ts';
import { newHexId } from '../../src/kernel/ids.ts';
import type { TaskHold } from '../../src/session/hold.ts';
import { newTaskState } from '../../src/session/task.ts';
import type { Database } from '../../src/store/database.ts';
import { ObjectTables } from '../../src/store/object-tables.ts';
import { openDatabase } from '../../src/store/open-database.ts';
import { OutboxTables } from '../../src/store/outbox-tables.ts';
import { RecordingTables } from '../../src/store/recording-tables.ts';
import { Vault } from '../../src/store/vault.ts';
import { PostgresServer } from '../../test/support/postgres.ts';
import { noticeOf } from '../../test/support/stored-recording.ts';
import { atLeast, atMost, type Figure, quantile, renderTable } from '../measure.ts';
import { meterOf } from '../proc.ts';
import { SimulatedNode, type Watch } from './node.ts';
import { begin, seed, taskIn } from './seed.ts';

type Size = {
  nodes: number;
  tasksEach: number;
  /** Of each part of the measurement. */
  seconds: number;
};
const SIZE: Size = { nodes: 1000, tasksEach: 100, seconds: 10 };

/** Pools of ten connections that the nodes share, where in a fleet each has its own. */
const POOLS = 4;
const BEGIN_AT_ONCE = 16;
/** Recordings that write at the same time. */
const WRITERS = 32;
/** A recording that goes on is told of by its owner's renewals for this long after the last node has died. */
const TAKEN_WITHIN_MS = 30_000;
const LATE_MS = 2_000;
const STARTS_PER_S = 100;

/** What the nodes have told since this was last cleared. */
class Tally implements Watch {
  renewals: number[] = [];
  failedRenewals = 0;
  sweeps: number[] = [];
  homes: number[] = [];
  claims: number[] = [];
  readonly failures: unknown[] = [];
  /** When a task was last claimed, by sid. */
  readonly claimedAt = new Map<string, number>();

  clear(): void {
    this.renewals = [];
    this.sweeps = [];
    this.homes = [];
    this.claims = [];
  }
  renewed(tookMs: number | undefined): void {
    if (tookMs === undefined) this.failedRenewals++;
    else this.renewals.push(tookMs);
  }
  swept(tookMs: number): void {
    this.sweeps.push(tookMs);
  }
  claimed(tasks: readonly TaskHold[], tookMs: number): void {
    const now = performance.now();
    for (const { sid } of tasks) {
      this.claims.push(tookMs);
      this.claimedAt.set(sid, now);
    }
  }
  lookedAfterHomes(tookMs: number): void {
    this.homes.push(tookMs);
  }
  failed(error: unknown): void {
    this.failures.push(error);
  }
}

type Scene = { postgres: PostgresServer; nodes: SimulatedNode[]; tally: Tally; size: Size };

export async function measureSimulation(): Promise<Figure[]> {
  const { nodes = SIZE.nodes } = parseArgs({ options: { nodes: { type: 'string' } }, strict: false }).values;
  const size = { ...SIZE, nodes: Number(nodes) };
  const postgres = await PostgresServer.start({ maxConnections: size.nodes + 10 * POOLS + 20 });
  const databases: Database[] = [];
  const scene: Scene = { postgres, nodes: [], tally: new Tally(), size };
  try {
    for (let n = 0; n < POOLS; n++) databases.push(await openDatabase({ url: postgres.url, pgliteDir: '' }));
    const vault = new Vault([Vault.newKey()]);
    for (let n = 0; n < size.nodes; n += BEGIN_AT_ONCE) {
      const numbers = Array.from({ length: Math.min(BEGIN_AT_ONCE, size.nodes - n) }, (_, i) => n + i);
      const begun = numbers.map((each) => SimulatedNode.begin(each, databases[each % POOLS]!, vault, scene.tally));
      scene.nodes.push(...(await Promise.all(begun)));
    }
    await seed(postgres.url, scene.nodes, size.tasksEach);
    const figures: Figure[] = [];
    const parts = [atRest, deaths, starts, rows];
    for (const part of parts) {
      figures.push(...(await part(scene, databases[0]!, vault)));
      console.error(renderTable(figures));
    }
    if (scene.tally.failures.length > 0) {
      const [first] = scene.tally.failures;
      throw new Error(`${scene.tally.failures.length} sweeps failed: ${first}`, { cause: first });
    }
    return figures;
  } finally {
    for (const node of scene.nodes) await node.end();
    for (const database of databases) await database.close();
    await postgres.close();
  }
}

/** Nodes that only renew, then look for tasks each second too, then after their homes too. */
async function atRest({ postgres, nodes, tally, size }: Scene): Promise<Figure[]> {
  const over = async () => {
    // What the step before began has its rhythm by then.
    await pause(2_000);
    tally.clear();
    const cores = meterOf(postgres.pid);
    await pause(size.seconds * 1000);
    return { cores: cores(), perS: tally.renewals.length / size.seconds, ...tally };
  };
  const renewing = await over();
  for (const node of nodes) node.sweepTasks();
  const sweeping = await over();
  for (const node of nodes) node.sweepHomes();
  // Each node comes to it once in five seconds.
  const all = await over();
  const late = all.renewals.filter((ms) => ms > LATE_MS).length + tally.failedRenewals;
  const many = `${nodes.length} nodes, ${nodes.length * size.tasksEach} recordings`;
  const steps = [renewing, sweeping, all].map(({ cores }) => cores.toFixed(2)).join(', ');
  return [
    atMost(
      `CPU of Postgres, ${many}`,
      all.cores,
      1,
      'cores',
      `only renewals, sweeps of tasks too, homes too: ${steps}`,
    ),
    atMost('renewal of a lease, p99', quantile(all.renewals, 0.99), 100, 'ms', timesOf(all.renewals, all.perS)),
    atMost('renewals that failed or took longer than 2 s', late, 0, '', `of ${all.renewals.length}`),
    atMost(
      'sweep for tasks, p99',
      quantile(all.sweeps, 0.99),
      100,
      'ms',
      timesOf(all.sweeps, all.sweeps.length / size.seconds),
    ),
    atMost(
      'sweep for homes, p99',
      quantile(all.homes, 0.99),
      500,
      'ms',
      timesOf(all.homes, all.homes.length / size.seconds),
    ),
  ];
}

/** A node dies each second, and what it recorded goes to others. */
async function deaths({ nodes, tally, size, postgres }: Scene, database: Database): Promise<Figure[]> {
  tally.clear();
  const cores = meterOf(postgres.pid);
  const lost: { sids: string[]; atMs: number }[] = [];
  for (const node of nodes.slice(0, size.seconds)) {
    lost.push({ sids: [...node.holds.keys()], atMs: performance.now() });
    await node.die();
    await pause(1_000);
  }
  const claimedAt = ({ sids }: { sids: string[] }) => sids.map((sid) => tally.claimedAt.get(sid) ?? Number.NaN);
  const untilMs = performance.now() + TAKEN_WITHIN_MS;
  while (lost.some((one) => claimedAt(one).some(Number.isNaN)) && performance.now() < untilMs) await pause(100);
  const used = cores();
  const waits = lost.flatMap((one) => claimedAt(one).map((at) => at - one.atMs));
  const owned = await database.query('select sid, owner from tasks where ended_ms is null');
  const living = nodes.filter(({ isDead }) => !isDead);
  const owners = new Map(owned.map((row) => [String(row['sid']), String(row['owner'])]));
  const isLiving = new Set(living.map(({ ownership }) => ownership.owner));
  const orphans = owned.filter((row) => !isLiving.has(String(row['owner']))).length;
  const twice = living.flatMap(({ holds, ownership }) =>
    [...holds.keys()].filter((sid) => owners.get(sid) !== ownership.owner),
  );
  const everybody = `${lost.length} nodes with ${size.tasksEach} tasks died, one each second`;
  const inS = waits.map((ms) => ms / 1000);
  return [
    atMost(
      'claim → owner, p99',
      quantile(tally.claims, 0.99),
      50,
      'ms',
      timesOf(tally.claims, tally.claims.length / size.seconds),
    ),
    atMost(
      ...(['node dies → a task of it has an owner, slowest', quantile(inS, 1), 5, 's'] as const),
      `p50 ${quantile(inS, 0.5).toFixed(1)}, p99 ${quantile(inS, 0.99).toFixed(1)} s; ${everybody}; Postgres ${used.toFixed(2)} cores`,
    ),
    atMost(
      'tasks without an owner that lives, or held by another than their owner',
      orphans + twice.length,
      0,
      '',
      `of ${owned.length}`,
    ),
  ];
}

/** Starts at a steady rate, each at the home of its channel. */
async function starts({ nodes, size, postgres }: Scene): Promise<Figure[]> {
  const living = nodes.filter(({ isDead }) => !isDead);
  const byOwner = new Map(living.map((node) => [node.ownership.owner, node]));
  const cores = meterOf(postgres.pid);
  const took: number[] = [];
  const running: Promise<void>[] = [];
  const failed: unknown[] = [];
  const began = performance.now();
  for (let n = 0; n < STARTS_PER_S * size.seconds; n++) {
    const one = async () => {
      const startedMs = performance.now();
      const task = taskIn(`new-${n}`);
      const home = await living[0]!.places.claimHome(task.appid, task.cname);
      const node = byOwner.get(home ?? '') ?? living[0]!;
      await begin(node, task);
      node.holds.set(task.sid, { sid: task.sid, owner: node.ownership.owner, epoch: 1 });
      took.push(performance.now() - startedMs);
    };
    running.push(one().catch((error: unknown) => void failed.push(error)));
    const dueMs = began + ((n + 1) * 1000) / STARTS_PER_S;
    await pause(Math.max(0, dueMs - performance.now()));
  }
  await Promise.all(running);
  const used = cores();
  if (failed.length > 0) throw new Error(`${failed.length} starts failed: ${failed[0]}`, { cause: failed[0] });
  const perS = took.length / ((performance.now() - began) / 1000);
  const detail = `${timesOf(took, perS)}; Postgres ${used.toFixed(2)} cores`;
  return [atMost('acquire and start in the database, p99', quantile(took, 0.99), 50, 'ms', detail)];
}

/** Events and files, as fast as they are taken. */
async function rows({ size, postgres, nodes }: Scene, database: Database, vault: Vault): Promise<Figure[]> {
  for (const node of nodes) await node.end();
  const line = () => {};
  const log = { debug: line, info: line, warn: line, error: line };
  const holds = (
    await database.query('select sid, owner, epoch from tasks where ended_ms is null limit $1', [WRITERS])
  ).map((row): TaskHold => ({ sid: String(row['sid']), owner: String(row['owner']), epoch: Number(row['epoch']) }));
  const outbox = new OutboxTables(database);
  const tables = new RecordingTables(database, { owner: '', folder: '' } as never, vault, {
    add: async (inside, notices, nowMs) => void (await outbox.add(inside, notices, nowMs, () => true)),
    added: line,
  });
  const told = await asFastAsCan(postgres, size, holds, async (hold, n) => {
    const state = { ...newTaskState(), phase: 'recording' as const, revision: n + 1, sequence: n + 1 };
    await tables.saveState(hold, state, Date.now(), [noticeOf(hold.sid, n + 1)]);
    return 1;
  });
  const objects = new ObjectTables({ database, vault, folder: newHexId(), clock: systemClock, log });
  const ledgers = new Map<string, Awaited<ReturnType<ObjectTables['open']>>>();
  for (const hold of holds) ledgers.set(hold.sid, await objects.open(hold));
  const noted = await asFastAsCan(postgres, size, holds, async ({ sid }, n) => {
    const ledger = ledgers.get(sid)!;
    const file = {
      ...{ type: 'slice' as const, name: `${sid}_${n}.ts`, playlist: `${sid}.m3u8`, index: n, startUtcMs: Date.now() },
      ...{ durationUs: 15_000_000, bytes: 2_000_000, discontinuity: false, starts: [], rotations: [] },
    };
    const common = {
      attempts: 1,
      bytes: file.bytes,
      generation: 1,
      state: 'stored' as const,
      evidence: 'digest' as const,
    };
    ledger.note({ ...common, name: file.name, kind: 'slice', key: `2026/calls/${file.name}`, etag: newHexId(), file });
    ledger.note({
      ...common,
      name: file.playlist,
      kind: 'playlist',
      key: `2026/calls/${file.playlist}`,
      etag: newHexId(),
    });
    await ledger.settled();
    return 2;
  });
  return [
    atLeast('events with the state that they tell of', told.perS, 300, 'rows/s', told.detail),
    atLeast('files in the ledger', noted.perS, 1_000, 'rows/s', noted.detail),
  ];
}

async function asFastAsCan(
  postgres: PostgresServer,
  { seconds }: Size,
  holds: readonly TaskHold[],
  write: (hold: TaskHold, n: number) => Promise<number>,
): Promise<{ perS: number; detail: string }> {
  const cores = meterOf(postgres.pid);
  const began = performance.now();
  const took: number[] = [];
  let written = 0;
  const work = async (hold: TaskHold) => {
    for (let n = 0; performance.now() - began < seconds * 1000; n++) {
      const startedMs = performance.now();
      written += await write(hold, n);
      took.push(performance.now() - startedMs);
    }
  };
  await Promise.all(holds.map(work));
  const perS = written / ((performance.now() - began) / 1000);
  return {
    perS,
    detail: `${holds.length} recordings at once; ${timesOf(took, perS)}; Postgres ${cores().toFixed(2)} cores`,
  };
}

function timesOf(ms: readonly number[], perS: number): string {
  const [p50, p99, most] = [0.5, 0.99, 1].map((share) => quantile(ms, share).toFixed(1));
  return `${perS.toFixed(0)}/s; p50 ${p50}, p99 ${p99}, longest ${most} ms`;
}
