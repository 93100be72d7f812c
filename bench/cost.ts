/**
 * What a composite of 4 × 640×360 on 1280×720 at 30 fps costs: CPU of the recorder and of its share of the server,
 * against the ffmpeg program doing the same to the same media in files; and the recorder's memory.
 */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as pause } from 'node:timers/promises';
import { median } from '../test/support/judge/offsets.ts';
import { writeMadeFile } from '../test/support/media/made-file.ts';
import { coresOf, recorderAtWork } from './house.ts';
import { atMost, type Figure } from './measure.ts';
import { cpuSecondsOf, peakMemoryMbOf } from './proc.ts';
import { BITRATE_KBPS, CANVAS, CAST, SOURCE, Stage } from './stage.ts';

const TAKES = 3;
const MEDIA_S = 20;
/** Time for the recorder to reach its stride before counting; it composes a second behind the present. */
const WARM_UP_MS = 4000;
/** The recorder's own x264 settings (stages/codec/video-encoder.ts): key frames every 3 s, one thread for this size. */
const GOP_FRAMES = 90;

type Costs = {
  /** CPU seconds per second of media. */
  recorder: number[];
  serverShare: number[];
  reference: number[];
  peakMb: number[];
};
let costs: Promise<Costs> | undefined;

/** All figures come from the same runs; they are made once. */
function makeCosts(): Promise<Costs> {
  costs ??= (async () => {
    const out: Costs = { recorder: [], serverShare: [], reference: [], peakMb: [] };
    const dir = mkdtempSync(join(tmpdir(), 'aircheck-cost-'));
    const stage = await Stage.open();
    try {
      const inputs = writeInputs(dir);
      await stage.publish('cost', { loop: true, motion: 'busy' });
      await pause(2000);
      // Turn by turn, so that a machine that slows down does so for both.
      for (let n = 0; n < TAKES; n++) {
        const idle = await coresOf([stage.server.pid], 10_000);
        await measureTake(stage, idle, out);
        out.reference.push(runReference(inputs, join(dir, 'reference.mp4')));
      }
    } finally {
      await stage.close();
      rmSync(dir, { recursive: true, force: true });
    }
    return out;
  })();
  return costs;
}

/** Records once, and adds what that cost. @param idle cores that the server uses without a recording */
async function measureTake(stage: Stage, idle: number, out: Omit<Costs, 'reference'>): Promise<void> {
  const take = await stage.start('cost');
  await pause(WARM_UP_MS);
  const recorder = recorderAtWork(stage.server.pid);
  const before = cpuSecondsOf(recorder);
  const began = performance.now();
  const server = await coresOf([stage.server.pid], MEDIA_S * 1000);
  const spanS = (performance.now() - began) / 1000;
  out.recorder.push((cpuSecondsOf(recorder) - before) / spanS);
  out.serverShare.push(Math.max(0, server - idle));
  out.peakMb.push(peakMemoryMbOf(recorder));
  await stage.stop(take);
}

/**
 * What a recording costs on each of some stages, turn by turn, so that a machine that slows down does so for all:
 * cores.
 */
export async function compareCosts(stages: readonly Stage[], takes: number): Promise<number[][]> {
  const cores = stages.map((): number[] => []);
  for (let n = 0; n < takes; n++)
    for (const [i, stage] of stages.entries()) {
      // Only who is measured has media to receive.
      await stage.publish('cost', { loop: true, motion: 'busy' });
      await pause(2000);
      const out = { recorder: [], serverShare: [], peakMb: [] } as Omit<Costs, 'reference'>;
      await measureTake(stage, await coresOf([stage.server.pid], 10_000), out);
      await stage.leave();
      cores[i]?.push((out.recorder[0] ?? Number.NaN) + (out.serverShare[0] ?? Number.NaN));
    }
  return cores;
}

/** The media that the publishers send, as files: same pictures, same codecs and settings. */
function writeInputs(dir: string): string[] {
  return CAST.map((participant, i) => {
    const path = join(dir, `${participant.name}.mkv`);
    writeMadeFile({
      path,
      participants: [participant],
      ...SOURCE,
      seconds: MEDIA_S,
      motion: 'busy',
      live: i % 2 === 0 ? 'vp8' : 'h264',
      videoBitrateKbps: SOURCE.bitrateKbps,
      gopFrames: SOURCE.fps / 2,
    });
    return path;
  });
}

/** Runs the ffmpeg program over the inputs; returns its CPU seconds per second of media. */
function runReference(inputs: readonly string[], path: string): number {
  const videos = inputs.map((_, i) => `[${i}:v]`).join('');
  const audios = inputs.map((_, i) => `[${i}:a]`).join('');
  const graph = [
    `${videos}xstack=inputs=4:layout=0_0|w0_0|0_h0|w0_h0,fps=${CANVAS.fps}[v]`,
    `${audios}amix=inputs=4:normalize=0[a]`,
  ].join(';');
  // Exactly MEDIA_S frames, whatever the containers' rounding says.
  const frames = MEDIA_S * CANVAS.fps;
  const video = `-c:v libx264 -preset veryfast -profile:v high -threads 1 -b:v ${BITRATE_KBPS}k -maxrate ${BITRATE_KBPS * 1.2}k -bufsize ${BITRATE_KBPS * 2}k -g ${GOP_FRAMES} -sc_threshold 0`;
  const args = [
    '-hide_banner -nostdin -y -benchmark -filter_complex_threads 1'.split(' '),
    inputs.flatMap((input) => ['-threads', '1', '-i', input]),
    ['-filter_complex', graph, '-map', '[v]', '-map', '[a]', '-frames:v', String(frames)],
    video.split(' '),
    '-c:a aac -ac 1 -b:a 48k -movflags +faststart'.split(' '),
    [path],
  ].flat();
  const run = spawnSync('ffmpeg', args, { encoding: 'utf8' });
  const times = run.stderr?.match(/bench: utime=([\d.]+)s stime=([\d.]+)s/);
  if (run.status !== 0 || !times) throw new Error(`ffmpeg failed: ${run.error?.message ?? run.stderr?.slice(-1000)}`);
  return (Number(times[1]) + Number(times[2])) / MEDIA_S;
}

export async function measureCpu(): Promise<Figure[]> {
  const { recorder, serverShare, reference } = await makeCosts();
  const ratios = recorder.map((cpu, i) => (cpu + (serverShare[i] as number)) / (reference[i] as number));
  const list = (values: readonly number[]) => values.map((v) => v.toFixed(2)).join('/');
  const detail = `cores: recorder ${list(recorder)} + server ${list(serverShare)}, ffmpeg ${list(reference)}; ratios ${list(ratios)}`;
  return [atMost('CPU against the ffmpeg program', median(ratios), 1.3, '×', detail)];
}

export async function measureMemory(): Promise<Figure[]> {
  const { peakMb } = await makeCosts();
  const detail = peakMb.map((mb) => mb.toFixed(0)).join(', ');
  return [atMost('recorder memory, peak', Math.max(...peakMb), 250, 'MB', detail)];
}
