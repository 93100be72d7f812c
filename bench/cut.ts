/**
 * How long it takes to cut 5 minutes out of a composite of 2 hours at 720p30: in a process of its own, from its start
 * to the finished MP4, as the server has it made.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EncodedSample } from '../src/media/sample.ts';
import type { Segment } from '../src/media/segment.ts';
import { planCut } from '../src/pipeline/cut/cut-plan.ts';
import { KEY_INTERVAL_S } from '../src/pipeline/mix/mix-output.ts';
import { AAC_BLOCK, AudioEncoder } from '../src/stages/codec/audio-encoder.ts';
import { PicturePool } from '../src/stages/codec/picture-pool.ts';
import { VideoEncoder } from '../src/stages/codec/video-encoder.ts';
import { TsSlices } from '../src/stages/mux/ts/ts-slices.ts';
import { median } from '../test/support/judge/offsets.ts';
import { probeFile } from '../test/support/judge/probe.ts';
import { MadePicture, madeSound, SOUND_RATE } from '../test/support/media/made-media.ts';
import { RED } from '../test/support/media/participants.ts';
import { atLeast, atMost, type Figure } from './measure.ts';
import { BITRATE_KBPS, CANVAS } from './stage.ts';

const MAIN = join(import.meta.dirname, '../src/app/cli/main.ts');
const TAKES = 5;
const SLICE_S = 15;
const WHOLE_S = 7200;
/** From the middle of a group of pictures on. */
const FROM_S = 3601.3;
const TO_S = FROM_S + 300;
const ZERO_MS = 1_795_000_000_000;

export async function measureCut(): Promise<Figure[]> {
  const dir = mkdtempSync(join(tmpdir(), 'aircheck-bench-'));
  try {
    const slices = await writeSlices(dir);
    const wish = { from: { playedS: FROM_S }, to: { playedS: TO_S } };
    const sources = slices.map((file) => ({ file, at: { path: join(dir, file.name) } }));
    const output = join(dir, 'cut.mp4');
    const coding = { fps: CANVAS.fps, bitrateKbps: BITRATE_KBPS };
    const walls: number[] = [];
    // A server hands its folder of compiled code to the processes that it starts; the first of them fills it.
    const env = { ...process.env, NODE_COMPILE_CACHE: join(dir, 'compiled') };
    for (let take = -1; take < TAKES; take++) {
      const startMs = performance.now();
      const { rows, ...plan } = planCut(sources, wish, { kind: 'together' });
      const placed = rows.map((row) => row.map(({ file, placeUs }) => ({ path: join(dir, file.name), placeUs })));
      const child = spawn(process.execPath, [MAIN, 'cutter'], { env, stdio: ['pipe', 'ignore', 'inherit'] });
      child.stdin.end(JSON.stringify({ ...plan, rows: placed, output, coding }));
      const [code] = (await once(child, 'close')) as [number | null];
      if (code !== 0) throw new Error(`the cutter ended with ${code}`);
      if (take >= 0) walls.push((performance.now() - startMs) / 1000);
    }
    const { durationS, video } = probeFile(output);
    if (Math.abs(durationS - 300) > 0.01 || !video) throw new Error(`the cut lasts ${durationS} s instead of 300`);
    const list = walls.map((s) => s.toFixed(2)).join(', ');
    return [
      atMost('cut of 5 minutes out of 2 hours of 720p30', median(walls), 2, 's', list),
      atLeast('the same: media per wall time', 300 / median(walls), 20, '×', ''),
    ];
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}

/** The slices of the whole; only those that the cut may read are on the disk, with the same 15 s in each. */
async function writeSlices(dir: string): Promise<Segment[]> {
  const { video, audio, samples } = await encodeSlice();
  const all: Segment[] = [];
  const first = Math.floor(FROM_S / SLICE_S) - 1;
  const last = Math.ceil(TO_S / SLICE_S) + 1;
  const written: Segment[] = [];
  const slices = new TsSlices({
    ...{ dir, baseName: 'x', video, audio, zeroUtcMs: ZERO_MS },
    onFile: (file) => void written.push(file),
  });
  for (let n = first; n < last; n++)
    for (const sample of samples) {
      const byUs = n * SLICE_S * 1e6;
      slices.write({ ...sample, ptsUs: sample.ptsUs + byUs, dtsUs: sample.dtsUs + byUs });
    }
  await slices.finish();
  for (let n = 0; n < WHOLE_S / SLICE_S; n++) {
    const own = written[n - first];
    const startUtcMs = ZERO_MS + n * SLICE_S * 1000;
    all.push(own ?? { ...written[0]!, name: `gone-${n}.ts`, startUtcMs, durationUs: SLICE_S * 1e6 });
  }
  return all;
}

async function encodeSlice() {
  const { width, height, fps } = CANVAS;
  const encoder = new VideoEncoder({
    ...{ width, height, fps, bitrateKbps: BITRATE_KBPS, threads: 2 },
    keyIntervalFrames: fps * KEY_INTERVAL_S,
  });
  const sound = new AudioEncoder({ channels: 1, bitrateKbps: 128 });
  const drawn = new MadePicture(RED, { width, height, motion: 'busy' });
  const pool = new PicturePool();
  const samples: EncodedSample[] = [];
  for (let frame = 0; frame < SLICE_S * fps; frame++) {
    drawn.draw(ZERO_MS * 1000 + Math.round((frame * 1e6) / fps));
    const canvas = pool.allocate(width, height);
    for (const [n, plane] of [drawn.planes.y, drawn.planes.u, drawn.planes.v].entries()) {
      const own = n === 0 ? width : width / 2;
      for (let row = 0; row * own < plane.length; row++)
        plane.copy(canvas.planes[n]!, row * canvas.strides[n]!, row * own, (row + 1) * own);
    }
    samples.push(...(await encoder.encode(canvas, frame)));
    canvas.free();
  }
  samples.push(...(await encoder.flush()));
  for (let at = 0; at < SLICE_S * SOUND_RATE; at += AAC_BLOCK)
    samples.push(...sound.encode({ channels: [madeSound(RED, at, AAC_BLOCK)], samples: AAC_BLOCK }, at));
  const video = { ...CANVAS, extradata: encoder.extradata };
  const audio = { sampleRate: SOUND_RATE, channels: 1 as const, extradata: sound.extradata };
  encoder.close();
  sound.close();
  pool.close();
  return { video, audio, samples: samples.filter(({ ptsUs }) => ptsUs >= 0).sort((a, b) => a.dtsUs - b.dtsUs) };
}
