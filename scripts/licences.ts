/** The licences of what others have written and a bundler has put into files of ours. */
import { globSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** A module of a library, wherever that lies: the last folder counts, because one may lie in that of another. */
const MODULE = /^(.*\/node_modules\/((?:@[^/]+\/)?[^/]+))\//;

/** The texts for the libraries that these modules are of. Throws an Error where one comes without. */
export function licencesOf(modules: Iterable<string>): string {
  const folders = new Map<string, string>();
  for (const module of modules) {
    const [, folder, name] = MODULE.exec(module) ?? [];
    if (folder !== undefined && name !== undefined) folders.set(name, folder);
  }
  const texts = [...folders].toSorted().map(([name, folder]) => {
    const { version, license } = JSON.parse(readFileSync(join(folder, 'package.json'), 'utf8'));
    const [file] = globSync('LICEN[CS]E*', { cwd: folder });
    if (!file) throw new Error(`${name} comes without the text of its licence`);
    return `${name} ${version} (${license})\n\n${readFileSync(join(folder, file), 'utf8').trim()}\n`;
  });
  return `These files contain code of others:\n\n${texts.join('\n\n')}`;
}
