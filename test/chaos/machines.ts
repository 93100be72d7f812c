/**
 * Scenarios with three nodes of a fleet, their database and their publishers on machines of their own: one loses its
 * power, stands still, is cut off, or has a wrong clock; the database goes; all are started anew, one after another.
 */
import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { withCheckout } from '../../bench/earlier.ts';
import { type FleetNode, type FleetTake, type Gap, MachineFleet, type NodeOptions } from '../support/machine-fleet.ts';
import { Machines } from '../support/machines.ts';
import { until } from '../support/test-server.ts';
import { keptIn, type Report } from './play.ts';

/**
 * How soon a recording whose node is gone is live on another, with publishers that come back: nobody hears of a machine
 * without power, so its lease has to end first, which takes 4 s.
 */
const LIVE_AGAIN_MS = { median: 6_000, worst: 12_000 };
/** A recording is well under way. */
const UNDER_WAY_MS = 4_000;
/** What a composite's recorder holds in memory, because it is not drawn yet, is gone with its machine. */
const UNWRITTEN_MS = 3_000;
/** How long others record alone before what was done is undone. */
const ALONE_MS = 4_000;
/** The last commit of the version before. */
const FORMER = '3378590';
/** How far a wrong clock is off, seconds. */
const WRONG_S = 300;

type Played = { gaps: Gap[]; livesMs?: number[]; problems?: string[]; notes?: string[] };
type Play = (fleet: MachineFleet, takes: FleetTake[]) => Promise<Played>;

/**
 * Records in these modes, does what `play` does meanwhile, stops all, and judges what came of it.
 * @param channels how many there are; as many as recordings when left out
 */
async function onMachines(
  modes: readonly FleetTake['mode'][],
  play: Play,
  nodes?: readonly NodeOptions[],
  channels = modes.length,
): Promise<Report> {
  const refusal = await Machines.refusal();
  if (refusal !== undefined) throw new Error(`there can be no machines here: ${refusal}`);
  const fleet = await MachineFleet.open(nodes);
  try {
    for (const [n, mode] of modes.entries())
      await fleet.record(mode, n < channels ? undefined : fleet.takes[n % channels]);
    await pause(UNDER_WAY_MS);
    const { gaps, livesMs = [], problems = [], notes = [] } = await play(fleet, fleet.takes);
    await pause(ALONE_MS);
    await fleet.stop();
    await fleet.mended();
    problems.push(...(await fleet.problems(gaps)));
    return { takes: [], problems, livesMs, liveAgainMs: LIVE_AGAIN_MS, notes: [...notes, ...fleet.notes()] };
  } finally {
    const keepDir = keptIn();
    if (keepDir !== undefined) await fleet.keep(keepDir);
    await fleet.close();
  }
}

/** Which of these recordings a node owns. */
async function ownedBy(fleet: MachineFleet, node: FleetNode, takes: readonly FleetTake[]): Promise<FleetTake[]> {
  const owners = await Promise.all(takes.map((take) => fleet.ownerOf(take)));
  return takes.filter((_, n) => owners[n] === node);
}

/** Does something to the owner of the last recording by which its lease ends, and waits until others go on. */
async function taken(
  fleet: MachineFleet,
  takes: readonly FleetTake[],
  harm: (node: FleetNode) => Promise<void>,
): Promise<Played & { node: FleetNode }> {
  const node = await fleet.ownerOf(takes.at(-1)!);
  const lost = await ownedBy(fleet, node, takes);
  const harmedMs = Date.now();
  await harm(node);
  const takenMs: number[] = [];
  const livesMs = await Promise.all(
    lost.map(async (take) => {
      const next = await fleet.takenFrom(node, take);
      takenMs.push(Date.now() - harmedMs);
      return fleet.live(next, take, harmedMs);
    }),
  );
  const backMs = lost.flatMap(({ publisher }) =>
    publisher.comebacks.map(({ type, atMs }) => `${type} ${atMs - harmedMs}`),
  );
  return {
    ...{ node, livesMs },
    gaps: [{ fromMs: harmedMs - UNWRITTEN_MS, toMs: harmedMs + Math.max(...livesMs) + 1_500 }],
    notes: [`taken after ${takenMs.join(', ')} ms`, `publishers ${backMs.join(', ')} ms`],
  };
}

