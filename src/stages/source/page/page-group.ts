/**
 * PageGroup: a control group (cgroup) for all processes of one browser, so that a page that takes more memory,
 * processes or CPU than it may harms only itself. It works with both versions of Linux's control groups; which there
 * are, and whether this process may make groups, depends on the machine.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, rmdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import type { GroupHome, PageLimits } from '../../../contract/line/page-limits.ts';

const CONTROLLERS = ['memory', 'pids', 'cpu'] as const;
type Controller = (typeof CONTROLLERS)[number];

const PREFIX = 'aircheck-page-';
const CPU_PERIOD_US = 100_000;
/**
 * In version 1 a group weighs as much as a single process outside groups, however many of its own want to run: on a
 * busy machine the encoders would leave a browser no time to play its sound. This is the weight of the threads that
 * draw and play a page.
 */
const CPU_SHARES = 6 * 1024;
/** Where control groups are mounted. */
const MOUNT = '/sys/fs/cgroup';

/** The folders in which groups of pages can be made, by what they limit; empty where none can. */
export function findGroupHome(mount = MOUNT, membership = readFileSync('/proc/self/cgroup', 'utf8')): GroupHome {
  const own = membership
    .trim()
    .split('\n')
    .map((line) => {
      const [, names = '', ...path] = line.split(':');
      return { names: names.split(','), path: path.join(':') };
    });
  if (existsSync(join(mount, 'cgroup.controllers'))) {
    const path = own.find(({ names }) => names[0] === '')?.path ?? '/';
    // A group with processes of its own cannot have limited groups below it, only beside it (systemd's
    // DelegateSubgroup).
    const home = [join(mount, path), join(mount, dirname(path))].find(isUnifiedHome);
    return home === undefined ? {} : Object.fromEntries(CONTROLLERS.map((name) => [name, home]));
  }
  return Object.fromEntries(
    CONTROLLERS.flatMap((name) => {
      const path = own.find(({ names }) => names.includes(name))?.path;
      if (path === undefined) return [];
      const home = [join(mount, name, path), join(mount, name)].find((dir) => mayMakeIn(dir));
      return home === undefined ? [] : [[name, home]];
    }),
  );
}

/**
 * Removes groups under `home` whose processes have all ended.
 * @param isOver whether the owner that a name tells has ended
 */
export function sweepGroups(home: GroupHome, isOver: (name: string) => boolean): void {
  for (const dir of foldersOf(home))
    for (const name of readdirSync(dir))
      if (name.startsWith(PREFIX) && isOver(name.slice(PREFIX.length))) remove(join(dir, name));
}

export class PageGroup {
  readonly #dirs: GroupHome;

  private constructor(dirs: GroupHome) {
    this.#dirs = dirs;
  }

  /** @param name tells the group's owner. Throws the system's Error when the group cannot be made. */
  static make({ home, memoryBytes, processes, cores }: PageLimits, name: string): PageGroup {
    const dirs: GroupHome = {};
    for (const controller of CONTROLLERS) {
      const parent = home[controller];
      if (parent === undefined) continue;
      const dir = join(parent, PREFIX + name);
      mkdirSync(dir, { recursive: true });
      dirs[controller] = dir;
    }
    const group = new PageGroup(dirs);
    const quotaUs = Math.round(cores * CPU_PERIOD_US);
    // Each limit has a file name in either version; the group has one of the two.
    if (memoryBytes > 0) group.#set('memory', { 'memory.max': memoryBytes, 'memory.limit_in_bytes': memoryBytes });
    if (memoryBytes > 0) group.#set('memory', { 'memory.swap.max': 0 });
    if (processes > 0) group.#set('pids', { 'pids.max': processes });
    group.#set('cpu', { 'cpu.shares': CPU_SHARES });
    if (cores > 0) group.#set('cpu', { 'cpu.max': `${quotaUs} ${CPU_PERIOD_US}`, 'cpu.cfs_quota_us': quotaUs });
    return group;
  }

  /** Files to which a process writes its pid, to put itself and all its later children into the group. */
  get entrances(): string[] {
    return foldersOf(this.#dirs).map((dir) => join(dir, 'cgroup.procs'));
  }

  /** How many of its processes were killed because together they took too much memory. */
  get killedForMemory(): number {
    const dir = this.#dirs.memory;
    if (dir === undefined) return 0;
    const name = ['memory.events', 'memory.oom_control'].map((each) => join(dir, each)).find(existsSync);
    const line = name && /^oom_kill (\d+)$/m.exec(readFileSync(name, 'utf8'));
    return line ? Number(line[1]) : 0;
  }

  /** Call it when its processes have ended; what is still in use then is removed later. */
  remove(): void {
    for (const dir of foldersOf(this.#dirs)) remove(dir);
  }

  #set(controller: Controller, values: Record<string, string | number>): void {
    const dir = this.#dirs[controller];
    if (dir === undefined) return;
    for (const [name, value] of Object.entries(values))
      if (existsSync(join(dir, name))) writeFileSync(join(dir, name), String(value));
  }
}

/** Each folder once: in version 2 it is the same for all limits. */
function foldersOf(dirs: GroupHome): string[] {
  return [...new Set(CONTROLLERS.flatMap((name) => dirs[name] ?? []))];
}

/** Whether limited groups can be made in `dir`. */
function isUnifiedHome(dir: string): boolean {
  try {
    const control = join(dir, 'cgroup.subtree_control');
    const missing = CONTROLLERS.filter((name) => !readFileSync(control, 'utf8').split(/\s+/).includes(name));
    if (missing.length > 0) writeFileSync(control, missing.map((name) => `+${name}`).join(' '));
  } catch {
    return false;
  }
  return mayMakeIn(dir);
}

function mayMakeIn(dir: string): boolean {
  const probe = join(dir, `${PREFIX}probe-${process.pid}`);
  try {
    if (!existsSync(join(dir, 'cgroup.procs'))) return false;
    mkdirSync(probe);
    rmdirSync(probe);
    return true;
  } catch {
    return false;
  }
}

function remove(dir: string): void {
  try {
    rmdirSync(dir);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // In use: a process in it has not quite ended.
    if (code !== 'EBUSY' && code !== 'ENOENT') throw error;
  }
}
