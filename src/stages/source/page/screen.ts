/**
 * Screen: an X server without a monitor, for one page alone. It is larger than the page: on a screen of exactly its
 * size, and without a window manager, Chromium makes the page one pixel narrower and lower.
 */
import { randomBytes } from 'node:crypto';
import { chown, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { firstLine, type PageUser, type Programs, pidsOf, runProgram } from './programs.ts';

const MARGIN_PX = 180;
/** Xauth's file format: any host, any display. */
const FAMILY_WILD = 0xffff;
const COOKIE_NAME = 'MIT-MAGIC-COOKIE-1';
/** File in a page's folder that notes its display, for whoever removes what a killed X server left. */
export const DISPLAY_NOTE = 'display';

export type Screen = {
  /** As in DISPLAY. */
  display: string;
  /** File with the screen's key, as in XAUTHORITY. */
  authority: string;
  /** Its socket. */
  socket: string;
  /** Pid of its process. */
  pids: readonly number[];
  /** Resolves with why it ended. */
  exited: Promise<string>;
  kill(): void;
};

export type ScreenOptions = {
  programs: Programs;
  user: PageUser;
  /** The recording's folder; `user` may write to it. */
  dir: string;
  /** Size of the page. */
  width: number;
  height: number;
};

/** Resolves once it can be drawn on. Rejects with a Fault `page-engine-failed`. */
export async function startScreen({ programs, user, dir, width, height }: ScreenOptions): Promise<Screen> {
  const authority = join(dir, 'xauthority');
  await writeFile(authority, authorityOf(randomBytes(16)), { mode: 0o600 });
  if (user) await chown(authority, user.uid, user.gid);
  const size = `${width + MARGIN_PX}x${height + MARGIN_PX}x24`;
  const server = runProgram(programs, 'Xvfb', {
    // It takes its socket along then.
    atOurEnd: 'TERM',
    args: [
      // It chooses its own number, and ends with its last client.
      ...['-displayfd', '3', '-screen', '0', size, '-nolisten', 'tcp', '-auth', authority, '-terminate'],
      // Chromium draws WebGL by itself. The screen's own OpenGL would load a compiler of 50 MB for nobody.
      ...['-extension', 'GLX'],
    ],
    user,
    env: {},
    cwd: dir,
    more: ['pipe'],
  });
  const number = Number(await firstLine(server, 3));
  await writeFile(join(dir, DISPLAY_NOTE), String(number));
  return {
    display: `:${number}`,
    authority,
    socket: `/tmp/.X11-unix/X${number}`,
    pids: pidsOf(server),
    exited: server.exited,
    kill: server.kill,
  };
}

/** A file in xauth's format, with one cookie for every display. */
function authorityOf(cookie: Buffer): Buffer {
  const u16 = (value: number) => {
    const bytes = Buffer.alloc(2);
    bytes.writeUInt16BE(value);
    return bytes;
  };
  const counted = (data: Buffer) => Buffer.concat([u16(data.length), data]);
  const none = counted(Buffer.alloc(0));
  return Buffer.concat([u16(FAMILY_WILD), none, none, counted(Buffer.from(COOKIE_NAME)), counted(cookie)]);
}
