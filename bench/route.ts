/**
 * What composites take beside the browser's way to make them (browser-route.ts), of all processes: CPU with the
 * reception of everyone, and memory (PSS), of one composite and of each further one.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { PageMeter } from '../src/stages/source/page/page-meter.ts';
import { median } from '../test/support/judge/offsets.ts';
import type { TestRecording } from '../test/support/test-server.ts';
import { BrowserRoute } from './browser-route.ts';
import { compositeConfig, FOUR } from './cost.ts';
import { House, stopped } from './house.ts';
import { atMost, type Figure } from './measure.ts';
import { CAST } from './stage.ts';

const TAKES = 2;
const WARM_UP_MS = 5000;
const MEASURE_MS = 15_000;
/** Composites of the same channel beside the first, whose memory is measured. */
const FURTHER = 2;

type Use = { cores: number; mb: number };

export async function measureRoute(): Promise<Figure[]> {
  const [ours, theirs]: [Use[], Use[]] = [[], []];
  let furtherMb = Number.NaN;
  const house = new House({ AIRCHECK_ADMISSION_CPU_PERCENT: '0' });
  try {
    await house.server.start();
    // A recorder holds more until its code lies compiled in the data folder, and a server that made that folder does.
    await house.publish(['first'], FOUR.users, FOUR.media);
    await stopped(await house.record('first', 'mix', compositeConfig(FOUR)));
    await house.leave();
    await house.server.end();
    await house.server.start();
    for (let take = 0; take < TAKES; take++) {
      await house.publish(['route'], FOUR.users, FOUR.media);
      const recordings = [await record(house)];
      const one = await useOf([house.pid]);
      ours.push(one);
      if (take === 0) {
        while (recordings.length <= FURTHER) recordings.push(await record(house));
        furtherMb = ((await useOf([house.pid])).mb - one.mb) / FURTHER;
      }
      for (const recording of recordings) await stopped(recording);
      await house.leave();
      theirs.push(await useOfRoute());
    }
  } finally {
    await house.close();
  }
  const figure = (what: string, of: keyof Use, unit: string, limit: number): Figure => {
    const list = (uses: readonly Use[]) => uses.map((use) => use[of].toFixed(of === 'mb' ? 0 : 2)).join('/');
    const ratio = median(ours.map((use, n) => use[of] / (theirs[n] as Use)[of]));
    return atMost(what, ratio, limit, '×', `${list(ours)} against ${list(theirs)} ${unit}`);
  };
  return [
    figure('CPU of a composite with its server, against a browser that is recorded', 'cores', 'cores', 0.6),
    figure('… memory of all processes (PSS)', 'mb', 'MB', 0.55),
    atMost('… memory of each further composite (PSS)', furtherMb, 130, 'MB', `of ${FURTHER} more`),
  ];
}

async function record(house: House): Promise<TestRecording> {
  const recording = await house.record('route', 'mix', compositeConfig(FOUR));
  await pause(WARM_UP_MS);
  return recording;
}

async function useOfRoute(): Promise<Use> {
  const { media, canvas, bitrateKbps } = FOUR;
  const route = new BrowserRoute({ cast: CAST, media, canvas, bitrateKbps });
  try {
    await route.start();
    await pause(WARM_UP_MS);
    const use = await useOf(route.pids);
    await route.stop();
    return use;
  } finally {
    await route.close();
  }
}

/** Of these processes and of all that they started. */
async function useOf(pids: readonly number[]): Promise<Use> {
  const meter = new PageMeter(() => pids);
  const before = await meter.read();
  const began = performance.now();
  await pause(MEASURE_MS);
  const after = await meter.read();
  const spanUs = (performance.now() - began) * 1000;
  return { cores: (after.cpuUs - before.cpuUs) / spanUs, mb: after.memoryBytes / 1e6 };
}
