/**
 * How soon the files of a long composite are there when it ends: two hours of picture and sound through the writers of
 * a recording, from the last sample to the last file that is finished and synced; and that of a minute beside it.
 */
import { closeSync, fsyncSync, mkdtempSync, openSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { EncodedSample } from '../src/media/sample.ts';
import type { Segment, WholeFile } from '../src/media/segment.ts';
import { Mp4Files } from '../src/stages/mux/mp4/mp4-files.ts';
import { TsSlices } from '../src/stages/mux/ts/ts-slices.ts';
import { VideoEncoder } from '../test/support/media/encode.ts';
import { MadePicture } from '../test/support/media/made-media.ts';
import { makeAacSamples } from '../test/support/media/made-samples.ts';
import { RED } from '../test/support/media/participants.ts';
import { atMost, type Figure } from './measure.ts';
import { BITRATE_KBPS, CANVAS } from './stage.ts';

const TWO_HOURS_S = 7200;
const MINUTE_S = 60;
/** Media that is written again and again. */
const LOOP_S = 15;
const KEY_INTERVAL_S = 3;
/** What a kernel may hold back of a file before it writes it to the disk by itself. */
const UNWRITTEN_S = 30;
const RATE = 48_000;
const BLOCK = 1024;
/** As of the API: a file ends after two hours, or at two gigabytes. */
const LIMIT = { durationMs: 1000 * TWO_HOURS_S + 1000, bytes: 2_000_000_000 };

type Media = { pictures: EncodedSample[]; sounds: EncodedSample[]; extradata: Buffer; config: Buffer };
type End = { endMs: number; bytes: number };

export async function measureLongEnd(): Promise<Figure[]> {
  const media = makeMedia();
  const short = await endOf(MINUTE_S, media);
  const long = await endOf(TWO_HOURS_S, media);
  const told = ({ endMs, bytes }: End) => `${endMs.toFixed(0)} ms (${(bytes / 1e6).toFixed(0)} MB)`;
  const detail = `${told(long)}; of a minute ${told(short)}`;
  return [atMost('last sample → last file of a composite of two hours', long.endMs / 1000, 3, 's', detail)];
}

function makeMedia(): Media {
  const { width, height, fps } = CANVAS;
  const coding = { codec: 'h264', use: 'file', globalHeader: false, bFrames: 0 } as const;
  const gopFrames = KEY_INTERVAL_S * fps;
  const encoder = new VideoEncoder({ ...coding, width, height, fps, bitrateKbps: BITRATE_KBPS, gopFrames });
  const picture = new MadePicture(RED, { width, height, motion: 'busy' });
  const pictures: EncodedSample[] = [];
  const at = { ptsUs: 0, dtsUs: 0, durationUs: 0 };
  try {
    for (let n = 0; n < LOOP_S * fps; n++) {
      picture.draw((n * 1e6) / fps);
      for (const { data, keyFrame } of encoder.encode(picture.i420, n))
        pictures.push({ kind: 'video', ...at, keyFrame, data });
    }
    for (const { data, keyFrame } of encoder.flush()) pictures.push({ kind: 'video', ...at, keyFrame, data });
  } finally {
    encoder.close();
  }
  const { samples: sounds, config } = makeAacSamples({ fromS: 0, seconds: LOOP_S, channels: 1 });
  return { pictures, sounds, extradata: encoder.context.extraData ?? Buffer.alloc(0), config };
}

/** Writes so many seconds, and measures what the end of them takes. */
async function endOf(seconds: number, { pictures, sounds, extradata, config }: Media): Promise<End> {
  const dir = mkdtempSync(join(tmpdir(), 'aircheck-bench-'));
  const slices: Segment[] = [];
  let bytes = 0;
  const streams = {
    ...{ dir, baseName: 'x', zeroUtcMs: 0, video: { ...CANVAS, extradata } },
    audio: { sampleRate: RATE, channels: 1 as const, extradata: config },
  };
  const ts = new TsSlices({
    ...streams,
    onFile(file) {
      slices.push(file);
      // As when it is stored: two hours of them are as large as the MP4.
      const old = slices.at(-10);
      if (old) rmSync(join(dir, old.name), { force: true });
    },
  });
  const mp4 = new Mp4Files({
    ...{ ...streams, limit: LIMIT, endsSoon: true },
    onFile: (file: WholeFile) => {
      bytes += file.bytes;
    },
  });
  try {
    let sound = 0;
    const write = (sample: EncodedSample) => {
      ts.write(sample);
      mp4.write(sample);
    };
    for (let n = 0; n < seconds * CANVAS.fps; n++) {
      const us = (frame: number) => Math.round((frame * 1e6) / CANVAS.fps);
      const times = { ptsUs: us(n), dtsUs: us(n), durationUs: us(n + 1) - us(n) };
      write({ ...(pictures[n % pictures.length] as EncodedSample), ...times });
      for (; sound * BLOCK < ((n + 1) * RATE) / CANVAS.fps; sound++) {
        const soundUs = (block: number) => Math.round((block * BLOCK * 1e6) / RATE);
        const [from, to] = [soundUs(sound), soundUs(sound + 1)];
        const block = sounds[1 + (sound % (sounds.length - 1))] as EncodedSample;
        write({ ...block, ptsUs: from, dtsUs: from, durationUs: to - from });
      }
      if (n % (10 * CANVAS.fps) === 0) await new Promise((resolve) => setImmediate(resolve));
      if (n === (seconds - UNWRITTEN_S) * CANVAS.fps) syncFilesIn(dir);
    }
    const began = performance.now();
    await Promise.all([ts.finish(), mp4.finish()]);
    return { endMs: performance.now() - began, bytes };
  } finally {
    ts.close();
    mp4.close();
    rmSync(dir, { recursive: true, force: true });
  }
}

/** What was written hours ago is on the disk by now. */
function syncFilesIn(dir: string): void {
  for (const name of readdirSync(dir)) {
    const file = openSync(join(dir, name), 'r');
    fsyncSync(file);
    closeSync(file);
  }
}
