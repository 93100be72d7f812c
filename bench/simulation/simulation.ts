/**
 * A large fleet without media: a thousand nodes with a hundred recordings each on one Postgres, by the server's own
 * code for leases, claims, homes, events and files. What that costs the database at rest, how soon the tasks of nodes
 * that die have an owner again, how soon a start has one, and how many rows of events and files a second it bears.
 *
 *   npm run bench -- simulation --nodes 300      for a machine that a thousand would need more of than it has
 */
import { setTimeout as pause } from 'node:timers/promises';
import { systemClock } from '../../src/kernel/clock.ts';
import { newHexId } from '../../src/kernel/ids.ts';
import type { TaskHold } from '../../src/session/hold.ts';
import { newTaskState } from '../../src/session/task.ts';
import { ObjectTables } from '../../src/store/object-tables.ts';
import { OutboxTables } from '../../src/store/outbox-tables.ts';
import { RecordingTables } from '../../src/store/recording-tables.ts';
import type { PostgresServer } from '../../test/support/postgres.ts';
import { noticeOf } from '../../test/support/stored-recording.ts';
import { atLeast, atMost, type Figure, quantile, renderTable } from '../measure.ts';
import { meterOf } from '../proc.ts';
import { atRest, deaths, inScene, loadText, type Scene, type Size, sizesAsked, timesOf } from './scene.ts';
import { begin, taskIn } from './seed.ts';

const SIZE: Size = { nodes: 1000, tasksEach: 100, seconds: 10 };
/** Recordings that write at the same time. */
const WRITERS = 32;
const STARTS_PER_S = 100;

export async function measureSimulation(): Promise<Figure[]> {
  const [nodes = SIZE.nodes, ...more] = sizesAsked() ?? [];
  if (more.length > 0) throw new Error('the simulation has one size: give --nodes one number');
  return await inScene({ ...SIZE, nodes }, async (scene) => {
    const figures: Figure[] = [];
    for (const part of [figuresAtRest, figuresOfDeaths, starts, rows]) {
      figures.push(...(await part(scene)));
      console.error(renderTable(figures));
    }
    return figures;
  });
}

async function figuresAtRest(scene: Scene): Promise<Figure[]> {
  const { size } = scene;
  const parts = await atRest(scene);
  const [renewing, , all] = parts;
  const perS = (times: readonly number[]) => timesOf(times, times.length / size.seconds);
  const many = `${size.nodes} nodes, ${size.nodes * size.tasksEach} recordings`;
  const steps = parts.map(({ load }) => load.postgres.toFixed(2)).join(', ');
  const alone = `with nothing else ${perS(renewing.renewals)}`;
  return [
    atMost(
      `CPU of Postgres, ${many}`,
      all.load.postgres,
      1,
      'cores',
      `only renewals, sweeps of tasks too, homes too: ${steps}; ${loadText(all.load)}`,
    ),
    atMost('renewal of a lease, p99', quantile(all.renewals, 0.99), 100, 'ms', `${perS(all.renewals)}; ${alone}`),
    atMost('renewals that failed or took longer than 2 s', all.late, 0, '', `of ${all.renewals.length}`),
    atMost('sweep for tasks, p99', quantile(all.sweeps, 0.99), 100, 'ms', perS(all.sweeps)),
    atMost('sweep for homes, p99', quantile(all.homes, 0.99), 500, 'ms', perS(all.homes)),
  ];
}

async function figuresOfDeaths(scene: Scene): Promise<Figure[]> {
  const { size } = scene;
  const { died, claims, waitsS, tasks, astray, load } = await deaths(scene);
  const p = (share: number) => quantile(waitsS, share);
  const everybody = `${died} nodes with ${size.tasksEach} tasks died, one each second`;
  return [
    atMost('claim → owner, p99', quantile(claims, 0.99), 50, 'ms', timesOf(claims, claims.length / size.seconds)),
    atMost(
      ...(['node dies → a task of it has an owner, slowest', p(1), 5, 's'] as const),
      `p50 ${p(0.5).toFixed(1)}, p99 ${p(0.99).toFixed(1)} s; ${everybody}; ${loadText(load)}`,
    ),
    atMost('tasks without an owner that lives, or held by another than their owner', astray, 0, '', `of ${tasks}`),
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
async function rows({ size, postgres, nodes, databases, vault }: Scene): Promise<Figure[]> {
  const database = databases[0]!;
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
