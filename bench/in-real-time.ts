/**
 * How many composites of 4 × 1280×720 on 1280×720 at 30 fps, with sound, this machine makes in real time, beside those
 * who publish to them. One recording after another joins the same channel until the recorders no longer keep up.
 */
import { setTimeout as pause } from 'node:timers/promises';
import { recordersOf } from '../test/support/processes.ts';
import type { TestRecording } from '../test/support/test-server.ts';
import { compositeConfig } from './cost.ts';
import { coresOf, House, type Media, stopped } from './house.ts';
import { atLeast, type Figure } from './measure.ts';
import { CANVAS } from './stage.ts';

const USER: Media = { width: 1280, height: 720, fps: 30, bitrateKbps: 1500, codec: 'vp8' };
const USERS = 4;
const BITRATE_KBPS = 2000;
/** More than any machine that this is run on carries. */
const MOST = 8;
/** A recorder takes some CPU to begin with, and tells of itself every five seconds. */
const SETTLE_MS = 8000;
const WATCH_MS = 10_000;
/** A recorder that is this late goes down the ladder (ADR 0023). */
const LATE_S = 1;

export async function measureInRealTime(): Promise<Figure[]> {
  const house = new House({ AIRCHECK_ADMISSION_CPU_PERCENT: '0' });
  const recordings: TestRecording[] = [];
  try {
    await house.server.start();
    await house.publish(['load'], USERS, USER);
    const publishers = await coresOf(house.publisherPids, WATCH_MS);
    const told: string[] = [];
    let carried = 0;
    while (carried === recordings.length && carried < MOST) {
      const config = compositeConfig({ canvas: CANVAS, bitrateKbps: BITRATE_KBPS });
      recordings.push(await house.record('load', 'mix', config));
      await pause(SETTLE_MS);
      const cores = await coresOf([house.pid, ...recordersOf(house.pid)], WATCH_MS);
      const all = [...(await house.lateness()).values()];
      const keepsUp = all.length === recordings.length && all.every(({ depth, lagS }) => depth === 0 && lagS < LATE_S);
      const lags = all.map(({ depth, lagS }) => `${lagS.toFixed(2)} s late${depth > 0 ? `, ${depth} rungs down` : ''}`);
      told.push(`${recordings.length} take ${cores.toFixed(2)} cores (${lags.join('; ')})`);
      if (keepsUp) carried++;
    }
    const detail = `publishers took ${publishers.toFixed(2)} cores; ${told.join('; ')}`;
    return [atLeast('composites of 4 × 1280×720 at 30 fps, with sound, in real time', carried, 2, '', detail)];
  } finally {
    for (const recording of recordings) await stopped(recording);
    await house.close();
  }
}
