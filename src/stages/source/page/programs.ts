/**
 * The programs that show and play a page: where they are, and how each is run: as a user without rights when the server
 * is root, with its last words kept for whoever must know why it ended.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { Fault } from '../../../kernel/fault.ts';

/** Each program with its Debian package. */
const PACKAGES = {
  chromium: 'chromium',
  Xvfb: 'xvfb',
  pulseaudio: 'pulseaudio',
  parec: 'pulseaudio-utils',
  bwrap: 'bubblewrap',
  socat: 'socat',
  setpriv: 'util-linux',
} as const;
type Program = keyof typeof PACKAGES;
/** The path of each program. */
export type Programs = Record<Program, string>;

/** Debian's folders. Chromium's is that of its executable, not of the wrapper script. */
const FOLDERS = ['/usr/lib/chromium', '/usr/local/bin', '/usr/bin', '/bin'];

/** The path of each program. Throws a Fault `page-programs-missing` that names the packages to install. */
export function findPrograms(folders: readonly string[] = FOLDERS): Programs {
  const names = Object.keys(PACKAGES) as Program[];
  // In /usr/bin is only the wrapper, which would start Chromium as its child.
  const foldersOf = (name: Program) => (name === 'chromium' ? folders.slice(0, 1) : folders);
  const found = names.map((name) =>
    foldersOf(name)
      .map((dir) => join(dir, name))
      .find((path) => existsSync(path)),
  );
  const missing = names.filter((_, i) => found[i] === undefined);
  if (missing.length > 0) {
    const packages = missing.map((name) => PACKAGES[name]).join(' ');
    const message = `recording web pages needs ${missing.join(', ')}: apt-get install --no-install-recommends ${packages}`;
    throw new Fault('page-programs-missing', message, { blame: 'self' });
  }
  return Object.fromEntries(names.map((name, i) => [name, found[i]])) as Programs;
}

/** A user without rights, by number; undefined when the server itself has none. */
export type PageUser = { uid: number; gid: number } | undefined;

export type RunningProgram = {
  readonly child: ChildProcess;
  /** Resolves with why it ended, in words. */
  readonly exited: Promise<string>;
  kill(): void;
};

export type RunOptions = {
  /** Sent to it when this process ends, however that may be. */
  atOurEnd: 'KILL' | 'TERM';
  args: readonly string[];
  user: PageUser;
  env: Record<string, string>;
  cwd: string;
  /** The child's file descriptors: 1, and those from 3 on. Its standard error is always kept. */
  output?: 'ignore' | 'pipe';
  more?: 'pipe'[];
};

const WORDS_KEPT = 2_000;

export function runProgram(programs: Programs, name: Program, options: RunOptions): RunningProgram {
  const { atOurEnd, args, user, env, cwd, output = 'ignore', more = [] } = options;
  const words = ['--pdeathsig', atOurEnd, programs[name], ...args];
  const child = spawn(programs.setpriv, words, { ...user, env, cwd, stdio: ['ignore', output, 'pipe', ...more] });
  let said = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    said = (said + chunk.toString()).slice(-WORDS_KEPT);
  });
  const exited = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(`${name} could not be run: ${error.message}`));
    child.once('close', (code, signal) =>
      resolve(`${name} ended with ${signal ?? `exit code ${code}`}${said ? `: ${said.trim()}` : ''}`),
    );
  });
  return { child, exited, kill: () => void child.kill('SIGKILL') };
}

export function pidsOf(...programs: RunningProgram[]): number[] {
  return programs.flatMap(({ child: { pid } }) => pid ?? []);
}

/**
 * The first line that a program writes to one of its descriptors. Rejects with a Fault when the program ends before.
 */
export function firstLine({ child, exited }: RunningProgram, descriptor: number): Promise<string> {
  const stream = child.stdio[descriptor];
  return new Promise((resolve, reject) => {
    let text = '';
    stream?.on('data', (chunk: Buffer) => {
      text += chunk.toString();
      const end = text.indexOf('\n');
      if (end >= 0) resolve(text.slice(0, end));
    });
    void exited.then((why) => reject(engineFault(why)));
  });
}

/** A program that shows or plays a page failed; another attempt may succeed. */
export function engineFault(why: string, cause?: unknown): Fault {
  return new Fault('page-engine-failed', why, { blame: 'self', retryable: true, cause });
}
