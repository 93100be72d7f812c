import { existsSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { beforeEach, expect, onTestFinished, test } from 'vitest';
import { S3Stub } from '../../test/support/s3-stub.ts';
import { loadConfig } from '../config/load.ts';
import { systemClock } from '../kernel/clock.ts';
import { openBackup } from './backup.ts';

let dir: string;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-backup-'));
  onTestFinished(() => rmSync(dir, { recursive: true, force: true }));
});

async function open(settings: object) {
  const backup = await openBackup({ ...loadConfig({ env: {}, cwd: dir }), ...settings });
  onTestFinished(() => backup.close());
  return backup;
}

test('a backup folder is tried without a trace', async () => {
  const backup = await open({ backupDir: join(dir, 'backup') });
  expect(await backup.test('id_test', systemClock)).toBeUndefined();
  expect(existsSync(join(dir, 'backup'))).toBe(false);
});

test('a backup folder that cannot be made is told before it is needed', async () => {
  writeFileSync(join(dir, 'file'), 'in the way');
  const backup = await open({ backupDir: join(dir, 'file', 'backup') });
  expect((await backup.test('id_test', systemClock))?.message).toMatch(/^local folder .*file.backup: /);
});

test('a backup bucket with a wrong key is told before it is needed, and a good one is left as it was', async () => {
  const stub = await S3Stub.start();
  onTestFinished(() => stub.close());
  const wrong = await open({ backupStorage: stub.storage({ secretKey: 'wrong' }) });
  expect((await wrong.test('id_test', systemClock))?.message).toMatch(/SignatureDoesNotMatch.*check accessKey/);
  const good = await open({ backupStorage: stub.storage() });
  expect(await good.test('id_test', systemClock)).toBeUndefined();
  expect(stub.actions()).toContain('PutObject id_test');
  expect(stub.objects.size).toBe(0);
});
