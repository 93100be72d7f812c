/** Runs `aircheck` as a customer's shell does, from its sources. */
import { type ExecFileException, execFile } from 'node:child_process';
import { join } from 'node:path';

const MAIN = join(import.meta.dirname, '../../src/app/cli/main.ts');

type Said = { code: number; stdout: string; stderr: string };

/**
 * Resolves once the command has ended, whatever its exit code.
 * @param settings AIRCHECK_… variables; none of this process is passed on
 */
export function runCommand(settings: Record<string, string>, ...words: string[]): Promise<Said> {
  const clean = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('AIRCHECK_')));
  return new Promise((resolve) => {
    execFile(
      process.execPath,
      [MAIN, ...words],
      { env: { ...clean, ...settings } },
      (error: ExecFileException | null, stdout, stderr) => resolve({ code: Number(error?.code ?? 0), stdout, stderr }),
    );
  });
}
