/**
 * Scenarios: what is done to recorders, servers and databases, and what must come of it all the same.
 */
import { seededRandom } from '../support/impair/random.ts';
import { databaseAway, twoServers } from './databases.ts';
import * as machines from './machines.ts';
import { nodeCutOff, nodeKilled, nodeStopped } from './nodes.ts';
import { play, type Report, type Scenario } from './play.ts';
import { type Harm, kill, killBeside, livelyPlan, steadyPlan, takesOf } from './show.ts';
import type { Outcome } from './stage.ts';

const SECONDS = 18;
const SEED = 2010;

/**
 * Kills `count` recorders of each mode at random moments, from the first second of a recording to its last, over some
 * shows.
 */
export function randomKills(count: number, shows: number, seed = SEED): Promise<Report> {
  const random = seededRandom(seed);
  const rows = (): Harm[][] => Array.from({ length: count / shows }, () => [kill(0.8 + random() * (SECONDS - 1.2))]);
  return play(() =>
    Array.from({ length: shows }, (_, n) => ({ plan: livelyPlan(SECONDS, seed + n), takes: takesOf(rows(), SECONDS) })),
  );
}

/**
 * Kills a recorder process that three recordings share, and then twice the new one of the first: the others go on
 * beside it, and lose no second run.
 */
export function killShared(seed = SEED): Promise<Report> {
  const [firstS, secondS] = [5.4, 10.2];
  const harms = [[kill(firstS), kill(secondS)], [killBeside(firstS)], [killBeside(firstS)]];
  return play(
    () => [
      {
        plan: livelyPlan(SECONDS, seed),
        takes: harms.map((harm) => ({ mode: 'individual', harm })),
      },
    ],
    // Recordings of up to 7 users, of which each takes as much room as three and a half of two.
    { env: { AIRCHECK_RECORDINGS_PER_RECORDER: '16' }, judge: (outcomes) => (haveShared(outcomes) ? [] : ALONE) },
  );
}

const ALONE = ['the recordings did not share a recorder, so that nothing was tried'];

function haveShared(outcomes: readonly Outcome[]): boolean {
  return new Set(outcomes.map(({ takeovers }) => takeovers[0]?.pid)).size === 1;
}

/** Kills the server while one recording is made in each mode, and one more is stored. */
export function killServer(): Promise<Report> {
  return play((stage) => [
    {
      plan: steadyPlan(26, SEED, 13),
      takes: [...takesOf([[]]), { mode: 'mix', harm: [], stopAtS: 6.3 }],
      async meanwhile(at) {
        await at(6.4);
        return [await stage.restart(1)];
      },
    },
  ]);
}

/** Has the server leave its recordings to the next start, as before an upgrade. */
function hangUp(): Promise<Report> {
  return play((stage) => [
    {
      plan: steadyPlan(26, SEED, 13),
      takes: takesOf([[]]),
      async meanwhile(at) {
        await at(6.4);
        return [await stage.hangUp()];
      },
    },
  ]);
}

/** Ends the server in order while it records. */
export function endServer(): Promise<Report> {
  return play((stage) => [
    {
      plan: steadyPlan(10, SEED),
      takes: takesOf([[]], undefined, { ends: 'shutdown' }),
      async meanwhile(at) {
        await at(9);
        return [await stage.shutDown()];
      },
    },
  ]);
}

