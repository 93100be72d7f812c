import { appendFileSync, linkSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { createRunFolder } from './recording-spool.ts';
import { SpoolUsage } from './spool-usage.ts';

const [FIRST, SECOND] = ['a'.repeat(32), 'b'.repeat(32)] as const;
let root: string;
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'aircheck-usage-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

test('counts what is finished and what is being written, and files that runs share once', async () => {
  const usage = new SpoolUsage(root);
  expect(await usage.measure()).toEqual(new Map());
  const [one, two] = [await createRunFolder(root, FIRST, 1), await createRunFolder(root, FIRST, 2)];
  writeFileSync(join(one, 'x_0.ts'), Buffer.alloc(1000));
  writeFileSync(join(one, 'x_0.mp4.part'), Buffer.alloc(500));
  linkSync(join(one, 'x_0.ts'), join(two, 'x_0.ts'));
  await createRunFolder(root, SECOND, 1);
  mkdirSync(join(root, 'no recording'));
  expect(await usage.measure()).toEqual(
    new Map([
      [FIRST, 1500],
      [SECOND, 0],
    ]),
  );
  appendFileSync(join(one, 'x_0.mp4.part'), Buffer.alloc(250));
  writeFileSync(join(two, 'x_1.ts'), Buffer.alloc(10));
  expect((await usage.measure()).get(FIRST)).toBe(1760);
  rmSync(join(root, FIRST), { recursive: true });
  expect(await usage.measure()).toEqual(new Map([[SECOND, 0]]));
});

test('what cannot be read keeps nothing else from being counted', async () => {
  const one = await createRunFolder(root, FIRST, 1);
  writeFileSync(join(one, 'x_0.ts'), Buffer.alloc(1000));
  writeFileSync(join(root, SECOND), 'no folder at all');
  expect((await new SpoolUsage(root).measure()).get(FIRST)).toBe(1000);
});
