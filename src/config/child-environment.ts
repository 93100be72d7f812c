/**
 * The environment of a child process: ours without the settings, among which are secrets that it has no use for, and
 * what the child needs besides.
 */
export function childEnvironment(more: Record<string, string>): Record<string, string | undefined> {
  const plain = Object.entries(process.env).filter(([name]) => !name.startsWith('AIRCHECK_'));
  return { ...Object.fromEntries(plain), ...more };
}
