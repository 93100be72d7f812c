import { createHash, randomBytes } from 'node:crypto';
import { on } from 'node:events';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Worker } from 'node:worker_threads';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { DigestAnswer, DigestTask } from './digest-worker.ts';

let dir: string;
let worker: Worker;
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'aircheck-digest-'));
  worker = new Worker(join(import.meta.dirname, 'digest-worker.ts'));
});
afterEach(async () => {
  await worker.terminate();
  rmSync(dir, { recursive: true, force: true });
});

/** Asks for the digests of files at once, and returns the answers in that order. */
async function ask(paths: string[]): Promise<DigestAnswer[]> {
  const answers: DigestAnswer[] = [];
  const messages = on(worker, 'message');
  for (const [id, path] of paths.entries()) worker.postMessage({ id, task: { path } } satisfies DigestTask);
  for await (const [answer] of messages) if (answers.push(answer as DigestAnswer) === paths.length) break;
  return answers.toSorted((a, b) => a.id - b.id);
}

function made(name: string, bytes: number): { path: string; answer: object } {
  const data = randomBytes(bytes);
  const path = join(dir, name);
  writeFileSync(path, data);
  return { path, answer: { bytes, sha256: createHash('sha256').update(data).digest('hex') } };
}

test('files of any size that are asked for at once are digested whole, and one that is missing spoils no other', async () => {
  const files = [0, 1, 2 ** 20 - 1, 2 ** 20, 3 * 2 ** 20 + 7].map((bytes, n) => made(`${n}`, bytes));
  const [missing, ...others] = await ask([join(dir, 'missing'), ...files.map(({ path }) => path)]);
  expect(missing).toMatchObject({ error: expect.stringContaining('ENOENT') });
  expect(others).toEqual(files.map(({ answer }, n) => ({ id: n + 1, answer })));
});

test('files without end take no more memory than a few', async () => {
  const { path } = made('slice', 400_000);
  const heldMb = async () => (await worker.getHeapStatistics()).external_memory / 2 ** 20;
  await ask(Array<string>(5).fill(path));
  const before = await heldMb();
  let most = 0;
  for (let n = 0; n < 40; n++) {
    await ask([path]);
    most = Math.max(most, (await heldMb()) - before);
  }
  expect(most).toBeLessThan(4);
});
