/**
 * How many recordings of two users this machine carries beside their publishers, with nothing lost; and how many it
 * would carry if nobody published on it, by the CPU that publishers took.
 */
import { readdirSync } from 'node:fs';
import { cpus } from 'node:os';
import { basename, join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { hear, onSeconds, see } from '../test/support/judge/user-streams.ts';
import { PARTICIPANTS } from '../test/support/media/participants.ts';
import { descendantsOf } from '../test/support/processes.ts';
import { type TestRecording, until } from '../test/support/test-server.ts';
import { House, stopped } from './house.ts';
import { atLeast, atMost, type Figure } from './measure.ts';
import { cpuSecondsOf } from './proc.ts';

const USER = { width: 320, height: 240, fps: 15, bitrateKbps: 150 };
const MOST = 40;
/** So many channels come at a time, and are recorded before the next ones come. */
const GROUP = 4;
/** A machine of which less is left takes no further recordings: a share of all its cores, 0 to 1. */
const LEAST_IDLE = 0.05;
/** What a machine without publishers would have to spare. */
const SPARE = 0.1;
const LOOK_MS = 2000;
/** What has just begun takes more for a moment, which says nothing of what goes on: so often is looked again. */
const LOOKS = 5;
const MEASURE_MS = 10_000;
const SECONDS = 30;

/** Cores that processes of each kind take. */
type Load = { server: number; recorders: number; publishers: number };

export async function measureManyRecordings(): Promise<Figure[]> {
  const house = new House({ AIRCHECK_ADMISSION_CPU_PERCENT: '0' });
  const recordings: TestRecording[] = [];
  try {
    await house.server.start();
    while (recordings.length < MOST && (await hasRoom())) {
      const channels = Array.from({ length: GROUP }, (_, n) => `room${recordings.length + n}`);
      await house.publish(channels, 2, USER);
      // One after another: processes that start at once are another question.
      for (const cname of channels) recordings.push(await begun(house, cname));
    }
    await pause(SECONDS * 1000 - MEASURE_MS);
    const load = await loadOf(house);
    const marks: Marks = { flashes: { found: 0, missing: 0 }, beeps: { found: 0, missing: 0 } };
    const lasted = new Map<TestRecording, number>();
    for (const recording of recordings) {
      lasted.set(recording, Date.now() - recording.answeredAtMs);
      await stopped(recording);
    }
    for (const [recording, ms] of lasted) judge(join(house.server.dataDir, 'recordings'), recording.sid, ms, marks);
    const told = house.server.running.log.match(/^.*(degraded|dropped|left out|given up).*$/gm) ?? [];
    const carried = recordings.length;
    const ours = load.server + load.recorders;
    const without = Math.floor(((1 - SPARE) * cpus().length * carried) / ours);
    const cores = (Object.keys(load) as (keyof Load)[]).map((kind) => `${kind} ${load[kind].toFixed(2)}`).join(', ');
    const each = `${((ours / carried) * 1000).toFixed(0)} mcores each, a tenth of ${cpus().length} cores left`;
    return [
      atLeast('recordings of two users beside their publishers', carried, MOST, '', `cores: ${cores}`),
      atMost('flashes missing in them', marks.flashes.missing, 0, '', `${marks.flashes.found} are there`),
      atMost('beeps missing in them', marks.beeps.missing, 0, '', `${marks.beeps.found} are there`),
      atMost('losses the server tells of meanwhile', told.length, 0, '', told[0]?.slice(0, 200) ?? ''),
      atLeast('recordings of two users without publishers, reckoned', without, MOST, '', each),
    ];
  } finally {
    await house.close();
  }
}

async function hasRoom(): Promise<boolean> {
  for (let look = 0; look < LOOKS; look++) if ((await idleShare(LOOK_MS)) > LEAST_IDLE) return true;
  return false;
}

/** Resolves when the channel is recorded. */
async function begun(house: House, cname: string): Promise<TestRecording> {
  const recording = await house.recordEach(cname, {}, 0);
  const isRecording = async () => {
    const { body } = await recording.query();
    return ((body['serverResponse'] as { status?: number } | undefined)?.status ?? 0) >= 4;
  };
  await until(`${cname} is recorded`, isRecording, 30_000);
  return recording;
}

type Marks = Record<'flashes' | 'beeps', { found: number; missing: number }>;

/** Adds the marks of one recording's two users, each of whom gives two a second. @param ms that it lasted at least */
function judge(dir: string, sid: string, ms: number, marks: Marks): void {
  // Of a second at either end only a part may be recorded.
  const least = Math.floor(ms / 1000) - 1;
  const names = readdirSync(dir, { recursive: true, encoding: 'utf8' }).filter((name) =>
    basename(name).startsWith(sid),
  );
  for (const kind of ['flashes', 'beeps'] as const) {
    const suffix = kind === 'flashes' ? '_video.m3u8' : '_audio.m3u8';
    for (const [n, participant] of PARTICIPANTS.slice(0, 2).entries()) {
      const name = names.find((each) => each.endsWith(`uid_s_${n + 1}__uid_e${suffix}`));
      const path = name === undefined ? undefined : join(dir, name);
      const at =
        path === undefined ? [] : kind === 'flashes' ? see(path, participant).flashes : hear(path, participant).beeps;
      const seconds = new Set(onSeconds(at.map((atS) => atS - (at[0] ?? 0))).seconds);
      const [first = 0, last = -1] = [Math.min(...seconds), Math.max(...seconds)];
      marks[kind].found += seconds.size;
      marks[kind].missing += Math.max(least, seconds.size === 0 ? 0 : last - first + 1) - seconds.size;
    }
  }
}

/** Share of the machine's CPU time, 0 to 1, that nobody used over `ms`. Recorders are niced; what they use counts. */
async function idleShare(ms: number): Promise<number> {
  const total = () =>
    cpus().reduce(
      (sum, { times: { idle, user, sys, irq, nice } }) => ({
        idle: sum.idle + idle,
        all: sum.all + idle + user + sys + irq + nice,
      }),
      { idle: 0, all: 0 },
    );
  const before = total();
  await pause(ms);
  const after = total();
  return (after.idle - before.idle) / (after.all - before.all);
}

async function loadOf(house: House): Promise<Load> {
  const pids = {
    server: [house.pid],
    // What starts them is among them.
    recorders: descendantsOf(house.pid),
    publishers: house.publisherPids,
  };
  const spent = () => Object.values(pids).map((some) => some.reduce((sum, pid) => sum + cpuSecondsOf(pid), 0));
  const before = spent();
  const began = performance.now();
  await pause(MEASURE_MS);
  const seconds = (performance.now() - began) / 1000;
  const [server = 0, recorders = 0, publishers = 0] = spent().map((now, n) => (now - (before[n] ?? 0)) / seconds);
  return { server, recorders, publishers };
}
