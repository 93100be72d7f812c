/** The environment of child processes, and variables of our own process that libraries read when they are loaded. */

/**
 * Our environment without the settings, some of which are secrets that no child needs, and with what the child needs
 * besides.
 */
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
