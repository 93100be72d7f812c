/**
 * WebM slices judged by strangers' readers (the ffmpeg and ffprobe programs, Chromium) and read back.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { makeVideoSamples } from '../../../../test/support/media/made-samples.ts';
import type { EncodedSample } from '../../../media/sample.ts';
import type { Segment } from '../../../media/segment.ts';
import { probeSlice, readSamples, type SliceSample } from '../read-slices.ts';
import { Slices } from '../slices.ts';
import { type WebmCodec, WebmContainer } from './webm-container.ts';

const run = promisify(execFile);
const ZERO = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
const SIZE = { width: 320, height: 180 };
const CODECS: WebmCodec[] = ['vp8', 'vp9', 'av1'];
let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-webm-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

function begin(codec: WebmCodec, files: Segment[] = []): Slices {
  return new Slices(
    {
      ...{ dir, baseName: 'x', kinds: ['video'], zeroUtcMs: ZERO, shape: { ...SIZE, rotate: 0 }, forced: false },
      onFile: (file) => void files.push(file),
    },
    () => new WebmContainer(codec),
  );
}

async function record(codec: WebmCodec, samples: EncodedSample[]): Promise<Segment[]> {
  const files: Segment[] = [];
  const slices = begin(codec, files);
  for (const sample of samples) slices.write(sample);
  await slices.finish();
  return files;
}

async function read(name: string): Promise<SliceSample[]> {
  const found: SliceSample[] = [];
  for await (const sample of readSamples(join(dir, name))) found.push(sample);
  return found;
}

/** Every complaint of a full decode, as ffmpeg words it. */
async function complaints(name: string): Promise<string> {
  const { stderr } = await run('/usr/bin/ffmpeg', [
    '-v',
    'warning',
    '-xerror',
    '-i',
    join(dir, name),
    '-f',
    'null',
    '-',
  ]);
  return stderr;
}

describe.each(CODECS)('slices of %s', (codec) => {
  test('are each whole, at the recording’s own times', async () => {
    const sent = makeVideoSamples({ codec, ...SIZE, fromS: 45, seconds: 34, gopS: 3, unsteady: true });
    const files = await record(codec, sent);
    expect(files.map(({ name }) => name)).toEqual([
      'x_20260102030450678.webm',
      'x_20260102030505684.webm',
      'x_20260102030523678.webm',
    ]);
    const all: SliceSample[] = [];
    for (const { name, startUtcMs, durationUs } of files) {
      expect(await complaints(name), name).toBe('');
      const { stdout } = await run('/usr/bin/ffprobe', [
        ...['-v', 'error', '-count_packets', '-of', 'json', join(dir, name)],
        ...['-show_entries', 'format=start_time,duration:stream=codec_name,width,height,nb_read_packets'],
      ]);
      const { format, streams } = JSON.parse(stdout) as {
        format: { start_time: string; duration: string };
        streams: Record<string, unknown>[];
      };
      const startS = (startUtcMs - ZERO) / 1000;
      expect(Number(format.start_time)).toBe(startS);
      expect(Number(format.duration)).toBeCloseTo(startS + durationUs / 1e6, 2);
      const found = await read(name);
      expect(streams).toEqual([{ codec_name: codec, ...SIZE, nb_read_packets: String(found.length) }]);
      expect(found[0]).toMatchObject({ codec, keyFrame: true });
      all.push(...found);
    }
    expect(all.length).toBe(sent.length);
    all.forEach((sample, i) => {
      const { ptsUs, keyFrame, data } = sent[i]!;
      expect(sample.ptsUs).toBe(Math.round(ptsUs / 1000) * 1000);
      expect(sample.keyFrame).toBe(keyFrame);
      // Temporal delimiters are not kept.
      expect(sample.data.equals(codec === 'av1' && data[0] === 0x12 ? data.subarray(2) : data)).toBe(true);
    });
  });

  test('seek by their index', async () => {
    const [file] = await record(codec, makeVideoSamples({ codec, ...SIZE, fromS: 45, seconds: 14, gopS: 2 }));
    const { stdout } = await run('/usr/bin/ffprobe', [
      ...['-v', 'error', '-read_intervals', '51.5%+#1', '-show_entries', 'packet=pts_time,flags', '-of', 'csv=p=0'],
      join(dir, file!.name),
    ]);
    expect(stdout.trim()).toMatch(/^51\.000000,K/);
  });

  test('lose no more than a quarter of a second to a crash', async () => {
    const sent = makeVideoSamples({ codec, ...SIZE, fromS: 45, seconds: 8, unsteady: true });
    const slices = begin(codec);
    const torn = join(dir, 'torn.webm');
    for (const [n, sample] of sent.entries()) {
      slices.write(sample);
      if (n % 7 !== 6) continue;
      writeFileSync(torn, readFileSync(join(dir, readdirSync(dir).find((name) => name.endsWith('.part'))!)));
      const found = await read('torn.webm');
      expect(sample.dtsUs - (found.at(-1)?.dtsUs ?? 45e6)).toBeLessThanOrEqual(250_000);
    }
    slices.close();
  });

  test('say how long a picture stands that nothing follows for 8 s', async () => {
    const sent = makeVideoSamples({ codec, ...SIZE, fromS: 2, seconds: 14, gopS: 3, without: [4, 12] });
    const [file] = await record(codec, sent);
    const { stdout } = await run('/usr/bin/ffprobe', [
      ...['-v', 'error', '-show_entries', 'packet=pts_time,duration_time', '-of', 'csv=p=0', join(dir, file!.name)],
    ]);
    const long = stdout
      .trim()
      .split('\n')
      .map((line) => line.split(',').map(Number))
      .filter(([, duration]) => duration! > 1);
    expect(long).toEqual([[5.933, 8.067]]);
    expect(await complaints(file!.name)).toBe('');
  });
});

test('what is read tells the streams, for MP4s', async () => {
  for (const codec of CODECS) {
    const [file] = await record(codec, makeVideoSamples({ codec, ...SIZE, fromS: 0, seconds: 1 }));
    const { video, audio } = await probeSlice(join(dir, file!.name));
    expect(video).toMatchObject({ codec, ...SIZE });
    expect(video?.extradata?.[0]).toBe(codec === 'av1' ? 0x81 : undefined);
    expect(audio).toBeUndefined();
    rmSync(join(dir, file!.name));
  }
});

test('a slice torn anywhere gives what is whole in it', async () => {
  const sent = makeVideoSamples({ codec: 'vp8', ...SIZE, fromS: 45, seconds: 8 });
  const [file] = await record('vp8', sent);
  const bytes = readFileSync(join(dir, file!.name));
  for (const share of [0.3, 0.61, 0.987]) {
    writeFileSync(join(dir, 'torn.webm'), bytes.subarray(0, Math.floor(bytes.length * share)));
    const found = await read('torn.webm');
    expect(found.length).toBeGreaterThan(sent.length * (share - 0.15));
    expect(found.every(({ data }, i) => data.equals(sent[i]!.data))).toBe(true);
  }
});

test('a file that does not begin with a key frame is refused by name', () => {
  const container = new WebmContainer('vp8');
  container.begin(join(dir, 'x.webm.part'), { ...SIZE, rotate: 0 });
  const [, second] = makeVideoSamples({ codec: 'vp8', ...SIZE, fromS: 0, seconds: 1 });
  expect(() => container.write(second!)).toThrow(/x\.webm does not begin with a key frame/);
  container.close();
  expect(() => container.begin(join(dir, 'none/y.webm.part'), undefined)).toThrow(/creating y\.webm/);
});
