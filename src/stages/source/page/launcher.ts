/**
 * The script that runs in Chromium's place. It gives up all rights, makes a network of its own whose only way out is
 * the egress proxy, and hides what a page must not see; everything in it ends with the process that started it. With a
 * guard other than a namespace it leaves the network unchanged.
 */
import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { PageGuard } from '../../../contract/line/commands.ts';
import type { PageUser, Programs } from './programs.ts';
import type { Screen } from './screen.ts';
import type { Speaker } from './speaker.ts';

export type LauncherOptions = {
  programs: Programs;
  user: PageUser;
  /** The page's folder; `user` may not write to it, because the script begins with the server's rights. */
  dir: string;
  /** A folder within `dir` that belongs to the user. */
  home: string;
  /** Folders that appear empty to the browser, except for `dir`. */
  hidden: readonly string[];
  screen: Pick<Screen, 'socket' | 'authority'>;
  speaker: Pick<Speaker, 'socket'>;
  guard: PageGuard;
  /** The egress proxy's unix socket, or its port on the loopback. */
  proxy: string | number;
  /** The script writes its pid to these files, which puts it and everything in it into control groups. */
  entrances: readonly string[];
};

/** File in a page's folder with the pid of the process that contains the whole browser. */
const PID_NOTE = 'browser.pid';

/** Inside its network Chromium finds here the proxy that listens on a socket. */
export const PROXY_PORT = 3128;

/** Resolves to the script's path. */
export async function writeLauncher(options: LauncherOptions): Promise<string> {
  const { programs, user, dir, guard, entrances } = options;
  const isTrusted = guard === 'trust-the-browser';
  // Chromium's own sandbox may need its setuid helper when nothing else confines it.
  const lasting = isTrusted ? [] : ['--no-new-privs'];
  const words = [
    ...(user ? [programs.setpriv, `--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups', ...lasting] : []),
    ...(isTrusted ? [programs.chromium] : shutIn(options)),
  ];
  const path = join(dir, 'launch.sh');
  const notes = [join(dir, PID_NOTE), ...entrances].map((file) => `echo $$ > ${quote(file)}\n`).join('');
  // Outside its groups a page would have no limits, so a failure ends the script.
  await writeFile(path, `#!/bin/sh\nset -e\n${notes}exec ${words.map(quote).join(' ')} "$@"\n`);
  await chmod(path, 0o755);
  return path;
}

/** Runs Chromium with only what it needs of this machine. */
function shutIn({ programs, dir, home, hidden, screen, speaker, proxy }: LauncherOptions): string[] {
  const isAlone = typeof proxy === 'string';
  const files = [screen.socket, screen.authority, speaker.socket, ...(isAlone ? [proxy] : [])];
  const relay = `TCP-LISTEN:${PROXY_PORT},bind=127.0.0.1,fork,reuseaddr UNIX-CONNECT:${quote(String(proxy))}`;
  const inside = [
    // Descriptors 3 and 4 are Chromium's pipes for its commands.
    ...(isAlone ? [`${quote(programs.socat)} ${relay} 3>&- 4>&- &`] : []),
    `exec ${quote(programs.chromium)} "$@"`,
  ];
  return [
    programs.bwrap,
    ...(isAlone ? ['--unshare-net'] : []),
    ...['--unshare-pid', '--unshare-ipc', '--die-with-parent', '--new-session'],
    ...['--ro-bind', '/', '/', '--dev', '/dev', '--proc', '/proc'],
    ...['/tmp', '/run', '/var/tmp', ...hidden].flatMap((folder) => ['--tmpfs', folder]),
    ...['--ro-bind', dir, dir, '--bind', home, home],
    ...files.flatMap((file) => ['--bind', file, file]),
    ...['/bin/sh', '-c', inside.join('\n'), 'chromium'],
  ];
}

/** The pid of the process that contains the browser of this folder, as the script noted it. */
export async function browserPid(dir: string): Promise<number> {
  return Number(await readFile(join(dir, PID_NOTE), 'utf8'));
}

function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
