/**
 * Where the server's children begin: in their code as one bundle, of few files, where there is one of these very
 * sources, and in the sources themselves otherwise (ADR 0047).
 */
import { createHash } from 'node:crypto';
import { existsSync, readdirSync, statSync } from 'node:fs';
import { extname, join } from 'node:path';
import { PACKAGE_CACHE } from '../kernel/package-cache.ts';

const ROOT = join(import.meta.dirname, '../..');
/** The script that a bundle begins with. */
const FIRST = 'child.js';

/** The script that children are started with. Their command, of `cli/children.ts`, follows it. */
export function childEntry(): string {
  const kind = extname(import.meta.filename);
  const bundle = kind === '.ts' ? join(bundleFolder(), FIRST) : join(ROOT, 'dist/children', FIRST);
  return existsSync(bundle) ? bundle : join(import.meta.dirname, `cli/main${kind}`);
}

/**
 * The folder of the bundle of a checkout as it is now. Sources that were touched have another one, so that nothing runs
 * what it was before. Their contents are not read: a server's start would take longer.
 * @param root of the checkout
 */
export function bundleFolder(root = ROOT, cache = PACKAGE_CACHE): string {
  const sources = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.endsWith('.test.ts'))
    .map((name) => `src/${name}`)
    .sort();
  const hash = createHash('sha256');
  for (const name of [...sources, 'package-lock.json', 'scripts/bundle.ts']) {
    const { size, mtimeMs } = statSync(join(root, name));
    hash.update(`${name} ${size} ${mtimeMs}\n`);
  }
  return join(cache, 'children', hash.digest('hex').slice(0, 16));
}
