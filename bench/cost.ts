/**
 * What a composite costs: CPU of the recorder and of its share of the server, against the ffmpeg program doing the same
 * to the same media in files; and the recorder's memory.
 */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { median } from '../test/support/judge/offsets.ts';
import { PARTICIPANTS } from '../test/support/media/participants.ts';
import { withCheckout } from './earlier.ts';
import { coresOf, House, type Media, recorderAtWork, stopped } from './house.ts';
import { atMost, type Figure } from './measure.ts';
import { cpuSecondsOf, peakMemoryMbOf, pssMbOf } from './proc.ts';
import { runReference, writeInputs } from './reference.ts';
import { BITRATE_KBPS, CANVAS, SOURCE } from './stage.ts';

const MEDIA_S = 20;
/** Time for the recorder to reach its stride before counting; it composes a second behind the present. */
const WARM_UP_MS = 4000;
const IDLE_MS = 6000;

/** A best-fit composite, and what its users send. */
export type Composite = {
  users: number;
  media: Media;
  canvas: { width: number; height: number; fps: number };
  bitrateKbps: number;
};

/** All move. */
export const FOUR: Composite = {
  users: 4,
  media: { ...SOURCE, codec: 'vp8' },
  canvas: CANVAS,
  bitrateKbps: BITRATE_KBPS,
};
const SEVENTEEN: Composite = {
  users: 17,
  media: { width: 320, height: 180, fps: 15, bitrateKbps: 250, codec: 'vp8' },
  canvas: { width: 1920, height: 1080, fps: 15 },
  bitrateKbps: 2500,
};

export function compositeConfig({ canvas, bitrateKbps }: Omit<Composite, 'users' | 'media'>): object {
  const transcodingConfig = { ...canvas, bitrate: bitrateKbps, mixedVideoLayout: 1 };
  return { recordingConfig: { channelType: 1, transcodingConfig } };
}

type Costs = {
  /** CPU seconds per second of media. */
  recorder: number[];
  serverShare: number[];
  reference: number[];
  peakMb: number[];
  /** Of the recorder, at the end of what was counted. */
  pssMb: number[];
};
const costs = new Map<Composite, Promise<Costs>>();

/** All figures of a composite come from the same runs; they are made once. */
function costsOf(composite: Composite, takes: number): Promise<Costs> {
  const made = costs.get(composite) ?? makeCosts(composite, takes);
  costs.set(composite, made);
  return made;
}

async function makeCosts(composite: Composite, takes: number): Promise<Costs> {
  const out: Costs = { recorder: [], serverShare: [], reference: [], peakMb: [], pssMb: [] };
  const { users, media } = composite;
  const house = new House({ AIRCHECK_ADMISSION_CPU_PERCENT: '0' });
  const dir = mkdtempSync(join(tmpdir(), 'aircheck-cost-'));
  try {
    const cast = Array.from({ length: users }, (_, i) => PARTICIPANTS[i % PARTICIPANTS.length]!);
    const inputs = writeInputs(dir, cast, media, MEDIA_S);
    await house.server.start();
    await house.publish(['cost'], users, media);
    await pause(2000);
    // Turn by turn, so that a machine that slows down does so for both.
    for (let n = 0; n < takes; n++) {
      await measureTake(house, composite, out);
      out.reference.push(runReference({ ...composite, inputs, seconds: MEDIA_S, path: join(dir, 'reference.mp4') }));
    }
  } finally {
    await house.close();
    rmSync(dir, { recursive: true, force: true });
  }
  return out;
}

/** Records once the users of channel `cost`, and adds what that cost. */
async function measureTake(
  house: House,
  composite: Omit<Composite, 'users' | 'media'>,
  out: Omit<Costs, 'reference'>,
): Promise<void> {
  const idle = await coresOf([house.pid], IDLE_MS);
  const recording = await house.record('cost', 'mix', compositeConfig(composite));
  await pause(WARM_UP_MS);
  const recorder = recorderAtWork(house.pid);
  const before = cpuSecondsOf(recorder);
  const began = performance.now();
  const server = await coresOf([house.pid], MEDIA_S * 1000);
  const spanS = (performance.now() - began) / 1000;
  out.recorder.push((cpuSecondsOf(recorder) - before) / spanS);
  out.serverShare.push(Math.max(0, server - idle));
  out.peakMb.push(peakMemoryMbOf(recorder));
  out.pssMb.push(pssMbOf(recorder));
  await stopped(recording);
}

/**
 * What a recording costs, the server's share included, against what it costs with the code of an earlier commit: turn
 * by turn, so that a machine that slows down does so for both.
 * @param publish users in channel `cost` of a house; only who is measured has media to receive
 */
export function compareWithCommit(
  commit: string,
  takes: number,
  composite: Omit<Composite, 'users' | 'media'>,
  publish: (house: House) => Promise<unknown>,
): Promise<{ ratio: number; detail: string }> {
  return withCheckout(commit, async (before) => {
    const houses = [new House(), new House({}, before)] as const;
    const cores: Record<'now' | 'before', number[]> = { now: [], before: [] };
    try {
      for (const house of houses) await house.server.start();
      for (let n = 0; n < takes; n++)
        for (const [i, house] of houses.entries()) {
          await publish(house);
          await pause(2000);
          const out: Costs = { recorder: [], serverShare: [], reference: [], peakMb: [], pssMb: [] };
          await measureTake(house, composite, out);
          await house.leave();
          cores[i === 0 ? 'now' : 'before'].push(out.recorder[0]! + out.serverShare[0]!);
        }
    } finally {
      for (const house of houses) await house.close();
    }
    const ratios = cores.now.map((own, i) => own / cores.before[i]!);
    const told = (values: readonly number[]) => values.map((value) => value.toFixed(3)).join('/');
    const detail = `cores ${told(cores.now)} against ${told(cores.before)}; ratios ${told(ratios)}`;
    return { ratio: median(ratios), detail };
  });
}

const list = (values: readonly number[]) => values.map((v) => v.toFixed(2)).join('/');

/** CPU of everything against the ffmpeg program's. */
function against({ recorder, serverShare, reference }: Costs): { ratio: number; detail: string } {
  const ratios = recorder.map((cpu, i) => (cpu + (serverShare[i] as number)) / (reference[i] as number));
  const cores = `recorder ${list(recorder)} + server ${list(serverShare)}, ffmpeg ${list(reference)}`;
  return { ratio: median(ratios), detail: `cores: ${cores}; ratios ${list(ratios)}` };
}

export async function measureCpu(): Promise<Figure[]> {
  const { ratio, detail } = against(await costsOf(FOUR, 3));
  return [atMost('CPU of 4 users of 640×360 on 1280×720 at 30, against the ffmpeg program', ratio, 0.75, '×', detail)];
}

export async function measureMemory(): Promise<Figure[]> {
  const { peakMb } = await costsOf(FOUR, 3);
  const detail = peakMb.map((mb) => mb.toFixed(0)).join(', ');
  return [atMost('recorder memory, peak', Math.max(...peakMb), 250, 'MB', detail)];
}

export async function measureSeventeen(): Promise<Figure[]> {
  const made = await costsOf(SEVENTEEN, 2);
  const { ratio, detail } = against(made);
  const memory = made.pssMb.map((mb) => mb.toFixed(0)).join(', ');
  return [
    atMost('CPU of 17 users of 320×180 on 1920×1080 at 15, against the ffmpeg program', ratio, 0.9, '×', detail),
    atMost('… memory of its recorder, PSS', Math.max(...made.pssMb), 220, 'MB', memory),
  ];
}
