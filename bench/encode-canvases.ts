/**
 * Encodes raw canvases with the encoder of any checkout of this repository, and prints the CPU seconds that it took,
 * reading included.
 *
 *   node bench/encode-canvases.ts CHECKOUT CANVASES.yuv OUT.h264 KEY-INTERVAL-FRAMES [RUNG]
 */
import { closeSync, openSync, readSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RungName } from '../src/contract/line/rungs.ts';
import { BITRATE_KBPS, CANVAS } from './stage.ts';

const [checkout = '', raw = '', out = '', keyIntervalFrames = '', rung] = process.argv.slice(2);
const codec = join(checkout, 'src/stages/codec');
const { VideoEncoder } = (await import(
  join(codec, 'video-encoder.ts')
)) as typeof import('../src/stages/codec/video-encoder.ts');
const { PicturePool } = (await import(
  join(codec, 'picture-pool.ts')
)) as typeof import('../src/stages/codec/picture-pool.ts');

// Earlier commits have no rungs.
const ladder =
  rung === undefined
    ? undefined
    : ((await import(
        join(checkout, 'src/pipeline/overload/ladder.ts')
      )) as typeof import('../src/pipeline/overload/ladder.ts'));

const { width, height } = CANVAS;
const pool = new PicturePool();
const encoder = new VideoEncoder({
  ...CANVAS,
  ...{ bitrateKbps: BITRATE_KBPS, keyIntervalFrames: Number(keyIntervalFrames), threads: 1 },
  ...(ladder && { effort: ladder.effortOf(rung as RungName) }),
});
const units: Buffer[] = [];
const file = openSync(raw, 'r');
const i420 = Buffer.alloc((width * height * 3) / 2);
const began = process.cpuUsage();
for (let frame = 0; readSync(file, i420) === i420.length; frame++) {
  if (ladder?.leavesOut(rung as RungName, frame, CANVAS.fps)) continue;
  const canvas = pool.allocate(width, height);
  let read = 0;
  for (const [i, plane] of canvas.planes.entries()) {
    const [lineBytes, lines] = i === 0 ? [width, height] : [width / 2, height / 2];
    for (let line = 0; line < lines; line++, read += lineBytes)
      i420.copy(plane, line * (canvas.strides[i] as number), read, read + lineBytes);
  }
  units.push(...(await encoder.encode(canvas, frame)).map(({ data }) => data));
  canvas.free();
}
units.push(...(await encoder.flush()).map(({ data }) => data));
const { user, system } = process.cpuUsage(began);
closeSync(file);
encoder.close();
pool.close();
writeFileSync(out, Buffer.concat(units));
console.log((user + system) / 1e6);
