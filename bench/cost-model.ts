/**
 * Whether admission thinks of recordings what they cost: recordings of each kind are measured, and held against the
 * estimate for the same plan (`src/worker/cost.ts`). The constants that would fit are told beside those in use.
 */
import { readFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { pageUser, probeNamespaces } from '../src/app/pages.ts';
import type { Plan } from '../src/contract/line/plan.ts';
import { messageOf } from '../src/kernel/fault.ts';
import { findPrograms } from '../src/stages/source/page/programs.ts';
import { COST_MODEL, type Cost, estimate } from '../src/worker/cost.ts';
import { descendantsOf } from '../test/support/processes.ts';
import type { TestRecording } from '../test/support/test-server.ts';
import { PageServer } from '../test/support/web-page.ts';
import { coresOf, House, type Media, recordersAtWork, stopped } from './house.ts';
import type { Figure } from './measure.ts';

/**
 * An estimate may be so many times what was measured: too low lets in what the machine cannot carry, too high keeps out
 * what it can. What users will send is not known, so an estimate is rather too high.
 */
const LEAST = { cores: 0.8, bytes: 0.9 };
const MOST = { cores: 2, bytes: 1.6 };
const WARM_UP_MS = 6_000;
const MEASURE_MS = 12_000;
/**
 * So many of the small kinds record at once: admission judges machines that are almost full, and on one that does next
 * to nothing else a recording takes up to twice as much CPU, as nothing it needs is in a cache when it wakes.
 */
const AT_ONCE = 6;
/** What users send, to small canvases and to large ones. */
const SENT_SMALL: Media = { width: 640, height: 360, fps: 15, bitrateKbps: 500 };
const SENT: Media = { width: 640, height: 360, fps: 30, bitrateKbps: 800 };
const PAGE_ADDRESS = '127.0.0.2';

type Picture = { width: number; height: number; fps: number };
const SMALL: Picture = { width: 640, height: 360, fps: 15 };
const LARGE: Picture = { width: 1280, height: 720, fps: 30 };

/** What an estimate looks at of a plan. */
const NAMES = { sid: '0'.repeat(32), baseName: 'x' };
const FILES = { files: { hls: true, mp4: true }, mp4Limit: { durationMs: 7_200_000, bytes: 2e9 } };
const ALL = { subscribe: { audio: { kind: 'all' }, video: { kind: 'all' } }, maxIdleMs: 30_000 } as const;

function mixPlan(video: Picture | undefined): Plan {
  const look = { bitrateKbps: 1000, layout: { kind: 'bestFit' }, backgroundColor: '#000000' } as const;
  const audio = { channels: 1, bitrateKbps: 48 } as const;
  return { mode: 'mix', ...NAMES, ...ALL, ...FILES, audio, ...(video && { video: { ...video, ...look } }) };
}
function individualPlan(maxUsers: number, intervalMs?: number): Plan {
  return {
    ...{
      mode: 'individual',
      ...NAMES,
      ...ALL,
      records: { audio: true, video: true },
      streamMode: intervalMs ? 'none' : 'default',
      maxUsers,
    },
    ...{ extras: { mp4: false, manifest: false }, ...(intervalMs !== undefined && { snapshots: { intervalMs } }) },
  };
}
function webPlan(video: Picture): Plan {
  const media = { audio: { channels: 1, bitrateKbps: 48 }, video: { ...video, bitrateKbps: 1000 } } as const;
  return { mode: 'web', ...NAMES, ...FILES, ...media, maxAgeMs: 3_600_000, onhold: false };
}

const mixConfig = (video: Picture | undefined) =>
  video
    ? { channelType: 1, transcodingConfig: { ...video, bitrate: 1000, mixedVideoLayout: 1 } }
    : { channelType: 1, streamTypes: 0 };

/** Figures of one kind of recording. @param costs what it took, its browser's left out */
function held(what: string, { cores, bytes }: Cost, thought: Cost, detail: string): Figure[] {
  const one = (name: 'cores' | 'bytes', measured: number, estimated: number, told: (n: number) => string): Figure => {
    return {
      what: `${what}: its estimate of ${name === 'cores' ? 'CPU' : 'memory'}, against what it takes`,
      value: estimated / measured,
      unit: '×',
      goal: { atLeast: LEAST[name], atMost: MOST[name] },
      detail: `${told(estimated)} for ${told(measured)}${detail && `; ${detail}`}`,
    };
  };
  return [
    one('cores', cores, thought.cores, (n) => `${n.toFixed(3)} cores`),
    one('bytes', bytes, thought.bytes, (n) => `${(n / 1e6).toFixed(0)} MB`),
  ];
}

/** What a recording's own process takes, past its beginning; and what it started, as far as that counts apart. */
async function watched(house: House, ...recordings: TestRecording[]): Promise<{ own: Cost; started: Cost }> {
  await pause(WARM_UP_MS);
  const recorders = recordersAtWork(house.pid, recordings.length);
  const others = recorders.flatMap(descendantsOf);
  const [own, started] = await Promise.all([coresOf(recorders, MEASURE_MS), coresOf(others, MEASURE_MS)]);
  const memoryOfAll = (pids: number[], file: string, name: string) =>
    pids.reduce((sum, pid) => sum + memoryOf(pid, file, name), 0);
  const each = (sum: number) => sum / recordings.length;
  const costs = {
    // Pages of programs and libraries are there once for all recorders.
    own: { cores: each(own), bytes: each(memoryOfAll(recorders, 'status', 'RssAnon')) },
    // Its processes share much of their memory; each counts for its part of that.
    started: { cores: each(started), bytes: each(memoryOfAll(others, 'smaps_rollup', 'Pss')) },
  };
  await Promise.all(recordings.map(stopped));
  return costs;
}

/** What each of several recordings of the same kind takes that record at once. */
async function eachOfMany(house: House, begin: () => Promise<TestRecording>): Promise<Cost> {
  const recordings = await Promise.all(Array.from({ length: AT_ONCE }, begin));
  return (await watched(house, ...recordings)).own;
}

function memoryOf(pid: number, file: string, name: string): number {
  const [, kb] = readFileSync(`/proc/${pid}/${file}`, 'utf8').match(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm')) ?? [];
  return Number(kb) * 1024;
}

export async function measureCostModel(): Promise<Figure[]> {
  const house = new House({
    AIRCHECK_ADMISSION_CPU_PERCENT: '0',
    AIRCHECK_PAGE_NETWORKS: PAGE_ADDRESS,
    // What a process takes is to be what its recording takes.
    AIRCHECK_RECORDINGS_PER_RECORDER: '1',
  });
  try {
    await house.server.start();
    // A recorder holds more until its code lies compiled in the data folder, which is so after the first one's end.
    await house.publish(['first'], 1, SENT_SMALL);
    await stopped(await house.record('first', 'mix', { recordingConfig: mixConfig(SMALL) }));
    await stopped(await house.recordEach('first', {}, 0));
    await house.leave();
    await house.server.end();
    await house.server.start();
    const alone = [...(await measureMix(house)), ...(await measureIndividual(house)), ...(await measureWeb(house))];
    await house.server.end();
    return [...alone, ...(await measureJoining())];
  } finally {
    await house.close();
  }
}

async function measureMix(house: House): Promise<Figure[]> {
  const record = (cname: string, video: Picture | undefined) =>
    house.record(cname, 'mix', { recordingConfig: mixConfig(video) });
  await house.publish(['pair'], 2, SENT_SMALL);
  const sound = await eachOfMany(house, () => record('pair', undefined));
  const small = await eachOfMany(house, () => record('pair', SMALL));
  await house.leave();
  await house.publish(['four'], 4, SENT);
  const large = (await watched(house, await record('four', LARGE))).own;
  await house.leave();
  const pixels = LARGE.width * LARGE.height;
  const { mix } = COST_MODEL;
  const fitted = [
    `cores ${sound.cores.toFixed(3)} (${mix.cores} in use)`,
    `per pixel/s ${((large.cores - sound.cores) / pixels / LARGE.fps).toExponential(1)} (${mix.coresPerPixelPerS})`,
    `bytes ${(sound.bytes / 1e6).toFixed(0)}e6 (${mix.bytes / 1e6}e6)`,
    `per pixel ${((large.bytes - sound.bytes) / pixels).toFixed(0)} (${mix.bytesPerPixel})`,
  ];
  return [
    ...held('a composite of sound', sound, estimate(mixPlan(undefined)), ''),
    ...held('a composite of 640×360 at 15 fps', small, estimate(mixPlan(SMALL)), ''),
    ...held('a composite of 1280×720 at 30 fps', large, estimate(mixPlan(LARGE)), `fit: ${fitted.join(', ')}`),
  ];
}

async function measureIndividual(house: House): Promise<Figure[]> {
  await house.publish(['two'], 2, SENT_SMALL);
  const two = await eachOfMany(house, () => house.recordEach('two', {}, 0));
  const snapshotConfig = { captureInterval: 10, fileType: ['jpg'] };
  const pictures = await eachOfMany(house, () => house.recordEach('two', {}, 0, { snapshotConfig }));
  await house.leave();
  await house.publish(['eight'], 8, SENT_SMALL);
  const eight = await eachOfMany(house, () => house.recordEach('eight', {}, 2));
  await house.leave();
  const perUser = (eight.cores - two.cores) / 6;
  const { individual } = COST_MODEL;
  const fitted = [
    `cores ${(two.cores - 2 * perUser).toFixed(3)} (${individual.cores} in use)`,
    `per user ${perUser.toFixed(4)} (${individual.coresPerUser})`,
    `bytes ${(two.bytes / 1e6).toFixed(0)}e6 with 2 users, ${(eight.bytes / 1e6).toFixed(0)}e6 with 8`,
    `(${individual.bytes / 1e6}e6)`,
  ];
  return [
    ...held('two users alone', two, estimate(individualPlan(2)), `fit: ${fitted.join(', ')}`),
    ...held('snapshots of two users, and nothing else', pictures, estimate(individualPlan(2, 10_000)), ''),
  ];
}

/** What one more recording of two users adds to a process that is there for others. */
async function measureJoining(): Promise<Figure[]> {
  const house = new House({ AIRCHECK_ADMISSION_CPU_PERCENT: '0' });
  const recordings: TestRecording[] = [];
  const taken: Cost[] = [];
  try {
    await house.server.start();
    const channels = Array.from({ length: 1 + AT_ONCE }, (_, n) => `joining ${n}`);
    await house.publish(channels, 2, SENT_SMALL);
    for (const count of [1, channels.length]) {
      for (const cname of channels.slice(recordings.length, count))
        recordings.push(await house.recordEach(cname, {}, 0));
      // A process that is young takes more, and holds more, than it will.
      await pause(2 * WARM_UP_MS);
      const [recorder = Number.NaN] = recordersAtWork(house.pid, 1);
      taken.push({ cores: await coresOf([recorder], MEASURE_MS), bytes: memoryOf(recorder, 'status', 'RssAnon') });
    }
    for (const recording of recordings) await stopped(recording);
  } finally {
    await house.close();
  }
  const [one, all] = taken as [Cost, Cost];
  const added = { cores: (all.cores - one.cores) / AT_ONCE, bytes: (all.bytes - one.bytes) / AT_ONCE };
  return held('two users alone, in a process that is there', added, estimate(individualPlan(2), true), '');
}

/** Nothing where the programs that show a page are not installed. */
async function measureWeb(house: House): Promise<Figure[]> {
  const refusal = await probeNamespaces(findPrograms(), pageUser('nobody')).then(() => undefined, messageOf);
  if (refusal !== undefined) {
    console.error(`no web page is measured: ${refusal}`);
    return [];
  }
  const pages = await new PageServer().start(PAGE_ADDRESS);
  try {
    const serviceParam = {
      ...{ url: pages.url('/counter'), audioProfile: 1, maxRecordingHour: 1 },
      ...{ videoWidth: LARGE.width, videoHeight: LARGE.height, videoFps: LARGE.fps },
    };
    const services = [{ serviceName: 'web_recorder_service', errorHandlePolicy: 'error_abort', serviceParam }];
    const extensionServiceConfig = { errorHandlePolicy: 'error_abort', extensionServices: services };
    const recording = await house.record('web', 'web', { extensionServiceConfig });
    // Its browser is up by then.
    await pause(WARM_UP_MS);
    const { own, started } = await watched(house, recording);
    const { web, pagePrograms } = COST_MODEL;
    const both = { cores: own.cores + started.cores, bytes: own.bytes + started.bytes };
    const fitted = [
      `cores per pixel/s ${(own.cores / LARGE.width / LARGE.height / LARGE.fps).toExponential(1)} (${web.coresPerPixelPerS} in use)`,
      `recorder ${(own.bytes / 1e6).toFixed(0)} MB`,
      `programs ${started.cores.toFixed(2)} cores and ${(started.bytes / 1e6).toFixed(0)} MB (${pagePrograms.cores}, ${pagePrograms.bytes / 1e6})`,
    ];
    return held('a page of 1280×720 at 30 fps', both, estimate(webPlan(LARGE)), `fit: ${fitted.join(', ')}`);
  } finally {
    await pages.close();
  }
}
