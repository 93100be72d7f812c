/**
 * Where the server's children begin: in their code as one bundle, of few files, where there is one of these very
 * sources, and in the sources themselves otherwise (ADR 0047).
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { extname, join } from 'node:path';
import { PACKAGE_CACHE } from '../kernel/package-cache.ts';

const ROOT = join(import.meta.dirname, '../..');
/** The script that a bundle begins with. */
const FIRST = 'child.js';
const UNBUNDLED = join(import.meta.dirname, `cli/main${extname(import.meta.filename)}`);
/** Libraries that become part of a bundle. All others are loaded as they lie in node_modules. */
export const BUNDLED = ['zod', 'node-av'];

/** The script that children are started with. Their command, of `cli/children.ts`, follows it. */
export function childEntry(): string {
  const folder = extname(import.meta.filename) === '.ts' ? bundleFolder() : packedBundle();
  return folder === undefined ? UNBUNDLED : present(join(folder, FIRST));
}

/**
 * What to start a child with by now: a bundle lies in a cache, which may be emptied while the server runs, as by the
 * installation of other packages.
 */
export function present(entry: string): string {
  return existsSync(entry) ? entry : UNBUNDLED;
}

/** Whether a script that children are started with is of a bundle. */
export function isBundled(entry: string): boolean {
  return entry !== UNBUNDLED;
}

/**
 * The folder of the bundle of a checkout as it is now: named by what its sources hold. Times would be the same for
 * sources that differ where whatever copied them sets them, and others for the same sources.
 * @param root of the checkout
 */
export function bundleFolder(root = ROOT, cache = PACKAGE_CACHE): string {
  const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
    .map((name) => `src/${name}`)
    .sort();
  // Libraries may be others than the lockfile has, where somebody has installed them by hand.
  const libraries = BUNDLED.map((name) => `node_modules/${name}/package.json`);
  const hash = createHash('sha256');
  for (const name of [...sources, 'scripts/bundle.ts', 'package-lock.json', ...libraries]) {
    const bytes = contentOf(join(root, name));
    if (bytes) hash.update(`${name} ${bytes.length}\n`).update(bytes);
  }
  return join(cache, 'children', hash.digest('hex').slice(0, 16));
}

/**
 * The folder of the bundle that the npm package carries; undefined where it has other versions of libraries than are
 * installed, such as one that was mended, which `overrides` of an installation ask for.
 * @param root of the package
 */
export function packedBundle(root = ROOT): string | undefined {
  const folder = join(root, 'dist/children');
  const { bundled } = JSON.parse(contentOf(join(folder, 'package.json'))?.toString() ?? '{"bundled":{}}');
  const { resolve } = createRequire(join(root, 'package.json'));
  const isInstalled = ([name, version]: [string, unknown]) => {
    const places = resolve.paths(name) ?? [];
    const found = places.map((place) => contentOf(join(place, name, 'package.json'))).find((bytes) => bytes);
    return found !== undefined && JSON.parse(found.toString()).version === version;
  };
  return Object.entries(bundled).every(isInstalled) ? folder : undefined;
}

/** Undefined for what is no file, such as the link to nowhere by which an editor locks a source. */
function contentOf(path: string): Buffer | undefined {
  try {
    return readFileSync(path);
  } catch {
    return undefined;
  }
}
