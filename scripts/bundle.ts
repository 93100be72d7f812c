/**
 * Makes one bundle of the code of the server's children (ADR 0047): ours, Zod, and what of node-av is JavaScript.
 *
 *   bundle.ts --if-changed    for this checkout, in node_modules/.cache, unless it is there
 *   bundle.ts DIR             into DIR, for the npm package, with the licences of what is not ours
 */
import {
  existsSync,
  globSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { bundleFolder } from '../src/app/bundled.ts';

const ROOT = join(import.meta.dirname, '..');
/** Libraries that become part of it. All others are loaded as they lie in node_modules. */
const BUNDLED = ['zod', 'node-av'];
/** Bundles of earlier sources are kept for servers that still run: all of so many days, and the newest in any case. */
const KEPT = 8;
const KEPT_DAYS = 14;

const [word] = process.argv.slice(2);
if (word === undefined) throw new Error('usage: bundle.ts --if-changed | DIR');
if (word !== '--if-changed') await bundleInto(word);
else {
  const folder = bundleFolder(ROOT);
  if (!existsSync(folder)) {
    const unfinished = `${folder}.${process.pid}`;
    await bundleInto(unfinished);
    try {
      renameSync(unfinished, folder);
    } catch (error) {
      // Somebody else has made it meanwhile: both are the same.
      rmSync(unfinished, { recursive: true });
      if (!existsSync(folder)) throw error;
    }
    removeOld(dirname(folder));
  }
}

async function bundleInto(dir: string): Promise<void> {
  const { rolldown } = await import('rolldown');
  const bundle = await rolldown({
    input: join(ROOT, 'src/app/cli/child.ts'),
    platform: 'node',
    external: (name, _from, isResolved) =>
      !isResolved && !/^[./]/.test(name) && !BUNDLED.some((own) => name === own || name.startsWith(`${own}/`)),
    plugins: [
      {
        name: 'aircheck',
        // As src/kernel/zod-languages.ts has it where nothing is bundled.
        async resolveId(name, from) {
          const isList = name === '../locales/index.js' && from?.includes('/node_modules/zod/');
          return isList ? this.resolve('../locales/en.js', from) : null;
        },
        transform: (code, path) => withPlace(code, path),
      },
    ],
  });
  mkdirSync(dir, { recursive: true });
  // Without comments: each process holds its source as long as it lives.
  const { output } = await bundle.write({ dir, format: 'esm', comments: false, chunkFileNames: '[name].js' });
  await bundle.close();
  const files = output.flatMap((file) => (file.type === 'chunk' ? Object.keys(file.modules) : []));
  writeFileSync(join(dir, 'LICENSES.txt'), licencesOf(files));
  // Where nothing else says so, files are CommonJS.
  writeFileSync(join(dir, 'package.json'), '{"type":"module"}\n');
}

/** A module whose own place is asked for in a way that holds in the bundle too, or an Error where there is none. */
function withPlace(code: string, path: string): string | null {
  const asked = /import\.meta\.(dirname|filename|url)/.exec(code.replaceAll('createRequire(import.meta.url)', ''));
  const [, name, rest] = /\/node_modules\/((?:@[^/]+\/)?[^/]+)\/(.*)/.exec(path) ?? [];
  if (name === undefined) {
    if (asked) throw new Error(`${relative(ROOT, path)} asks for its own place, which is another one in a bundle`);
    return null;
  }
  if (!code.includes('import.meta.url')) return null;
  const { main } = JSON.parse(readFileSync(join(ROOT, 'node_modules', name, 'package.json'), 'utf8'));
  const fromMain = relative(dirname(main), rest as string);
  return code.replaceAll('import.meta.url', `new URL('${fromMain}', import.meta.resolve('${name}')).href`);
}

/** The licences of those libraries whose code is among `files`. */
function licencesOf(files: readonly string[]): string {
  const texts = BUNDLED.filter((name) => files.some((file) => file.includes(`/node_modules/${name}/`))).map((name) => {
    const own = join(ROOT, 'node_modules', name);
    const { version, license } = JSON.parse(readFileSync(join(own, 'package.json'), 'utf8'));
    const [file] = globSync('LICEN[CS]E*', { cwd: own });
    if (!file) throw new Error(`${name} comes without the text of its licence`);
    return `${name} ${version} (${license})\n\n${readFileSync(join(own, file), 'utf8').trim()}\n`;
  });
  return `These files contain code of others:\n\n${texts.join('\n\n')}`;
}

function removeOld(folder: string): void {
  const all = readdirSync(folder).map((name) => ({
    path: join(folder, name),
    madeMs: statSync(join(folder, name)).mtimeMs,
  }));
  const newestFirst = all.sort((a, b) => b.madeMs - a.madeMs);
  const sinceMs = Date.now() - KEPT_DAYS * 86_400_000;
  for (const { path, madeMs } of newestFirst.slice(KEPT))
    if (madeMs < sinceMs) rmSync(path, { recursive: true, force: true });
}