const MODES = ['mix', 'individual', 'mix'] as const;

/** A machine loses its power, and comes back. */
const machineDies: Play = async (fleet, takes) => {
  const { node, ...played } = await taken(fleet, takes, async ({ machine, server }) => {
    await machine.crash();
    await server.lost();
  });
  await pause(ALONE_MS);
  node.machine.boot();
  await node.server.start();
  return played;
};

/** A machine stands still for 10 s at least. */
const machineStandsStill: Play = async (fleet, takes) => {
  const began = performance.now();
  const { node, ...played } = await taken(fleet, takes, async ({ machine }) => machine.freeze());
  await pause(Math.max(ALONE_MS, 10_000 - (performance.now() - began)));
  node.machine.thaw();
  return played;
};

/** A node is cut off from the database and its publishers, and from other nodes when told so. */
const machineCutOff =
  (fromNodes: boolean): Play =>
  async (fleet, takes) => {
    const others = (node: FleetNode) => (fromNodes ? fleet.nodes.filter((each) => each !== node) : []);
    const ends = (node: FleetNode) => [fleet.database, fleet.people, ...others(node).map(({ machine }) => machine)];
    const { node, ...played } = await taken(fleet, takes, async (each) =>
      fleet.machines.cut(each.machine, ...ends(each)),
    );
    await pause(ALONE_MS);
    fleet.machines.mend(node.machine, ...ends(node));
    return played;
  };

/** A node is cut off from the database alone: its publishers stay with it, so that nothing is missing in the end. */
const machineWithoutDatabase: Play = async (fleet, takes) => {
  const node = await fleet.ownerOf(takes.at(-1)!);
  const lost = await ownedBy(fleet, node, takes);
  fleet.machines.cut(node.machine, fleet.database);
  for (const take of lost) await fleet.takenFrom(node, take);
  await pause(ALONE_MS);
  const mendedMs = Date.now();
  fleet.machines.mend(node.machine, fleet.database);
  for (const take of lost) await fleet.live(await fleet.ownerOf(take), take, mendedMs);
  // It records on until its publishers have moved; only while they are at neither node may something be missing.
  return { gaps: [] };
};

/** A node is cut off from its publishers alone: it keeps its recordings, and goes on when they are back. */
const machineWithoutPublishers =
  (awayMs: number): Play =>
  async (fleet, takes) => {
    const node = await fleet.ownerOf(takes.at(-1)!);
    const own = await ownedBy(fleet, node, takes);
    // All of the cut is a gap: what is judged of a recording that began last lies before and behind.
    await pause(UNDER_WAY_MS);
    const cutMs = Date.now();
    fleet.machines.cut(node.machine, fleet.people);
    await pause(awayMs);
    const mendedMs = Date.now();
    fleet.machines.mend(node.machine, fleet.people);
    const backs = () =>
      own.every(({ publisher }) => publisher.comebacks.some(({ type, atMs }) => type === 'back' && atMs > cutMs));
    // A cut that ends soon may have been noticed by nobody.
    await until('its publishers are back', backs, 8_000).catch(() => {});
    return { gaps: [{ fromMs: cutMs - 1_000, toMs: Math.max(mendedMs, Date.now()) + 1_500 }] };
  };

/** The database is gone for a while: everybody is late, and nobody loses anything. */
const databaseGone =
  (awayMs: number): Play =>
  async (fleet, takes) => {
    const before = await Promise.all(takes.map((take) => fleet.ownerOf(take)));
    await fleet.postgres.crash();
    await pause(awayMs);
    await fleet.postgres.resume();
    // A lease is over after 4 s: whoever would take something has taken it by then.
    await pause(6_000);
    const after = await Promise.all(takes.map((take) => fleet.ownerOf(take)));
    const problems = takes.flatMap(({ cname }, n) =>
      after[n] === before[n] ? [] : [`${cname} went from ${before[n]?.name} to ${after[n]?.name}`],
    );
    return { gaps: [], problems };
  };

/**
 * One after another, each node is ended in order and started again. It records until its publishers have lost it, so
 * nothing may be missing but while they come back.
 */
