/**
 * The script that is run in Chromium's place. It gives up all rights, makes a network of its own whose only way out is
 * the egress proxy, and hides what is no business of a page; all in it ends with the process that started it. With
 * another guard than a namespace it leaves the network as it is.
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
  /** Of the page; `user` may not write to it, as the script runs with the server's rights at first. */
  dir: string;
  /** Within `dir`; the user's own. */
  home: string;
  /** Folders that are empty for the browser, but for `dir`. */
  hidden: readonly string[];
  screen: Pick<Screen, 'socket' | 'authority'>;
  speaker: Pick<Speaker, 'socket'>;
  guard: PageGuard;
  /** The egress proxy's unix socket, or its port on the loopback. */
  proxy: string | number;
  /** Files that it writes its number to, which puts it and all in it into control groups. */
  entrances: readonly string[];
};

/** File in a page's folder with the number of the process that all of its browser is in. */
const PID_NOTE = 'browser.pid';

/** Where Chromium finds a proxy that listens on a socket, inside its network. */
export const PROXY_PORT = 3128;

/** Resolves to the script's path. */
export async function writeLauncher(options: LauncherOptions): Promise<string> {
  const { programs, user, dir, guard, entrances } = options;
  const isTrusted = guard === 'trust-the-browser';
  // Chromium's own sandbox may need its setuid helper, where nothing else shuts it in.
  const lasting = isTrusted ? [] : ['--no-new-privs'];
  const words = [
    ...(user ? [programs.setpriv, `--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups', ...lasting] : []),
    ...(isTrusted ? [programs.chromium] : shutIn(options)),
  ];
  const path = join(dir, 'launch.sh');
  const notes = [join(dir, PID_NOTE), ...entrances].map((file) => `echo $$ > ${quote(file)}\n`).join('');
  // Outside of its groups a page would have no limits.
  await writeFile(path, `#!/bin/sh\nset -e\n${notes}exec ${words.map(quote).join(' ')} "$@"\n`);
  await chmod(path, 0o755);
  return path;
}

/** Chromium among only what it needs of this machine. */
function shutIn({ programs, dir, home, hidden, screen, speaker, proxy }: LauncherOptions): string[] {
  const isAlone = typeof proxy === 'string';
  const files = [screen.socket, screen.authority, speaker.socket, ...(isAlone ? [proxy] : [])];
  const relay = `TCP-LISTEN:${PROXY_PORT},bind=127.0.0.1,fork,reuseaddr UNIX-CONNECT:${quote(String(proxy))}`;
  const inside = [
    // The pipes 3 and 4 are Chromium's, for its orders.
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
    ...['sh', '-c', inside.join('\n'), 'chromium'],
  ];
}

/** The number of the process that a browser of this folder is in, as the script noted it. */
export async function browserPid(dir: string): Promise<number> {
  return Number(await readFile(join(dir, PID_NOTE), 'utf8'));
}

function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
