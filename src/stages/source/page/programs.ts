/**
 * The programs that a page is shown and heard with: where they lie, and how each is run, as a user without rights where
 * the server is root, with its last words kept for whoever must know why it ended.
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
/** The path of each. */
export type Programs = Record<Program, string>;

/** Debian's own places. Chromium's is its executable, not the wrapper script before it. */
const FOLDERS = ['/usr/lib/chromium', '/usr/local/bin', '/usr/bin', '/bin'];

/** Where each program lies. Throws a Fault `page-programs-missing`, which names what to install. */
export function findPrograms(folders: readonly string[] = FOLDERS): Programs {
  const names = Object.keys(PACKAGES) as Program[];
  // In /usr/bin lies the wrapper, whose child Chromium would be.
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

/** A user without rights, by number; absent where the server itself has none. */
export type PageUser = { uid: number; gid: number } | undefined;

export type RunningProgram = {
  readonly child: ChildProcess;
  /** Resolves with why it ended, in words. */
  readonly exited: Promise<string>;
  kill(): void;
};

export type RunOptions = {
  args: readonly string[];
  user: PageUser;
  env: Record<string, string>;
  cwd: string;
  /** The child's file descriptors: 1, and those from 3 on. Its standard error is always kept. */
  output?: 'ignore' | 'pipe';
  more?: 'pipe'[];
};

const WORDS_KEPT = 2_000;

export function runProgram(path: string, options: RunOptions): RunningProgram {
  const { args, user, env, cwd, output = 'ignore', more = [] } = options;
  const child = spawn(path, args, { ...user, env, cwd, stdio: ['ignore', output, 'pipe', ...more] });
  let words = '';
  child.stderr?.on('data', (chunk: Buffer) => {
    words = (words + chunk.toString()).slice(-WORDS_KEPT);
  });
  const name = path.split('/').at(-1);
  const exited = new Promise<string>((resolve) => {
    child.once('error', (error) => resolve(`${name} could not be run: ${error.message}`));
    child.once('close', (code, signal) =>
      resolve(`${name} ended with ${signal ?? `exit code ${code}`}${words ? `: ${words.trim()}` : ''}`),
    );
  });
  return { child, exited, kill: () => void child.kill('SIGKILL') };
}

export function pidsOf(...programs: RunningProgram[]): number[] {
  return programs.flatMap(({ child: { pid } }) => pid ?? []);
}

/** The first line that a program writes to a descriptor of its own. Rejects with a Fault when it ends before. */
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

/** What a page is shown and heard with does not work; another attempt may find it working. */
export function engineFault(why: string, cause?: unknown): Fault {
  return new Fault('page-engine-failed', why, { blame: 'self', retryable: true, cause });
}
