/**
 * Whether memory stays as it is: a server and two recorders at work for half an hour, of a composite and of every user
 * alone, as PSS at its beginning and at its end. Small media, so that half an hour of it costs little: what would grow
 * grows with time, packets, frames and files, of which there are as many as in larger ones.
 *
 *   npm run bench -- memory-over-time --minutes 10      watches for so long
 */
import { setTimeout as pause } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { median } from '../test/support/judge/offsets.ts';
import { compositeConfig } from './cost.ts';
import { House, recordersAtWork, stopped } from './house.ts';
import { atMost, type Figure } from './measure.ts';
import { pssMbOf } from './proc.ts';

const MINUTES = 30;
const EVERY_MS = 15_000;
/** Caches fill and code is compiled in this part; the same part at the end is held against what follows it. */
const PART = 1 / 6;
const USERS = 3;
const MEDIA = { width: 320, height: 180, fps: 15, bitrateKbps: 150, codec: 'vp8' as const };
const COMPOSITE = { canvas: { width: 320, height: 180, fps: 15 }, bitrateKbps: 200 };

export async function measureMemoryOverTime(): Promise<Figure[]> {
  const { minutes = MINUTES } = parseArgs({ options: { minutes: { type: 'string' } }, strict: false }).values;
  const house = new House({ AIRCHECK_ADMISSION_CPU_PERCENT: '0' });
  try {
    await house.server.start();
    await house.publish(['hours'], USERS, MEDIA);
    const composite = await house.record('hours', 'mix', compositeConfig(COMPOSITE));
    await pause(EVERY_MS);
    const pids: Record<string, number> = {
      server: house.pid,
      'recorder of the composite': recordersAtWork(house.pid, 1)[0]!,
    };
    const alone = await house.recordEach('hours', {}, USERS);
    await pause(EVERY_MS);
    const recorders = recordersAtWork(house.pid, 2);
    pids['recorder of every user alone'] = recorders.find((pid) => !Object.values(pids).includes(pid))!;
    const seen = Object.fromEntries(Object.keys(pids).map((name) => [name, [] as number[]]));
    const untilMs = performance.now() + Number(minutes) * 60_000;
    while (performance.now() < untilMs) {
      await pause(EVERY_MS);
      for (const [name, pid] of Object.entries(pids)) seen[name]!.push(pssMbOf(pid));
    }
    await stopped(composite);
    await stopped(alone);
    return Object.entries(seen).map(([name, mb]) => figureOf(name, mb, Number(minutes)));
  } finally {
    await house.close();
  }
}

/** The last part against the one that follows the first. */
function figureOf(name: string, mb: readonly number[], minutes: number): Figure {
  const part = Math.max(1, Math.round(mb.length * PART));
  const [early, late] = [median(mb.slice(part, 2 * part)), median(mb.slice(-part))];
  const perMinute = Math.max(1, Math.round(60_000 / EVERY_MS));
  const every = Math.max(perMinute, 5 * perMinute * Math.ceil(mb.length / (40 * perMinute)));
  const told = mb.filter((_, n) => n % every === 0).map((each) => each.toFixed(0));
  const detail = `${early.toFixed(1)} → ${late.toFixed(1)} MB; ${told.join(', ')}`;
  return atMost(
    `memory of the ${name}, end of ${minutes} minutes against their beginning`,
    late / early,
    1.05,
    '×',
    detail,
  );
}
