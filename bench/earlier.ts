/**
 * Which commit is measured, and an earlier one of this repository to measure beside it.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

const ROOT = join(import.meta.dirname, '..');

/** Lets `measure` work with a checkout of `commit`, which is gone afterwards. */
export async function withCheckout<T>(commit: string, measure: (checkout: string) => Promise<T>): Promise<T> {
  const checkout = checkOut(commit);
  try {
    return await measure(checkout);
  } finally {
    rmSync(checkout, { recursive: true, force: true });
  }
}

/** The commit that is measured; `+` behind it says that files were changed since. */
export function describeCommit(): string {
  const { stdout } = spawnSync('git', ['describe', '--always', '--dirty=+', '--exclude=*'], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  return stdout.trim() || 'unknown';
}

/** The repository as it was, with the packages of now. Throws an Error where git does not have that commit. */
function checkOut(commit: string): string {
  const dir = mkdtempSync(join(tmpdir(), 'aircheck-before-'));
  const run = spawnSync('sh', ['-c', 'git archive "$1" | tar -x -C "$2"', 'sh', commit, dir], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  if (run.status !== 0 || run.stderr) {
    rmSync(dir, { recursive: true, force: true });
    throw new Error(`commit ${commit} cannot be had: ${run.stderr || run.error?.message}`);
  }
  symlinkSync(join(ROOT, 'node_modules'), join(dir, 'node_modules'));
  // As `npm start` has it; earlier commits have none.
  const bundle = join(dir, 'scripts/bundle.ts');
  if (existsSync(bundle)) execFileSync(process.execPath, [bundle, '--if-changed'], { stdio: 'inherit' });
  return dir;
}
