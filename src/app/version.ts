/** The version of this installation, as its package.json has it. */
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

export function ownVersion(): string {
  // What is installed may lie one folder deeper than the source does.
  for (let folder = import.meta.dirname; ; folder = dirname(folder)) {
    const path = join(folder, 'package.json');
    if (existsSync(path)) return String((JSON.parse(readFileSync(path, 'utf8')) as { version?: unknown }).version);
    if (folder === dirname(folder)) return 'unknown';
  }
}
