/**
 * Makes one bundle of the code of the server's children (ADR 0047): ours, Zod, and what of node-av is JavaScript.
 *
 *   bundle.ts --if-changed    for this checkout, in node_modules/.cache, unless it is there
 *   bundle.ts DIR             into DIR, for the npm package, with the licences of what is not ours
 */
import { readFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { BUNDLED, bundleFolder } from '../src/app/bundled.ts';
import { messageOf } from '../src/kernel/fault.ts';
import { keepBundle, writeFiles } from './keep-bundle.ts';
import { licencesOf } from './licences.ts';

const ROOT = join(import.meta.dirname, '..');

const [word] = process.argv.slice(2);
if (word === undefined) throw new Error('usage: bundle.ts --if-changed | DIR');
try {
  if (word === '--if-changed') await keepBundle(() => bundleFolder(ROOT), filesOfBundle);
  else writeFiles(word, await filesOfBundle(resolve(word)));
} catch (error) {
  process.stderr.write(`aircheck: ${messageOf(error)}\n`);
  process.exitCode = 1;
}

/**
 * What its files hold, by their names.
 * @param dir where they are to lie, from where their maps name the sources
 */
async function filesOfBundle(dir: string): Promise<Map<string, string>> {
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
        transform: (text, path) => {
          const code = withPlace(text, path);
          // Its lines are the same.
          return code === null ? null : { code, map: null };
        },
      },
    ],
  });
  // Without comments: each process holds its source as long as it lives.
  const { output } = await bundle.generate({
    ...{ dir, format: 'esm', comments: false, chunkFileNames: '[name].js' },
    // For stacks, and for whoever looks into a recorder with a debugger. No process reads them until then.
    ...{ sourcemap: true, sourcemapExcludeSources: true },
  });
  await bundle.close();
  return new Map([
    ...output.map((file) => [file.fileName, file.type === 'chunk' ? file.code : String(file.source)] as const),
    ['LICENSES.txt', licencesOf(output.flatMap((file) => (file.type === 'chunk' ? Object.keys(file.modules) : [])))],
    // Where nothing else says so, files are CommonJS.
    ['package.json', `${JSON.stringify({ type: 'module', bundled: Object.fromEntries(BUNDLED.map(versionOf)) })}\n`],
  ]);
}

function versionOf(name: string): [string, string] {
  return [name, JSON.parse(readFileSync(join(ROOT, 'node_modules', name, 'package.json'), 'utf8')).version];
}

/** A module whose own place is asked for in a way that holds in the bundle too, or an Error where there is none. */
function withPlace(code: string, path: string): string | null {
  const asked = /import\.meta\.(dirname|filename|url)/.exec(code.replaceAll('createRequire(import.meta.url)', ''));
  // The last, because a library may lie in that of another, or in a store of pnpm.
  const [, name, rest] = /.*\/node_modules\/((?:@[^/]+\/)?[^/]+)\/(.*)/.exec(path) ?? [];
  if (name === undefined) {
    if (asked) throw new Error(`${relative(ROOT, path)} asks for its own place, which is another one in a bundle`);
    return null;
  }
  if (!code.includes('import.meta.url')) return null;
  const { main } = JSON.parse(readFileSync(join(ROOT, 'node_modules', name, 'package.json'), 'utf8'));
  const fromMain = relative(dirname(main), rest as string);
  return code.replaceAll('import.meta.url', `new URL('${fromMain}', import.meta.resolve('${name}')).href`);
}
