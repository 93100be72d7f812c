/**
 * Pages: whether this machine can record web pages, what a run that records one is given, and the folder in which each
 * run keeps its browser while it lasts.
 */
import { execFile } from 'node:child_process';
import { chmodSync, chownSync, lstatSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import type { PageGuard, PagePlace, PrepareCommand, Source } from '../contract/line/commands.ts';
import type { GroupHome, PageLimits } from '../contract/line/page-limits.ts';
import type { PageAddress } from '../contract/line/plan.ts';
import { Fault, messageOf } from '../kernel/fault.ts';
import type { PagePort, SessionLog } from '../session/ports.ts';
import { findGroupHome, sweepGroups } from '../stages/source/page/page-group.ts';
import { findPrograms, type PageUser, type Programs } from '../stages/source/page/programs.ts';
import { DISPLAY_NOTE } from '../stages/source/page/screen.ts';
import { probeUserRules, removeUserRules, userOf } from '../stages/source/page/user-rules.ts';
import { identityOf } from '../worker/process-identity.ts';

export type PagesOptions = {
  /** The server's data folder, which no page may see. */
  dataDir: string;
  /** Tells this server's folders from those of other servers (folderIdentity). */
  folder: string;
  /** Addresses and ranges that pages may reach beside public ones. */
  networks: readonly string[];
  guard: PageGuard;
  /** The user that pages run as when the server is root. */
  user: string;
  /** The limits of one page's programs. */
  limits: Omit<PageLimits, 'home'>;
  log: Pick<SessionLog, 'info' | 'warn'>;
};

/** What `loopback` stands for in a list of networks. */
export const LOOPBACK = ['127.0.0.0/8', '::1/128'];
const PROBE_TIMEOUT_MS = 10_000;
/** Names of run folders: the server's process id, then the run's number. */
const RUN_FOLDER = /^(\d+)-\d+$/;

export class Pages implements PagePort {
  readonly refusal: string | undefined;
  readonly #options: PagesOptions;
  readonly #root: string;
  readonly #machine: PageMachine | undefined;
  readonly #home: GroupHome;

  private constructor(
    options: PagesOptions,
    root: string,
    machine: PageMachine | undefined,
    refusal: string | undefined,
  ) {
    this.#options = options;
    this.#root = root;
    this.#machine = machine;
    this.#home = findGroupHome();
    this.refusal = refusal;
  }

  /**
   * Looks at what the machine has, and removes what an earlier server left. When something is missing pages are
   * refused; that is no error.
   */
  static async open(options: PagesOptions): Promise<Pages> {
    const root = join(tmpdir(), `aircheck-pages-${options.folder.slice(0, 16)}`);
    let found: PageMachine | undefined;
    let refusal: string | undefined;
    try {
      found = await examineMachine(options);
      if (!found.sandboxed)
        options.log.warn({ guard: options.guard }, 'web pages are recorded without Chromium’s sandbox');
      makeOwnFolder(root);
    } catch (error) {
      refusal = messageOf(error);
    }
    const pages = new Pages(options, root, found, refusal);
    if (refusal === undefined) {
      pages.sweep();
      options.log.info({}, limitWords(pages.#home));
    }
    return pages;
  }

  sourceOf(page: PageAddress): Source {
    if (this.refusal !== undefined) throw new Fault('pages-refused', this.refusal, { blame: 'self' });
    return { kind: 'page', ...page, ...this.#place() };
  }

  /** The command that has a recorder make a browser ready; undefined when no pages can be recorded. */
  prepareCommand(): PrepareCommand | undefined {
    return this.refusal === undefined ? { type: 'prepare', place: this.#place() } : undefined;
  }

  #place(): PagePlace {
    // Systems remove temporary files that nobody touched for some days, so the folder may be gone.
    makeOwnFolder(this.#root);
    const { networks, dataDir, guard, limits } = this.#options;
    const { user, sandboxed = true } = this.#machine ?? {};
    return {
      limits: { ...limits, home: this.#home },
      root: this.#root,
      hidden: [resolve(dataDir)],
      ...(user && { user }),
      ...{ guard, sandboxed },
      networks: networks.flatMap((range) => (range === 'loopback' ? LOOPBACK : range)),
    };
  }

  #removeRules(uid: number): void {
    removeUserRules(uid).catch((error) =>
      this.#options.log.warn({ uid, error: messageOf(error) }, 'the rules of a page cannot be removed yet'),
    );
  }

  sweep(): void {
    try {
      sweepGroups(this.#home, (name) => !identityOf(Number(name.split('-')[0])));
    } catch (error) {
      this.#options.log.warn({ error: messageOf(error) }, 'control groups of pages that are over cannot be removed');
    }
    for (const name of namesIn(this.#root)) {
      const pid = Number(RUN_FOLDER.exec(name)?.[1] ?? Number.NaN);
      if (Number.isNaN(pid) || identityOf(pid)) continue;
      const dir = join(this.#root, name);
      try {
        removeDisplay(dir);
        rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
        if (this.#options.guard === 'user') this.#removeRules(userOf(pid).uid);
      } catch (error) {
        this.#options.log.warn({ dir, error: messageOf(error) }, 'what a page left cannot be removed yet');
      }
    }
  }
}

/** What pages run with on this machine. */
type PageMachine = {
  programs: Programs;
  /** Undefined when the server has no rights to give up. */
  user: PageUser;
  /** Whether Chromium's own sandbox works. */
  sandboxed: boolean;
};

/** Rejects with a Fault when pages cannot be recorded here, or cannot be kept from networks that are closed to them. */
async function examineMachine({ guard, user: name }: Pick<PagesOptions, 'guard' | 'user'>): Promise<PageMachine> {
  const programs = findPrograms();
  const user = pageUser(name);
  return { programs, user, sandboxed: await probeGuard(guard, programs, user) };
}

/** Whether Chromium's own sandbox works. Rejects with a Fault when the machine cannot provide `guard`. */
export async function probeGuard(guard: PageGuard, programs: Programs, user: PageUser): Promise<boolean> {
  if (guard === 'trust-the-browser') return probeSandbox(programs, user);
  if (guard === 'namespace') await probeNamespaces(programs, user);
  else await probeOwnUser(programs);
  // A user who may make namespaces has all that the sandbox needs.
  return true;
}

/** What keeps pages within their limits, in words. */
export function limitWords(home: GroupHome): string {
  const held = (['memory', 'pids', 'cpu'] as const).filter((name) => home[name] !== undefined);
  if (held.length === 3) return 'pages are held to their limits by control groups';
  const by =
    held.length > 0 ? `only ${held.join(' and ')} of pages can be held by control groups` : 'no control groups';
  const rest =
    'memory and processes are checked every 5 seconds instead, and a page that takes too much CPU makes way for all else';
  return `${by}; ${rest}`;
}

/**
 * The user that pages run as; undefined when the server has no rights to give up. Throws a Fault for a user who does
 * not exist.
 */
export function pageUser(name: string): PageUser {
  if (process.getuid?.() !== 0) return undefined;
  const line = readFileSync('/etc/passwd', 'utf8')
    .split('\n')
    .find((each) => each.startsWith(`${name}:`));
  const [, , uid, gid] = line?.split(':') ?? [];
  if (!Number(uid) || !Number(gid))
    throw new Fault('page-user-unknown', `pageUser ${name} is no user without rights on this machine`, {
      blame: 'self',
    });
  return { uid: Number(uid), gid: Number(gid) };
}

/** Rejects with a Fault when a page cannot have a network of its own. */
export async function probeNamespaces(programs: Programs, user: PageUser): Promise<void> {
  const args = ['--unshare-net', '--unshare-pid', '--unshare-ipc', '--ro-bind', '/', '/', '--', '/bin/true'];
  try {
    await promisify(execFile)(programs.bwrap, args, { ...user, cwd: '/', timeout: PROBE_TIMEOUT_MS });
  } catch (cause) {
    const why = 'pages cannot be kept from this machine’s networks: an unprivileged user may make no namespaces';
    const others = 'The setting pageGuard says what else can keep them';
    const message = `${why} (${messageOf(cause).trim()}). ${others}`;
    throw new Fault('page-namespaces-refused', message, { blame: 'self', cause });
  }
}

/** Rejects with a Fault when a page can have no user and no rules of its own. */
async function probeOwnUser(programs: Programs): Promise<void> {
  if (process.getuid?.() !== 0)
    throw new Fault('page-rules-refused', 'pageGuard user needs a server that runs as root', { blame: 'self' });
  await probeNamespaces(programs, userOf(0));
  await probeUserRules();
}

/** Whether Chromium starts with its own sandbox on: by namespaces, or by its setuid helper. */
async function probeSandbox(programs: Programs, user: PageUser): Promise<boolean> {
  const profile = mkdtempSync(join(tmpdir(), 'aircheck-probe-'));
  if (user) chownSync(profile, user.uid, user.gid);
  const args = ['--headless', `--user-data-dir=${profile}`, '--dump-dom', 'about:blank'];
  const options = { ...user, cwd: '/', env: { HOME: profile }, timeout: PROBE_TIMEOUT_MS };
  try {
    await promisify(execFile)(programs.chromium, args, options);
    return true;
  } catch {
    return false;
  } finally {
    rmSync(profile, { recursive: true, force: true, maxRetries: 5 });
  }
}

/** Makes a folder in a place where other users can make one too. Throws a Fault when one of them did. */
function makeOwnFolder(path: string): void {
  try {
    mkdirSync(path, { mode: 0o711 });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  }
  const found = lstatSync(path);
  if (!found.isDirectory() || found.uid !== process.getuid?.())
    throw new Fault('page-folder-taken', `${path} belongs to another user`, { blame: 'self' });
  chmodSync(path, 0o711);
}

/** An X server that was killed leaves its socket and its lock behind, which keep its number taken. */
function removeDisplay(dir: string): void {
  const number = read(join(dir, DISPLAY_NOTE))?.trim();
  if (number === undefined || !/^\d+$/.test(number)) return;
  const lock = `/tmp/.X${number}-lock`;
  const holder = Number(read(lock)?.trim());
  if (holder && identityOf(holder)) return;
  for (const path of [lock, `/tmp/.X11-unix/X${number}`]) rmSync(path, { force: true });
}

function read(path: string): string | undefined {
  return whereThere(() => readFileSync(path, 'utf8'));
}

function namesIn(folder: string): string[] {
  return whereThere(() => readdirSync(folder)) ?? [];
}

/** What `look` returns of a file or folder; undefined when there is none. */
function whereThere<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
