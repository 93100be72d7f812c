/**
 * The environment of child processes, and what of our own a library reads that is loaded later.
 */

/** Ours without the settings, among which are secrets that a child has no use for, and what it needs besides. */
export function childEnvironment(more: Record<string, string>): Record<string, string | undefined> {
  const plain = Object.entries(process.env).filter(([name]) => !name.startsWith('AIRCHECK_'));
  return { ...Object.fromEntries(plain), ...more };
}

/** All of ours and what is needed besides, for a process that takes the place of this one. */
export function environmentWith(more: Record<string, string>): NodeJS.ProcessEnv {
  return { ...process.env, ...more };
}

/** Sets a variable of this process, also for the C libraries in it. */
export function setVariable(name: string, value: string): void {
  process.env[name] = value;
}
