/**
 * What recording every user alone costs: CPU per user of the recorder and of its share of the server, and the
 * recorder's memory by the number of users.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { median } from '../test/support/judge/offsets.ts';
import { recorderOf } from '../test/support/processes.ts';
import type { TestRecording } from '../test/support/test-server.ts';
import { withCheckout } from './earlier.ts';
import { coresOf, House, recorderAtWork, stopped } from './house.ts';
import { atMost, type Figure } from './measure.ts';
import { peakMemoryMbOf, pssMbOf } from './proc.ts';

const TAKES = 3;
const MEASURE_MS = 15_000;
/** A recorder writes a second or two behind the present. */
const WARM_UP_MS = 4000;
/** The last commit whose recorders all held what drives a browser, and whose AAC came from FFmpeg's first choice. */
const BEFORE = process.env['BENCH_BEFORE'] ?? '0deaa42';
const MEMORY_TAKES = 1;
/** Between two collections of garbage, some 8 s, a recorder grows by some MB. */
const READINGS = 12;
const READING_MS = 2000;
const CPU_TAKES = 2;
const CPU_USERS = 8;
/** Long enough for the CPU time that Linux counts in hundredths of a second. */
const TURN_MS = 8000;
const USER = { width: 640, height: 360, fps: 30, bitrateKbps: 1000 };
const SMALL = { width: 320, height: 240, fps: 15, bitrateKbps: 150 };

/** CPU per user, and memory for 2 users and for each further one. */
export async function measureIndividual(): Promise<Figure[]> {
  const house = new House();
  const users = 8;
  const perUser: Record<'both' | 'video', number[]> = { both: [], video: [] };
  const memory: number[] = [];
  try {
    await house.server.start();
    await house.publish(['few'], 2, USER);
    await house.publish(['many'], users, USER);
    for (let take = 0; take < TAKES; take++) {
      const idle = await coresOf([house.pid], MEASURE_MS);
      for (const [what, streamTypes] of [
        ['both', 2],
        ['video', 1],
      ] as const) {
        const recording = await house.recordEach('many', { streamTypes }, 2);
        await pause(WARM_UP_MS);
        const cores = await coresOf([house.pid, recorderAtWork(house.pid)], MEASURE_MS);
        perUser[what].push((cores - idle) / users);
        if (what === 'both' && take === 0) memory[1] = peakMemoryMbOf(recorderAtWork(house.pid));
        await stopped(recording);
      }
    }
    const few = await house.recordEach('few', {}, 0);
    await pause(WARM_UP_MS + MEASURE_MS);
    memory[0] = peakMemoryMbOf(recorderAtWork(house.pid));
    await stopped(few);
  } finally {
    await house.close();
  }
  const list = (values: readonly number[]) => values.map((value) => value.toFixed(4)).join(', ');
  const [ofTwo = Number.NaN, ofMany = Number.NaN] = memory;
  const detail = `${ofTwo.toFixed(1)} MB with 2 users, ${ofMany.toFixed(1)} MB with ${users}`;
  return [
    atMost('a user alone, sound and picture', median(perUser.both) * 1000, 25, 'mcores', list(perUser.both)),
    atMost('a user alone, picture only', median(perUser.video) * 1000, 12, 'mcores', list(perUser.video)),
    atMost('recorder memory with two users alone, peak', ofTwo, 110, 'MB', detail),
    atMost('recorder memory for each further user', (ofMany - ofTwo) / (users - 2), 2, 'MB', detail),
  ];
}

/** So many recordings of two users share one recorder where a server is as it comes. */
const SHARING = 8;
const FEW = 2;
const MANY = 8;

/** Of this commit, and of the earlier one. */
type Pair<T> = [now: T, then: T];
type Memory = { ofTwoMb: number; sharedMb: number };
type Cpu = { bothCores: number; videoCores: number };

/** What memory recorders take (PSS) beside an earlier commit, turn by turn. */
export function measureIndividualAgainst(): Promise<Figure[]> {
  return withCheckout(BEFORE, async (before) => {
    const takes: Pair<Memory>[] = [];
    for (let take = 0; take < MEMORY_TAKES; take++) takes.push([await memoryOf(), await memoryOf(before)]);
    const { fewMb, manyMb } = await memoryByUsers();
    const detail = `${fewMb.toFixed(1)} MB with ${FEW} users, ${manyMb.toFixed(1)} MB with ${MANY}`;
    return [
      against('recorder memory with two users alone', takes, 'ofTwoMb', 0.5, 'MB'),
      against(`recorder memory for each of ${SHARING} recordings of two users`, takes, 'sharedMb', 0.2, 'MB'),
      atMost('recorder memory for each further user, PSS', (manyMb - fewMb) / (MANY - FEW), 1.5, 'MB', detail),
    ];
  });
}

/**
 * What CPU a user takes beside an earlier commit. Both servers receive their users all the time, and record by turns:
 * what else goes on on the machine is the same for both.
 */
