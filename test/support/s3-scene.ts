/**
 * An S3 target beside a stub of a store, and files to send, for as long as a test lasts.
 */
import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { onTestFinished } from 'vitest';
import type { StorageConfig } from '../../src/contract/line/storage.ts';
import { type Clock, systemClock } from '../../src/kernel/clock.ts';
import { openS3 } from '../../src/stages/upload/target/s3.ts';
import type { Target } from '../../src/stages/upload/target/target.ts';
import { S3Stub, type StubDialect } from './s3-stub.ts';

/** Parts as small as S3 allows none: the stub does, and the tests stay quick. */
export const PART = 64 * 1024;

/** A clock whose pauses take no time. */
const hasty: Clock = { ...systemClock, after: (_delayMs, run) => systemClock.after(0, run) };

/** A store that speaks `dialect`, a target for it, and what the target warns of. */
export async function openS3Stub(
  dialect: StubDialect = {},
  { storage = {}, partBytes = PART }: { storage?: Partial<StorageConfig>; partBytes?: number } = {},
) {
  const stub = await S3Stub.start(dialect);
  const warnings: string[] = [];
  const options = { clock: hasty, partBytes, warn: (warning: string) => void warnings.push(warning) };
  const target: Target = openS3(stub.storage(storage), options);
  onTestFinished(async () => {
    target.close();
    await stub.close();
  });
  return { stub, target, warnings };
}

/** A file of so many random bytes, as a recording leaves it on its spool. */
export function spooled(bytes: number) {
  const dir = mkdtempSync(join(tmpdir(), 'aircheck-s3-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
  const data = randomBytes(bytes);
  const path = join(dir, 'x.mp4');
  writeFileSync(path, data);
  return { data, source: { path, bytes } };
}
