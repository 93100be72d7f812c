/**
 * The script that is run in Chromium's place. It gives up all rights, makes a network of its own whose only way out is
 * the egress proxy, and hides what is no business of a page; all in it ends with the process that started it.
 */
import { chmod, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
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
  /** Unix socket of the egress proxy. */
  proxy: string;
};

/** Where Chromium finds the proxy, inside its network. */
export const PROXY_PORT = 3128;

/** Resolves to the script's path. */
export async function writeLauncher(options: LauncherOptions): Promise<string> {
  const { programs, user, dir, home, hidden, screen, speaker, proxy } = options;
  const files = [screen.socket, screen.authority, speaker.socket, proxy];
  // The pipes 3 and 4 are Chromium's, for its orders.
  const relay = `${quote(programs.socat)} TCP-LISTEN:${PROXY_PORT},bind=127.0.0.1,fork,reuseaddr UNIX-CONNECT:${quote(proxy)}`;
  const inside = `${relay} 3>&- 4>&- &\nexec ${quote(programs.chromium)} "$@"`;
  const words = [
    ...(user
      ? [programs.setpriv, `--reuid=${user.uid}`, `--regid=${user.gid}`, '--clear-groups', '--no-new-privs']
      : []),
    programs.bwrap,
    ...['--unshare-net', '--unshare-pid', '--unshare-ipc', '--die-with-parent', '--new-session'],
    ...['--ro-bind', '/', '/', '--dev', '/dev', '--proc', '/proc'],
    ...['/tmp', '/run', '/var/tmp', ...hidden].flatMap((folder) => ['--tmpfs', folder]),
    ...['--ro-bind', dir, dir, '--bind', home, home],
    ...files.flatMap((file) => ['--bind', file, file]),
    ...['sh', '-c', inside, 'chromium'],
  ];
  const path = join(dir, 'launch.sh');
  await writeFile(path, `#!/bin/sh\nexec ${words.map(quote).join(' ')} "$@"\n`);
  await chmod(path, 0o755);
  return path;
}

function quote(word: string): string {
  return `'${word.replaceAll("'", "'\\''")}'`;
}
