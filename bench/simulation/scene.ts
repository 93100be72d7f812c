/**
 * A fleet of simulated nodes on a Postgres of its own, and what is measured of it: at rest, and while nodes die.
 */
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import type { TaskHold } from '../../src/session/hold.ts';
import type { Database } from '../../src/store/database.ts';
import { openDatabase } from '../../src/store/open-database.ts';
import { Vault } from '../../src/store/vault.ts';
import { PostgresServer } from '../../test/support/postgres.ts';
import { quantile } from '../measure.ts';
import { busyCoreSeconds, meterOf } from '../proc.ts';
import { SimulatedNode, type Watch } from './node.ts';
import { seed } from './seed.ts';

export type Size = {
  nodes: number;
  tasksEach: number;
  /** Of each part of the measurement. */
  seconds: number;
};

/** In a fleet each node has its own connections, as here; of a large one all would not fit on the machine beside it. */
const MOST_WITH_OWN_POOL = 300;
/** Pools of ten connections that the nodes of a larger fleet share. */
const POOLS = 4;
const BEGIN_AT_ONCE = 16;
/** A recording that goes on is told of by its owner's renewals for this long after the last node has died. */
const TAKEN_WITHIN_MS = 30_000;
const LATE_MS = 2_000;

/** The sizes that `--nodes` asks for, as 100 or 100,200. Throws an Error where one is no number of nodes. */
export function sizesAsked(): number[] | undefined {
  const { nodes } = parseArgs({ options: { nodes: { type: 'string' } }, strict: false }).values;
  if (nodes === undefined) return undefined;
  return String(nodes)
    .split(',')
    .map((word) => {
      if (!/^[1-9]\d{0,4}$/.test(word)) throw new Error(`--nodes ${nodes}: "${word}" is no number of nodes`);
      return Number(word);
    });
}

/** What the nodes have told since this was last cleared. */
class Tally implements Watch {
  renewals: number[] = [];
  failedRenewals = 0;
  sweeps: number[] = [];
  homes: number[] = [];
  claims: number[] = [];
  readonly failures: unknown[] = [];
  /** When a task was claimed, by sid. */
  readonly claimedAt = new Map<string, number[]>();

  clear(): void {
    this.renewals = [];
    this.failedRenewals = 0;
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
      this.claimedAt.set(sid, [...(this.claimedAt.get(sid) ?? []), now]);
    }
  }
  lookedAfterHomes(tookMs: number): void {
    this.homes.push(tookMs);
  }
  failed(error: unknown): void {
    this.failures.push(error);
  }
}

/** Cores that were busy meanwhile, by whose they are, and how long the nodes' own process kept an answer waiting. */
export type Load = { postgres: number; nodes: number; others: number; heldUpMs: number };

function meterLoad(postgres: PostgresServer): () => Load {
  const delay = monitorEventLoopDelay({ resolution: 5 });
  delay.enable();
  const [cores, before, busy, began] = [
    meterOf(postgres.pid),
    process.cpuUsage(),
    busyCoreSeconds(),
    performance.now(),
  ];
  return () => {
    const seconds = (performance.now() - began) / 1000;
    const { user, system } = process.cpuUsage(before);
    delay.disable();
    const [ofPostgres, ofNodes] = [cores(), (user + system) / 1e6 / seconds];
    const others = Math.max(0, (busyCoreSeconds() - busy) / seconds - ofPostgres - ofNodes);
    return { postgres: ofPostgres, nodes: ofNodes, others, heldUpMs: delay.percentile(99) / 1e6 - 5 };
  };
}

export function loadText({ postgres, nodes, others, heldUpMs }: Load): string {
  const [p, n, o] = [postgres, nodes, others].map((cores) => cores.toFixed(2));
  return `cores: Postgres ${p}, nodes ${n}, others ${o}; the nodes' process held up by ${heldUpMs.toFixed(0)} ms p99`;
}

export type Scene = {
  postgres: PostgresServer;
  databases: Database[];
  vault: Vault;
  nodes: SimulatedNode[];
  tally: Tally;
  size: Size;
};

