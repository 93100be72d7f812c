/**
 * Encodes raw canvases with the encoder of any checkout of this repository, and prints the CPU seconds that it took,
 * reading included.
 *
 *   node bench/encode-canvases.ts CHECKOUT CANVASES.yuv OUT.h264 KEY-INTERVAL-FRAMES [RUNG]
 */
import { closeSync, openSync, readSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { RungName } from '../src/contract/line/rungs.ts';
import type { Part } from '../src/stages/codec/changed-parts.ts';
import { BITRATE_KBPS, CANVAS } from './stage.ts';

const [checkout = '', raw = '', out = '', keyIntervalFrames = '', rung] = process.argv.slice(2);
const codec = join(checkout, 'src/stages/codec');
const { VideoEncoder } = (await import(
  join(codec, 'video-encoder.ts')
)) as typeof import('../src/stages/codec/video-encoder.ts');
const { PicturePool } = (await import(
  join(codec, 'picture-pool.ts')
)) as typeof import('../src/stages/codec/picture-pool.ts');

// Earlier commits have no rungs, and do not ask what changed.
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
const changes = changedQuarters();
const began = process.cpuUsage();
for (let frame = 0; readPicture(frame); frame++) {
  if (ladder?.leavesOut(rung as RungName, frame, CANVAS.fps)) continue;
  const canvas = pool.allocate(width, height);
  let read = 0;
  for (const [i, plane] of canvas.planes.entries()) {
    const [lineBytes, lines] = i === 0 ? [width, height] : [width / 2, height / 2];
    for (let line = 0; line < lines; line++, read += lineBytes)
      i420.copy(plane, line * (canvas.strides[i] as number), read, read + lineBytes);
  }
  units.push(...(await encoder.encode(canvas, frame, { changed: changes[frame] })).map(({ data }) => data));
  canvas.free();
}
units.push(...(await encoder.flush()).map(({ data }) => data));
const { user, system } = process.cpuUsage(began);
closeSync(file);
encoder.close();
pool.close();
writeFileSync(out, Buffer.concat(units));
console.log((user + system) / 1e6);

function readPicture(n: number): boolean {
  return readSync(file, i420, 0, i420.length, n * i420.length) === i420.length;
}

/** By picture, the quarters that differ from the one before: of a recording the compositor knows them. */
function changedQuarters(): (Part[] | undefined)[] {
  const size = { width: width / 2, height: height / 2 };
  const quarters = [0, size.height].flatMap((y) => [0, size.width].map((x) => ({ x, y, ...size })));
  const before = Buffer.alloc(i420.length);
  const found: (Part[] | undefined)[] = [];
  for (let n = 0; readPicture(n); n++) {
    found.push(n === 0 ? undefined : quarters.filter((quarter) => !isSame(before, quarter)));
    i420.copy(before);
  }
  return found;
}

function isSame(before: Buffer, part: Part): boolean {
  const planes = [
    { from: 0, scale: 1 },
    { from: width * height, scale: 2 },
    { from: (width * height * 5) / 4, scale: 2 },
  ];
  return planes.every(({ from, scale }) => {
    const [stride, bytes] = [width / scale, part.width / scale];
    for (let row = part.y / scale; row < (part.y + part.height) / scale; row++) {
      const at = from + row * stride + part.x / scale;
      if (i420.compare(before, at, at + bytes, at, at + bytes) !== 0) return false;
    }
    return true;
  });
}
