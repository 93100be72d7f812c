/**
 * A recording of a scripted channel, by a held clock: several times faster than life, and the same every time.
 */
import { mkdtempSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import type { StartCommand } from '../../src/contract/line/commands.ts';
import type { Overlays } from '../../src/contract/line/overlays.ts';
import type { IndividualPlan, MixPlan, Plan } from '../../src/contract/line/plan.ts';
import type { Stereo } from '../../src/contract/line/stereo.ts';
import type { SpooledFile } from '../../src/media/segment.ts';
import type { Look } from '../../src/pipeline/mix/canvas.ts';
import type { Ending, Happening, Recording } from '../../src/pipeline/recording.ts';
import { startRecording } from '../../src/pipeline/start-recording.ts';
import { readSpool } from '../../src/stages/spool/journal.ts';
import { ManualClock } from './manual-clock.ts';
import { ScriptedFeed, type ScriptedUser } from './scripted-feed.ts';

export const SID = 'a'.repeat(32);
export const BASE = `${SID}_room`;

/** A plan of 640×360 at 30 fps with everyone in it, apart from what `over` says. */
export function planOf(over: Partial<MixPlan> = {}): MixPlan {
  return {
    mode: 'mix',
    sid: SID,
    baseName: BASE,
    video: {
      width: 640,
      height: 360,
      fps: 30,
      bitrateKbps: 800,
      layout: { kind: 'bestFit' },
      backgroundColor: '#000000',
    },
    audio: { channels: 1, bitrateKbps: 64 },
    subscribe: { audio: { kind: 'all' }, video: { kind: 'all' } },
    files: { hls: true, mp4: true },
    maxIdleMs: 5000,
    mp4Limit: { durationMs: 7_200_000, bytes: 2_000_000_000 },
    ...over,
  };
}

/** A plan of everyone alone, with sound and picture. */
export function individualPlanOf(over: Partial<IndividualPlan> = {}): IndividualPlan {
  return {
    mode: 'individual',
    sid: SID,
    baseName: BASE,
    records: { audio: true, video: true },
    streamMode: 'default',
    subscribe: { audio: { kind: 'all' }, video: { kind: 'all' } },
    maxUsers: 17,
    maxIdleMs: 5000,
    extras: { mp4: false, manifest: false },
    ...over,
  };
}

export type Made = {
  /** The spool's folder, with the files. */
  dir: string;
  ending: Ending;
  happenings: Happening[];
  files: SpooledFile[];
  mp4: string;
  feed: ScriptedFeed;
};

/** A change of the running recording, and when it is made. */
export type ScriptedChange = { atS: number } & (
  | Pick<MixPlan, 'subscribe'>
  | { stereo: Stereo }
  | { overlays: Overlays }
  | Look
);

/**
 * Plays the script against one recording, from its zero until `stopS` (or until it ends by itself).
 * @param dir where the feed's socket and the spool go
 * @param upAtS when the recorder's process is up; what came before waits in the feed
 * @param changes in order
 * @param prepare takes the spool's folder before anything is written to it
 * @param earlierDirs what earlier runs left
 */
export async function record(
  dir: string,
  users: ScriptedUser[],
  plan: Plan,
  stopS: number,
  upAtS = 0,
  changes: readonly ScriptedChange[] = [],
  prepare: (spoolDir: string) => void = () => {},
  earlierDirs: readonly string[] = [],
): Promise<Made> {
  const clock = new ManualClock();
  clock.advance(60_000);
  const zeroMonoUs = clock.monoUs();
  const feed = await ScriptedFeed.serve(join(dir, 'feed.sock'), users, zeroMonoUs, zeroMonoUs + upAtS * 1e6);
  const spoolDir = mkdtempSync(join(dir, 'spool-'));
  prepare(spoolDir);
  const start: StartCommand = {
    type: 'start',
    plan,
    generation: earlierDirs.length + 1,
    source: { kind: 'feed', path: feed.path },
    spoolDir,
    earlierDirs: [...earlierDirs],
    changes: [],
    imageNetworks: ['loopback'],
    // The clock may outrun the machine that the test is on, which is no overload.
    lowestRung: 'full',
    zeroUtcMs: clock.nowMs(),
    zeroMonoUs,
  };
  const happenings: Happening[] = [];
  clock.advance(upAtS * 1000);
  const recording: Recording = await startRecording(start, { clock, emit: (h) => happenings.push(h) });
  let ending: Ending | undefined;
  let failure: unknown;
  recording.done.then(
    (e) => {
      ending = e;
    },
    (e) => {
      failure = e;
    },
  );
  for (let ms = upAtS * 1000; !ending && !failure; ms += 10) {
    for (const { atS, ...change } of changes) {
      if (ms !== Math.round(atS * 100) * 10) continue;
      const atMonoUs = zeroMonoUs + Math.round(atS * 1e6);
      if ('subscribe' in change) recording.change({ type: 'changeSubscription', atMonoUs, ...change });
      else if ('stereo' in change) recording.change({ type: 'changeStereo', atMonoUs, ...change });
      else if ('overlays' in change) recording.change({ type: 'changeOverlays', atMonoUs, ...change });
      else recording.change({ type: 'changeLayout', atMonoUs, ...change });
    }
    if (ms === Math.round(stopS * 1000)) recording.stop(clock.monoUs(), 'stopped');
    if (ms > stopS * 1000 + 60_000) throw new Error('the recording did not end');
    // A late recorder reads what was kept for it bit by bit, while time goes on.
    await feed.playUntil(clock.monoUs(), upAtS > 0 ? 20 : undefined);
    // The clock runs several times faster than a real one, and waits for the encoder where that cannot follow.
    let waits = 0;
    do await pause(1);
    while (recording.lagUs() > 500_000 && ++waits < 20 && !failure && !ending);
    clock.advance(10);
  }
  await feed.close();
  if (failure) throw failure;
  const { files } = await readSpool(spoolDir);
  return { dir: spoolDir, ending: ending as Ending, happenings, files, mp4: join(spoolDir, `${BASE}_0.mp4`), feed };
}
