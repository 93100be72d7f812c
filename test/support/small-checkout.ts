/** A checkout that has a little child, what makes its bundle (ADR 0047), and the libraries of this one for that. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { cpSync, globSync, mkdirSync, readdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';

const ROOT = join(import.meta.dirname, '../..');
const BUNDLE = 'scripts/bundle.ts';
const CHILD = 'src/app/cli/child.ts';

export class SmallCheckout {
  readonly root: string;
  /** Where its bundles are kept. */
  readonly bundles: string;

  constructor(root: string) {
    this.root = root;
    this.bundles = join(root, 'node_modules/.cache/aircheck/children');
    for (const file of globSync(['scripts/*.ts', 'src/app/bundled.ts', 'src/kernel/*.ts'], { cwd: ROOT }))
      if (!file.endsWith('.test.ts')) cpSync(join(ROOT, file), join(root, file), { recursive: true });
    this.write('package.json', '{"type":"module"}');
    this.write('package-lock.json', '{}');
    mkdirSync(join(root, 'node_modules'));
    for (const name of ['zod', 'node-av', 'rolldown'])
      symlinkSync(join(ROOT, 'node_modules', name), join(root, 'node_modules', name));
    this.says('hello');
  }

  /** Has a library lie as pnpm lays it out: a link into a folder of its own, and beside it what it needs itself. */
  layOut(name: string, beside: string): void {
    const home = `.pnpm/${name}@1/node_modules`;
    const own = join(this.root, 'node_modules');
    cpSync(join(ROOT, 'node_modules', name), join(own, home, name), { recursive: true });
    symlinkSync(join(ROOT, 'node_modules', beside), join(own, home, beside));
    rmSync(join(own, name));
    symlinkSync(join(home, name), join(own, name));
  }

  /** Changes what its child prints, behind what Zod and node-av have made of it. */
  says(words: string): void {
    this.write(
      CHILD,
      `import { AVERROR_EOF } from 'node-av/constants';\nimport { z } from 'zod';\n` +
        `console.log(z.string().parse('${words}'), AVERROR_EOF);\n`,
    );
  }

  write(name: string, text: string): void {
    mkdirSync(dirname(join(this.root, name)), { recursive: true });
    writeFileSync(join(this.root, name), text);
  }

  /** Makes the bundle, as every `npm` command does. */
  bundle(as: { uid?: number } = {}): { status: number | null; stderr: string } {
    return spawnSync(process.execPath, [BUNDLE, '--if-changed'], { cwd: this.root, encoding: 'utf8', ...as });
  }

  /** Begins to make it. */
  bundling(): ChildProcess {
    return spawn(process.execPath, [BUNDLE, '--if-changed'], { cwd: this.root, stdio: ['ignore', 'ignore', 'pipe'] });
  }

  /** The script that a server of this checkout starts its children with. */
  entry(as: { uid?: number } = {}): string {
    const script = `import { childEntry } from './src/app/bundled.ts'; process.stdout.write(childEntry())`;
    const words = ['--input-type=module', '--eval', script];
    return execFileSync(process.execPath, words, { cwd: this.root, encoding: 'utf8', ...as });
  }

  /** What a bundle's child prints. */
  heard(bundle: string): string {
    return execFileSync(process.execPath, [join(bundle, 'child.js')], { encoding: 'utf8' }).split(' ')[0] ?? '';
  }

  /** The names of all that lies where bundles are kept. */
  names(): string[] {
    return readdirSync(this.bundles);
  }
}
