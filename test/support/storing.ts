/**
 * A recording on a spool in a folder of its own, and servers of the test that store it, one after the other, in a stub
 * of a store: what the store and the ledger have in the end is compared with the spool, object by object.
 */
import { createHash, randomBytes } from 'node:crypto';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, onTestFinished } from 'vitest';
import { type Clock, systemClock } from '../../src/kernel/clock.ts';
import type { SpooledFile } from '../../src/media/segment.ts';
import { memoryLedger } from '../../src/stages/upload/ledger.ts';
import { RecordingUpload, type UploadEvent } from '../../src/stages/upload/recording-upload.ts';
import { openS3 } from '../../src/stages/upload/target/s3.ts';
import type { Target } from '../../src/stages/upload/target/target.ts';
import { S3Stub } from './s3-stub.ts';

/** Larger files go in parts of so many bytes. */
export const PART = 64 * 1024;
export const SLICES = 4;
export const fasterBy = (times: number): Clock => ({
  ...systemClock,
  monoUs: () => systemClock.monoUs() * times,
  after: (delayMs, run) => systemClock.after(delayMs / times, run),
});
/** Pauses and time-outs of minutes take a second; an attempt still has some. */
export const quick = fasterBy(50);

/** Slices and an MP4 of many parts, on the spool. */
function spoolRecording(dir: string): SpooledFile[] {
  const write = (name: string, bytes: number) => {
    writeFileSync(join(dir, name), randomBytes(bytes));
    return { name, bytes };
  };
  const slices = Array.from({ length: SLICES }, (_, index): SpooledFile => {
    const place = { index, startUtcMs: index * 15_000, durationUs: 15_000_000, discontinuity: false };
    const more = { playlist: 'x.m3u8', starts: [], rotations: [] };
    return { type: 'slice', ...write(`x_${index}.ts`, 40_000 + index), ...place, ...more };
  });
  const mp4 = { type: 'mp4', index: 0, startUtcMs: 0, durationUs: 60_000_000 } as const;
  return [...slices, { ...mp4, ...write('x_0.mp4', 6 * PART + 11) }];
}

export async function setUpStoring(clock = quick) {
  const dir = mkdtempSync(join(tmpdir(), 'aircheck-storing-'));
  const stub = await S3Stub.start();
  const events: UploadEvent[] = [];
  const warnings: string[] = [];
  const ledger = memoryLedger();
  const files = spoolRecording(dir);
  const targets: Target[] = [];
  const storage = stub.storage();
  onTestFinished(async () => {
    for (const target of targets) target.close();
    await stub.close();
    rmSync(dir, { recursive: true, force: true });
  });
  /** A server that begins to store the recording, with what the one before has kept. */
  const begin = () => {
    const target = openS3(storage, { clock, partBytes: PART, idleTimeoutMs: 300 });
    targets.push(target);
    return new RecordingUpload({
      ...{ target, ledger, prefix: ['p'], clock },
      renderIndex: (_name, rows) =>
        rows
          .flat()
          .map(({ name }) => name)
          .join('\n'),
      log: { info() {}, warn: (_fields, text) => void warnings.push(text) },
      onEvent: (event) => events.push(event),
    });
  };
  const compare = (at = stub) => {
    for (const { name, bytes } of files) {
      const data = readFileSync(join(dir, name));
      expect(at.read(`p/${name}`).equals(data), name).toBe(true);
      expect(ledger.known(name), name).toMatchObject({ key: `p/${name}`, bytes, state: 'stored', evidence: 'digest' });
      if (bytes <= PART) expect(ledger.known(name)?.md5).toBe(createHash('md5').update(data).digest('hex'));
      expect(ledger.known(name)?.parts).toBeUndefined();
    }
    const names = Array.from({ length: SLICES }, (_, index) => `x_${index}.ts`);
    expect(at.read('p/x.m3u8').toString()).toBe(names.join('\n'));
    expect(ledger.known('x.m3u8')).toMatchObject({ state: 'stored', evidence: 'digest' });
    expect([...at.objects.keys()].sort()).toEqual(['p/x.m3u8', ...files.map(({ name }) => `p/${name}`)].sort());
  };
  return { dir, stub, events, warnings, ledger, files, begin, compare };
}
