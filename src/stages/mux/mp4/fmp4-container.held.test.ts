/**
 * Fragmented MP4 slices of sound, judged by the ffmpeg and ffprobe programs and read back.
 */
import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { readBoxes } from '../../../../test/support/judge/probe.ts';
import { makeAacSamples } from '../../../../test/support/media/made-samples.ts';
import type { Segment } from '../../../media/segment.ts';
import { readSamples, type SliceSample } from '../read-slices.ts';
import { Slices } from '../slices.ts';
import { Fmp4Container } from './fmp4-container.ts';

const run = promisify(execFile);
const ZERO = Date.UTC(2026, 0, 2, 3, 4, 5, 678);
let dir: string;

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-fmp4-'));
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

const { samples, config } = makeAacSamples({ fromS: 45, seconds: 20, channels: 1 });

function begin(files: Segment[]): Slices {
  return new Slices(
    { dir, baseName: 'x', kinds: ['audio'], zeroUtcMs: ZERO, onFile: (file) => void files.push(file) },
    () => new Fmp4Container({ sampleRate: 48_000, channels: 1, extradata: config }),
  );
}

async function read(name: string): Promise<SliceSample[]> {
  const found: SliceSample[] = [];
  for await (const sample of readSamples(join(dir, name))) found.push(sample);
  return found;
}

test('each file is whole by itself, at the recording’s own times', async () => {
  const files: Segment[] = [];
  const slices = begin(files);
  for (const sample of samples) slices.write(sample);
  await slices.finish();
  expect(files.length).toBe(2);
  const all: SliceSample[] = [];
  for (const { name, startUtcMs, durationUs } of files) {
    const path = join(dir, name);
    const types = readBoxes(path).map((box) => box.type);
    expect(types.slice(0, 4)).toEqual(['ftyp', 'moov', 'moof', 'mdat']);
    const { stderr } = await run('/usr/bin/ffmpeg', ['-v', 'warning', '-xerror', '-i', path, '-f', 'null', '-']);
    expect(stderr).toBe('');
    const { stdout } = await run('/usr/bin/ffprobe', [
      ...['-v', 'error', '-show_entries', 'packet=pts_time', '-of', 'csv=p=0', '-read_intervals', '%+#1', path],
    ]);
    expect(Number.parseFloat(stdout)).toBeCloseTo((startUtcMs - ZERO) / 1000, 2);
    const found = await read(name);
    expect(found.reduce((sum, s) => sum + s.durationUs, 0) / 1e6).toBeCloseTo(durationUs / 1e6, 3);
    all.push(...found);
  }
  expect(all.length).toBe(samples.length);
  all.forEach(({ ptsUs, data, config: found }, i) => {
    expect(Math.abs(ptsUs - samples[i]!.ptsUs)).toBeLessThanOrEqual(11);
    expect(data.equals(samples[i]!.data)).toBe(true);
    expect(found?.subarray(0, 2)).toEqual(config.subarray(0, 2));
  });
});

test('a crash loses no more than a quarter of a second', async () => {
  const slices = begin([]);
  for (const sample of samples.slice(0, 300)) slices.write(sample);
  const found = await read('x_20260102030450657.m4s.part');
  expect(samples[299]!.dtsUs - found.at(-1)!.dtsUs).toBeLessThanOrEqual(260_000);
  expect(readFileSync(join(dir, 'x_20260102030450657.m4s.part')).length).toBeGreaterThan(1000);
  slices.close();
});

test('a folder that is not there is a fault that names the file', () => {
  const container = new Fmp4Container({ sampleRate: 48_000, channels: 1, extradata: config });
  expect(() => container.begin(join(dir, 'none/x.m4s.part'))).toThrow(/creating x\.m4s/);
  container.close();
  container.close();
});