const rollingRestart: Play = async (fleet, takes) => {
  const livesMs: number[] = [];
  for (const node of fleet.nodes) {
    const own = await ownedBy(fleet, node, takes);
    const endedMs = Date.now();
    const ending = node.server.end();
    const lives = own.map(async (take) => {
      const liveMs = endedMs + (await fleet.live(await fleet.takenFrom(node, take), take, endedMs));
      const lost = take.publisher.comebacks.findLast(({ type }) => type === 'lost');
      return liveMs - Math.max(endedMs, lost?.atMs ?? endedMs);
    });
    livesMs.push(...(await Promise.all(lives)));
    await ending;
    await node.server.start();
  }
  return { gaps: [], livesMs };
};

/** Variables by which a server, and all that it starts, has a clock that is so far off. */
function wrongClock(byS: number): Record<string, string> {
  const root = '/usr/lib';
  const library = readdirSync(root)
    .map((folder) => join(root, folder, 'faketime', 'libfaketime.so.1'))
    .find((path) => existsSync(path));
  if (library === undefined) throw new Error('a wrong clock needs the Debian package faketime');
  return {
    LD_PRELOAD: library,
    FAKETIME: `${byS < 0 ? '' : '+'}${byS}s`,
    // Clocks of machines differ in what time it is, not in how long a second takes.
    FAKETIME_DONT_FAKE_MONOTONIC: '1',
  };
}

/** Three nodes, of which one's clock is right, one's fast and one's slow. */
const wrongClocks = (): NodeOptions[] => [{}, { env: wrongClock(WRONG_S) }, { env: wrongClock(-WRONG_S) }];

export const machineKilled = () => onMachines(MODES, machineDies);
export const machineStopped = () => onMachines(MODES, machineStandsStill);
export const machineCutFromDatabase = () => onMachines(MODES, machineWithoutDatabase);
export const machineCutFromPublishers = () => onMachines(MODES, machineWithoutPublishers(10_000));
export const machineCutFromBoth = () => onMachines(MODES, machineCutOff(false));
export const machineCutFromAll = () => onMachines(MODES, machineCutOff(true));
export const machineDatabaseRestarts = () => onMachines(MODES, databaseGone(60_000));
export const machinesRolled = () =>
  onMachines(
    Array.from({ length: 12 }, () => 'individual' as const),
    rollingRestart,
    undefined,
    4,
  );

/** Each node in turn loses its power, so that recordings go from right clocks to wrong ones and back. */
export const machinesOfWrongClocks = () =>
  onMachines(
    MODES,
    async (fleet, takes) => {
      const gaps: Gap[] = [];
      for (const _ of fleet.nodes) {
        const played = await machineDies(fleet, takes);
        gaps.push(...played.gaps);
        await pause(UNDER_WAY_MS);
      }
      return { gaps };
    },
    wrongClocks(),
  );

/** The release before shares a fleet with this one: recordings go from one version to the other and back. */
export const machinesOfTwoVersions = () =>
  withCheckout(FORMER, (checkout) =>
    onMachines(
      MODES,
      async (fleet, takes) => {
        const gaps: Gap[] = [];
        for (const _ of fleet.nodes.slice(1)) {
          const played = await machineDies(fleet, takes);
          gaps.push(...played.gaps);
          await pause(UNDER_WAY_MS);
        }
        return { gaps };
      },
      [{ checkout }, {}, { checkout }],
    ),
  );

/** A server that keeps no recorder ready, which would take its share of a small machine. */
const FRUGAL = { AIRCHECK_WARM_RECORDERS: '0' };

/** The short form of most of the above: one node of two modes' recordings dies, and the database goes. */
export const machinesInShort = () =>
  onMachines(
    ['mix', 'individual'],
    async (fleet, takes) => {
      const died = await machineDies(fleet, takes);
      const gone = await databaseGone(5_000)(fleet, takes);
      const alone = await machineWithoutPublishers(4_000)(fleet, takes);
      await until('all three are there', async () => (await fleet.liveNodes()) === 3, 30_000);
      return { ...died, gaps: [...died.gaps, ...gone.gaps, ...alone.gaps], problems: gone.problems ?? [] };
    },
    wrongClocks().map(({ env }) => ({ env: { ...env, ...FRUGAL } })),
  );
