/**
 * Builds the dashboard into web/dashboard/dist, and packs each file beside it. With `--if-changed` only where its
 * sources are not those that it was built of.
 */
import { createHash } from 'node:crypto';
import { globSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { brotliCompressSync, constants, gzipSync } from 'node:zlib';
import { licencesOf } from './licences.ts';

const ROOT = join(import.meta.dirname, '../web/dashboard');
const DIST = join(ROOT, 'dist');
const STAMP = join(DIST, '.built-of');

const sources = globSync(['index.html', 'src/**/*'], { cwd: ROOT, withFileTypes: true })
  .filter((entry) => entry.isFile())
  .map((entry) => join(entry.parentPath, entry.name))
  .sort();
const hash = createHash('sha256').update(readFileSync(join(ROOT, '../../package-lock.json')));
for (const path of sources) hash.update(path).update(readFileSync(path));
const digest = hash.digest('hex');

if (!process.argv.includes('--if-changed') || readStamp() !== digest) {
  rmSync(DIST, { recursive: true, force: true });
  // Loading it takes longer than finding out that there is nothing to do.
  const { build } = await import('vite');
  const built = await build({
    root: ROOT,
    configFile: false,
    logLevel: 'warn',
    oxc: { jsx: { runtime: 'automatic', importSource: 'preact' } },
    build: {
      outDir: DIST,
      assetsDir: 'dashboard',
      assetsInlineLimit: 0,
      // Browsers that can play what is recorded preload modules by themselves.
      modulePreload: { polyfill: false },
      chunkSizeWarningLimit: 1000,
    },
  });
  const files = [built].flat().flatMap((each) => ('output' in each ? each.output : []));
  const modules = files.flatMap((file) => (file.type === 'chunk' ? Object.keys(file.modules) : []));
  writeFileSync(join(DIST, 'LICENSES.txt'), licencesOf(modules));
  for (const name of globSync(['index.html', 'dashboard/*'], { cwd: DIST })) {
    const path = join(DIST, name);
    const plain = readFileSync(path);
    writeFileSync(`${path}.gz`, gzipSync(plain, { level: 9 }));
    writeFileSync(`${path}.br`, brotliCompressSync(plain, { params: { [constants.BROTLI_PARAM_QUALITY]: 11 } }));
  }
  writeFileSync(STAMP, digest);
}

function readStamp(): string | undefined {
  try {
    return readFileSync(STAMP, 'utf8');
  } catch {
    return undefined;
  }
}
