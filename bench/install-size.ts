/**
 * What the npm packages take on the disk: those that the server runs on, and all with those of development.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { z } from 'zod';
import { atMost, type Figure } from './measure.ts';

/** Somewhat more than it was when this was first measured: what makes it larger wants a reason. */
const LIMIT_MB = 400;

const ROOT = join(import.meta.dirname, '..');
const lockSchema = z.object({ packages: z.record(z.string(), z.object({ dev: z.boolean().optional() })) });

export async function measureInstallSize(): Promise<Figure[]> {
  const { packages } = lockSchema.parse(JSON.parse(readFileSync(join(ROOT, 'package-lock.json'), 'utf8')));
  // The project itself has an empty name. Packages for other machines are listed too, and are not there.
  const installed = Object.entries(packages).filter(([path]) => path !== '' && existsSync(join(ROOT, path)));
  const sizes = installed.map(([path, { dev }]) => ({ dev: dev === true, bytes: bytesIn(join(ROOT, path)) }));
  if (!sizes.some(({ dev }) => dev)) throw new Error('the packages of development are not installed');
  const mbOf = (list: typeof sizes) => list.reduce((sum, { bytes }) => sum + bytes, 0) / 1e6;
  // The empty database, compiled code and bundles, which are made when they are missing.
  const cache = join(ROOT, 'node_modules/.cache/aircheck');
  const madeMb = existsSync(cache) ? (bytesIn(cache) / 1e6).toFixed(0) : '0';
  const detail = `${installed.length} packages; ${mbOf(sizes).toFixed(0)} MB with those of development; beside them ${madeMb} MB that setup and servers have made`;
  return [
    atMost('npm packages that the server runs on', mbOf(sizes.filter(({ dev }) => !dev)), LIMIT_MB, 'MB', detail),
  ];
}

/** What a package takes of the disk, without those that lie in its own node_modules, which are listed themselves. */
function bytesIn(folder: string): number {
  let bytes = 0;
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name);
    if (entry.isDirectory() && entry.name !== 'node_modules') bytes += bytesIn(path);
    // Files take whole blocks, counted in 512 bytes.
    else if (entry.isFile()) bytes += statSync(path).blocks * 512;
  }
  return bytes;
}
