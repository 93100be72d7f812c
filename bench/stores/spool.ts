import { linkSync, mkdirSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { newSid } from '../../src/kernel/ids.ts';
import { baseName, sliceName } from '../../src/stages/mux/names.ts';

/** What a slice lasts, and when the first of them began. */
export const SLICE_MS = 15_000;
export const BEGAN_MS = Date.UTC(2026, 0, 1);

/** Fills a folder with slices of a recording by their names: one file on the disk, full of zeros, under all of them. */
export function spool(dir: string, files: number, bytes: number): string[] {
  mkdirSync(dir, { recursive: true });
  const base = baseName(newSid(), 'bench');
  const paths = Array.from({ length: files }, (_, i) => join(dir, sliceName(base, BEGAN_MS + i * SLICE_MS)));
  const [first = '', ...others] = paths;
  writeFileSync(first, '');
  truncateSync(first, bytes);
  for (const path of others) linkSync(first, path);
  return paths;
}