export const SCENARIOS: Record<string, Scenario> = {
  calm: {
    meaning: 'nothing is done: what the others are held against',
    run: () => play(() => [{ plan: livelyPlan(SECONDS, SEED), takes: takesOf([[]], SECONDS) }]),
  },
  kill: {
    meaning: 'recorders are killed at 20 random moments of each mode, while people come and go and the layout changes',
    run: () => randomKills(20, 5),
  },
  'kill-shared': {
    meaning: 'a recorder that three recordings share is killed, and the next one of one of them as well',
    run: () => killShared(),
  },
  'kill-twice': {
    meaning: 'two recorders of one recording are killed within 10 s',
    run: () =>
      play(() => [
        {
          plan: livelyPlan(24, SEED),
          takes: takesOf(
            [
              [kill(5.4), kill(13.1)],
              [kill(3.2), kill(6.6)],
            ],
            24,
          ),
        },
      ]),
  },
  'kill-thrice': {
    meaning: 'three recorders of one recording are killed within a minute: it ends, with all that was written',
    run: () =>
      play(() => [
        { plan: livelyPlan(30, SEED), takes: takesOf([[kill(5.2), kill(12.4), kill(20.7)]], 30, { ends: 'lost' }) },
      ]),
  },
  'kill-early': {
    meaning: 'recorders are killed as soon as they are there',
    // One row at a time: more starts at once than the machine has cores would be what is measured.
    run: () =>
      play(() =>
        [[kill(0.05)], [kill(0.1), kill(0.9)]].map((harm, n) => ({
          plan: livelyPlan(14, SEED + n),
          takes: takesOf([harm], 14),
        })),
      ),
  },
  'kill-late': {
    meaning: 'whoever works on a recording is killed from its stop call on, twice',
    run: () =>
      play(() => [
        {
          plan: livelyPlan(10, SEED),
          takes: [1, 2].flatMap((killsFromStop) => takesOf([[]], 10, { killsFromStop })),
        },
      ]),
  },
  hang: {
    meaning: 'a recorder hangs, and is replaced',
    run: () => play(() => [{ plan: livelyPlan(36, SEED), takes: takesOf([[{ atS: 6.3, does: 'hang' }]], 36) }]),
  },
  'server-hang': {
    meaning: 'the server stands still for 12 s: its recorders live, and recordings are whole',
    run: () =>
      play((stage) => [
        {
          plan: steadyPlan(28, SEED),
          takes: takesOf([[]]),
          async meanwhile(at) {
            await at(6.4);
            return [await stage.suspend(12)];
          },
        },
      ]),
  },
  'server-kill': {
    meaning: 'the server is killed and started at once: what had arrived is kept, and recordings go on or are stored',
    run: killServer,
  },
  'server-hang-up': {
    meaning: 'the server leaves its recordings and is started at once: all that had arrived is kept, and they go on',
    run: hangUp,
  },
  'server-end': { meaning: 'the server is ended in order: recordings end with all that arrived', run: endServer },
  'two-servers': {
    meaning: 'a second server on the same Postgres starts, ends, starts and is killed: nothing of the first changes',
    run: () => twoServers(SEED),
  },
  'database-hang': { meaning: 'the database hangs for 60 s', run: () => databaseAway('hang', 60, SEED) },
  'database-crash': { meaning: 'the database is gone for 60 s', run: () => databaseAway('crash', 60, SEED) },
  'node-kill': {
    meaning:
      'a node of a fleet is killed: another goes on, and what the first had comes into its place when it is back',
    run: nodeKilled,
  },
  'node-stop': {
    meaning: 'a node of a fleet stands still for 10 s and more: another goes on, and nothing changes when it wakes',
    run: nodeStopped,
  },
  'node-database-cut': {
    meaning: 'a node of a fleet is cut off from the database: it records on, stores nothing, and brings it later',
    run: nodeCutOff,
  },
  'machine-kill': {
    meaning: 'the machine of a node loses its power, and is back later',
    run: machines.machineKilled,
  },
  'machine-stop': { meaning: 'the machine of a node stands still for 10 s', run: machines.machineStopped },
  'machine-database-cut': {
    meaning: 'a node is cut off from the database, and its publishers stay with it: nothing is lost',
    run: machines.machineCutFromDatabase,
  },
  'machine-publishers-cut': {
    meaning: 'a node is cut off from its publishers for 10 s: its recordings wait for them',
    run: machines.machineCutFromPublishers,
  },
  'machine-both-cut': {
    meaning: 'a node is cut off from the database and its publishers: others go on',
    run: machines.machineCutFromBoth,
  },
  'machine-all-cut': {
    meaning: 'a node is cut off from the database, its publishers and the other nodes: others go on',
    run: machines.machineCutFromAll,
  },
  'machines-database': {
    meaning: 'the database of three nodes is gone for 60 s: nothing changes its owner, and nothing is lost',
    run: machines.machineDatabaseRestarts,
  },
  'machines-rolling': {
    meaning: 'three nodes with 12 recordings are ended and started one after another',
    run: machines.machinesRolled,
  },
  'machines-clocks': {
    meaning: 'of three nodes one has a clock 5 minutes fast, one 5 minutes slow; each dies in turn',
    run: machines.machinesOfWrongClocks,
  },
  'machines-versions': {
    meaning: 'two of three nodes are of the version before; recordings go from one version to the other',
    run: machines.machinesOfTwoVersions,
  },
  'machines-short': {
    meaning: 'a node dies, the database is gone for 5 s, a node is cut off from its publishers; clocks are wrong',
    run: machines.machinesInShort,
  },
};