/** Has so many nodes with so many recordings each, for as long as `run` lasts. Rejects when a sweep of one failed. */
export async function inScene<T>(size: Size, run: (scene: Scene) => Promise<T>): Promise<T> {
  const pools = size.nodes <= MOST_WITH_OWN_POOL ? size.nodes : POOLS;
  const postgres = await PostgresServer.start({ maxConnections: size.nodes + Math.max(3 * pools, 10 * POOLS) + 20 });
  const vault = new Vault([Vault.newKey()]);
  const scene: Scene = { postgres, databases: [], vault, nodes: [], tally: new Tally(), size };
  try {
    for (let n = 0; n < pools; n++) scene.databases.push(await openDatabase({ url: postgres.url, pgliteDir: '' }));
    for (let n = 0; n < size.nodes; n += BEGIN_AT_ONCE) {
      const numbers = Array.from({ length: Math.min(BEGIN_AT_ONCE, size.nodes - n) }, (_, i) => n + i);
      const begin = (each: number) => SimulatedNode.begin(each, scene.databases[each % pools]!, vault, scene.tally);
      scene.nodes.push(...(await Promise.all(numbers.map(begin))));
    }
    await seed(postgres.url, scene.nodes, size.tasksEach);
    const result = await run(scene);
    const { failures } = scene.tally;
    if (failures.length > 0)
      throw new Error(`${failures.length} sweeps failed: ${failures[0]}`, { cause: failures[0] });
    return result;
  } finally {
    for (const node of scene.nodes) await node.end();
    for (const database of scene.databases) await database.close();
    await postgres.close();
  }
}

/** What the nodes told within the time of one part. */
export type Part = {
  load: Load;
  renewals: readonly number[];
  /** Renewals that failed or took longer than 2 s. */
  late: number;
  sweeps: readonly number[];
  homes: readonly number[];
};

/** Nodes that only renew, then look for tasks each second too, then after their homes too. */
export async function atRest({ postgres, nodes, tally, size }: Scene): Promise<[Part, Part, Part]> {
  const over = async (): Promise<Part> => {
    // What the step before began has its rhythm by then.
    await pause(2_000);
    tally.clear();
    const load = meterLoad(postgres);
    await pause(size.seconds * 1000);
    const { renewals, failedRenewals, sweeps, homes } = tally;
    return {
      load: load(),
      ...{ renewals, sweeps, homes },
      late: failedRenewals + renewals.filter((ms) => ms > LATE_MS).length,
    };
  };
  const renewing = await over();
  for (const node of nodes) node.sweepTasks();
  const sweeping = await over();
  for (const node of nodes) node.sweepHomes();
  // Each node comes to it once in five seconds.
  return [renewing, sweeping, await over()];
}

export type Deaths = {
  load: Load;
  /** Nodes that died, one each second. */
  died: number;
  /** How long the claim of each task took, milliseconds. */
  claims: readonly number[];
  /** From a node's death until another had its task, seconds, of each task; NaN where none had. */
  waitsS: readonly number[];
  /** Tasks that are not over, and those among them without an owner that lives or held by another than their owner. */
  tasks: number;
  astray: number;
  late: number;
};

/** A node dies each second, and what it recorded goes to others. */
export async function deaths({ nodes, tally, size, postgres, databases }: Scene): Promise<Deaths> {
  tally.clear();
  const load = meterLoad(postgres);
  const lost: { sids: string[]; atMs: number }[] = [];
  for (const node of nodes.slice(0, size.seconds)) {
    lost.push({ sids: [...node.holds.keys()], atMs: performance.now() });
    await node.die();
    await pause(1_000);
  }
  // Whoever claimed it may have died too: by the first claim after each death.
  const waitsOf = ({ sids, atMs }: { sids: string[]; atMs: number }) =>
    sids.map((sid) => ((tally.claimedAt.get(sid)?.find((at) => at > atMs) ?? Number.NaN) - atMs) / 1000);
  const untilMs = performance.now() + TAKEN_WITHIN_MS;
  while (lost.some((one) => waitsOf(one).some(Number.isNaN)) && performance.now() < untilMs) await pause(100);
  const used = load();
  const waitsS = lost.flatMap(waitsOf);
  const owned = (await databases[0]?.query('select sid, owner from tasks where ended_ms is null')) ?? [];
  const living = nodes.filter(({ isDead }) => !isDead);
  const owners = new Map(owned.map((row) => [String(row['sid']), String(row['owner'])]));
  const isLiving = new Set(living.map(({ ownership }) => ownership.owner));
  const orphans = owned.filter((row) => !isLiving.has(String(row['owner']))).length;
  const twice = living.flatMap(({ holds, ownership }) =>
    [...holds.keys()].filter((sid) => owners.get(sid) !== ownership.owner),
  );
  const late = tally.failedRenewals + tally.renewals.filter((ms) => ms > LATE_MS).length;
  const counts = { tasks: owned.length, astray: orphans + twice.length, late };
  return { load: used, died: lost.length, claims: tally.claims, waitsS, ...counts };
}

export function timesOf(ms: readonly number[], perS: number): string {
  const [p50, p99, most] = [0.5, 0.99, 1].map((share) => quantile(ms, share).toFixed(1));
  return `${perS.toFixed(0)}/s; p50 ${p50}, p99 ${p99}, longest ${most} ms`;
}
