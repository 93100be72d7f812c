/**
 * How `aircheck serve` comes to be a small process. Flags of V8 and where compiled code lies are told to a process as
 * it starts, by whatever command that was; so it starts a second time, in its place, with the same pid.
 */
import { environmentWith } from '../../config/child-environment.ts';

/**
 * Loading a server's code leaves V8 with 32 MB for young objects, which it would keep. Receiving needs no more than
 * this: what is kept of a packet is kept for seconds, and would be moved out of any such space.
 */
export const SMALL_FLAGS = ['--max-semi-space-size=2', '--optimize-for-size'];
/** Two of glibc's heaps (mallopt(3), M_ARENA_MAX) hold 7 MB less than one for each of the threads. */
const HEAPS = { MALLOC_ARENA_MAX: '2' };
/** Whoever set it themselves wants it so; and it shows the second start. */
const SET_ALREADY = /--max[-_]semi[-_]space[-_]size/;

/**
 * Begins again as a small process, unless this is one. Nothing may have been opened yet.
 * @param compiled folder of compiled code: without compiling TypeScript a server starts sooner, and holds 18 MB less
 */
export function becomeSmall(compiled: string): void {
  const env: NodeJS.ProcessEnv = { ...HEAPS, ...environmentWith({ NODE_COMPILE_CACHE: compiled }) };
  const words = smallArguments({ ...process, nodeOptions: env['NODE_OPTIONS'] });
  // Some systems cannot replace a process: there the server is as large as it comes.
  if (words) process.execve?.(process.execPath, words, env);
}

type Started = Pick<NodeJS.Process, 'argv' | 'execArgv'> & { nodeOptions: string | undefined };

/** What the small process is started with; undefined when nothing is to be changed. */
export function smallArguments({ argv, execArgv, nodeOptions = '' }: Started): string[] | undefined {
  if ([...execArgv, nodeOptions].some((given) => SET_ALREADY.test(given))) return undefined;
  const [node = '', ...script] = argv;
  return [node, ...execArgv, ...SMALL_FLAGS, ...script];
}