export function measureIndividualCpuAgainst(): Promise<Figure[]> {
  return withCheckout(BEFORE, async (before) => {
    const houses: Pair<House> = [new House(), new House({}, before)];
    try {
      for (const house of houses) {
        await house.server.start();
        await house.publish(['many'], CPU_USERS, USER);
        // From its second recording on a server has a compiled recorder.
        await stopped(await house.recordEach('many', { streamTypes: 2 }, 2));
      }
      const [now, then] = houses;
      const takes: Pair<Cpu>[] = [];
      for (let take = 0; take < CPU_TAKES; take++) takes.push([await cpuOf(now), await cpuOf(then)]);
      return [
        against('a user alone, sound and picture', takes, 'bothCores', 0.6, 'cores'),
        against('a user alone, picture only', takes, 'videoCores', 0.7, 'cores'),
      ];
    } finally {
      for (const house of houses) await house.close();
    }
  });
}

function against<T extends Record<string, number>>(
  what: string,
  takes: readonly Pair<T>[],
  of: keyof T,
  limit: number,
  unit: string,
): Figure {
  const list = (side: 0 | 1) => takes.map((take) => take[side][of]!.toPrecision(3)).join('/');
  const ratio = median(takes.map(([now, then]) => now[of]! / then[of]!));
  return atMost(`${what}, against ${BEFORE}`, ratio, limit, '×', `${list(0)} against ${list(1)} ${unit}`);
}

/** CPU of the recorder and of its share of the server by the user. */
async function cpuOf(house: House): Promise<Cpu> {
  // Beside each take: while a server warms up, it takes less and less for the same.
  const idle = await coresOf([house.pid], TURN_MS);
  const perUser: number[] = [];
  for (const streamTypes of [2, 1]) {
    const recording = await house.recordEach('many', { streamTypes }, 2);
    await pause(WARM_UP_MS);
    const cores = await coresOf([house.pid, recorderPidOf(house, recording)], TURN_MS);
    await stopped(recording);
    perUser.push((cores - idle) / CPU_USERS);
  }
  const [bothCores = Number.NaN, videoCores = Number.NaN] = perUser;
  return { bothCores, videoCores };
}

/** Of a server with a compiled recorder, as any is from its second recording on. */
async function memoryOf(checkout?: string): Promise<Memory> {
  const house = new House({}, checkout);
  try {
    await house.server.start();
    await house.publish(['few'], FEW, USER);
    await compileRecorder(house);
    const ofTwoMb = await memoryOfOne(house, await house.recordEach('few', {}, 0));
    await house.leave();
    return { ofTwoMb, sharedMb: await memoryOfMany(house) };
  } finally {
    await house.close();
  }
}

/**
 * Of a recorder of few users, and of one of many. All of them publish all the time: what a recorder has of the files
 * that it shares with other processes is less the more of those there are.
 */
async function memoryByUsers(): Promise<{ fewMb: number; manyMb: number }> {
  const house = new House();
  try {
    await house.server.start();
    await house.publish(['few'], FEW, USER);
    await house.publish(['many'], MANY, USER);
    await compileRecorder(house);
    const fewMb = await memoryOfOne(house, await house.recordEach('few', { streamTypes: 2 }, 2));
    const manyMb = await memoryOfOne(house, await house.recordEach('many', { streamTypes: 2 }, 2));
    return { fewMb, manyMb };
  } finally {
    await house.close();
  }
}

/** Records a little, so that the next recorder is compiled. */
async function compileRecorder(house: House): Promise<void> {
  const recording = await house.recordEach('few', {}, 0);
  await pause(WARM_UP_MS);
  await stopped(recording);
}

/** Memory of a recording's process, which is stopped then. */
async function memoryOfOne(house: House, recording: TestRecording): Promise<number> {
  await pause(WARM_UP_MS + MEASURE_MS);
  const readings: number[] = [];
  for (let n = 0; n < READINGS; n++) {
    readings.push(pssMbOf(recorderPidOf(house, recording)));
    await pause(READING_MS);
  }
  await stopped(recording);
  return median(readings);
}

/** Of this very recording: the busiest of all recorders may be one that has not ended yet. */
function recorderPidOf({ server }: House, { sid }: TestRecording): number {
  return recorderOf(server.dataDir, sid)?.pid ?? Number.NaN;
}

/** Memory of all recorders at work, by the recording, of several recordings of two users. */
async function memoryOfMany(house: House): Promise<number> {
  const channels = Array.from({ length: SHARING }, (_, n) => `sharing-${n}`);
  await house.publish(channels, 2, SMALL);
  const recordings: TestRecording[] = [];
  for (const cname of channels) recordings.push(await house.recordEach(cname, {}, 0));
  await pause(WARM_UP_MS + MEASURE_MS);
  const pids = new Set(recordings.map((recording) => recorderPidOf(house, recording)));
  const mb = [...pids].reduce((sum, pid) => sum + pssMbOf(pid), 0);
  for (const recording of recordings) await stopped(recording);
  await house.leave();
  return mb / SHARING;
}
