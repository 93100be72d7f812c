/**
 * The environment of a child process: ours, and what the child needs besides.
 */
export function childEnvironment(more: Record<string, string>): Record<string, string | undefined> {
  return { ...process.env, ...more };
}
