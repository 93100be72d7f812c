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
const TAKES_AGAINST = 1;
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

type Costs = { ofTwoMb: number; sharedMb: number; furtherMb: number; bothCores: number; videoCores: number };

/** What the same costs beside an earlier commit, turn by turn: memory of recorders (PSS), CPU per user. */
export function measureIndividualAgainst(): Promise<Figure[]> {
  return withCheckout(BEFORE, async (before) => {
    const takes: [now: Costs, then: Costs][] = [];
    for (let take = 0; take < TAKES_AGAINST; take++) takes.push([await costsOf(), await costsOf(before)]);
    const figure = (what: string, of: keyof Costs, limit: number): Figure => {
      const list = (side: 0 | 1) => takes.map((take) => take[side][of].toPrecision(3)).join('/');
      const unit = of.endsWith('Mb') ? 'MB' : 'cores';
      const ratio = median(takes.map(([now, then]) => now[of] / then[of]));
      return atMost(`${what}, against ${BEFORE}`, ratio, limit, '×', `${list(0)} against ${list(1)} ${unit}`);
    };
    const furtherMb = median(takes.map(([now]) => now.furtherMb));
    return [
      figure('recorder memory with two users alone', 'ofTwoMb', 0.5),
      figure(`recorder memory for each of ${SHARING} recordings of two users`, 'sharedMb', 0.2),
      atMost('recorder memory for each further user, PSS', furtherMb, 1.5, 'MB', ''),
      figure('a user alone, sound and picture', 'bothCores', 0.6),
      figure('a user alone, picture only', 'videoCores', 0.7),
    ];
  });
}

/** Of a server with a compiled recorder, as any is from its second recording on. */
async function costsOf(checkout?: string): Promise<Costs> {
  const house = new House({}, checkout);
  const users = 8;
  try {
    await house.server.start();
    await house.publish(['few'], 2, USER);
    const memoryOf = async (recording: TestRecording) => {
      await pause(WARM_UP_MS + MEASURE_MS);
      const mb = pssMbOf(recorderAtWork(house.pid));
      await stopped(recording);
      return mb;
    };
    await stopped(await house.recordEach('few', {}, 0));
    const ofTwoMb = await memoryOf(await house.recordEach('few', {}, 0));
    await house.leave();
    const sharedMb = await memoryOfMany(house);
    await house.publish(['many'], users, USER);
    const idle = await coresOf([house.pid], MEASURE_MS);
    const ofMany = await house.recordEach('many', { streamTypes: 2 }, 2);
    await pause(WARM_UP_MS);
    const both = await coresOf([house.pid, recorderAtWork(house.pid)], MEASURE_MS);
    const ofManyMb = pssMbOf(recorderAtWork(house.pid));
    await stopped(ofMany);
    const pictures = await house.recordEach('many', { streamTypes: 1 }, 2);
    await pause(WARM_UP_MS);
    const video = await coresOf([house.pid, recorderAtWork(house.pid)], MEASURE_MS);
    await stopped(pictures);
    return {
      ofTwoMb,
      sharedMb,
      furtherMb: (ofManyMb - ofTwoMb) / (users - 2),
      bothCores: (both - idle) / users,
      videoCores: (video - idle) / users,
    };
  } finally {
    await house.close();
  }
}

/** Memory of all recorders at work, by the recording, of several recordings of two users. */
async function memoryOfMany(house: House): Promise<number> {
  const channels = Array.from({ length: SHARING }, (_, n) => `sharing-${n}`);
  await house.publish(channels, 2, SMALL);
  const recordings: TestRecording[] = [];
  for (const cname of channels) recordings.push(await house.recordEach(cname, {}, 0));
  await pause(WARM_UP_MS + MEASURE_MS);
  const pids = new Set(recordings.map(({ sid }) => recorderOf(house.server.dataDir, sid)?.pid ?? Number.NaN));
  const mb = [...pids].reduce((sum, pid) => sum + pssMbOf(pid), 0);
  for (const recording of recordings) await stopped(recording);
  await house.leave();
  return mb / SHARING;
}
