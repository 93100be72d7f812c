/**
 * One server per data folder: the database does not guard itself. The lock is a unix socket that the server listens on,
 * so that it is gone with its process however that ends, and whoever finds it can ask it who it is.
 */
import { randomBytes } from 'node:crypto';
import { linkSync, mkdtempSync, rmdirSync, statSync, symlinkSync, unlinkSync } from 'node:fs';
import { connect, createServer, type Server } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../kernel/clock.ts';
import { Fault, messageOf } from '../kernel/fault.ts';

export const LOCK_NAME = 'server.sock';
/**
 * The address of a unix socket holds 107 bytes on Linux and 103 elsewhere; beyond that a short link leads to the
 * folder.
 */
const MAX_PATH_BYTES = 100;
const ANSWER_TIMEOUT_MS = 2000;

export type DataDirLock = { release(): Promise<void> };

/**
 * Takes the folder, which exists. Throws a Fault `data-dir-taken` while another server has it, `data-dir-unusable` when
 * nothing can be put there.
 */
export async function lockDataDir(dataDir: string): Promise<DataDirLock> {
  const folder = reach(dataDir);
  const path = join(folder.path, LOCK_NAME);
  const own = join(folder.path, `.${process.pid}-${randomBytes(4).toString('hex')}`);
  let server: Server | undefined;
  try {
    server = await listen(own);
    // Linking fails when the name is there, where binding to it or renaming over it could push out a server just
    // started.
    while (!tryLink(own, path)) await removeStale(folder.path, path, own, dataDir);
    unlinkSync(own);
  } catch (error) {
    await closed(server);
    folder.leave();
    if (error instanceof Fault) throw error;
    throw unusable(dataDir, error);
  }
  return {
    async release() {
      tryUnlink(path);
      await closed(server);
      folder.leave();
    },
  };
}

/**
 * Removes a lock whose process is gone. Throws when it is not. Only one server may remove the socket of a given inode:
 * the one that could make its claim, a link to its own socket, so that of many that start at once none removes
 * another's new lock.
 */
async function removeStale(folder: string, path: string, own: string, dataDir: string): Promise<void> {
  const inode = inodeOf(path);
  const found = await ask(path);
  if (found.state === 'alive') throw taken(dataDir, found.pid);
  if (inode === undefined || found.state === 'absent') return;
  const claim = join(folder, `.stale-${inode}`);
  if (!tryLink(own, claim)) {
    const claimant = await ask(claim);
    if (claimant.state === 'dead') tryUnlink(claim);
    return;
  }
  try {
    // Before the claim another may have removed it, and a new lock may even have got its inode.
    const again = await ask(path);
    if (again.state === 'dead' && inodeOf(path) === inode) unlinkSync(path);
  } finally {
    unlinkSync(claim);
  }
}

function taken(dataDir: string, holder: string): Fault {
  const who = holder ? ` (process ${holder})` : '';
  return new Fault(
    'data-dir-taken',
    `another Aircheck server${who} is running on the data folder ${dataDir}; stop it, or set AIRCHECK_DATA_DIR to another folder`,
    { blame: 'caller' },
  );
}

function unusable(dataDir: string, cause: unknown): Fault {
  const { code } = cause as NodeJS.ErrnoException;
  const why = code === 'EACCES' || code === 'EROFS' ? 'this user may not write there' : messageOf(cause);
  return new Fault(
    'data-dir-unusable',
    `the data folder ${dataDir} cannot be used: ${why}; give the folder to the user that the server runs as, or set AIRCHECK_DATA_DIR to another folder`,
    { blame: 'caller', cause },
  );
}

function reach(dataDir: string): { path: string; leave(): void } {
  if (Buffer.byteLength(join(dataDir, LOCK_NAME)) + 24 <= MAX_PATH_BYTES) return { path: dataDir, leave() {} };
  const holder = mkdtempSync(join(tmpdir(), 'aircheck-'));
  const link = join(holder, 'd');
  symlinkSync(dataDir, link);
  return {
    path: link,
    leave() {
      unlinkSync(link);
      rmdirSync(holder);
    },
  };
}

function listen(path: string): Promise<Server> {
  return new Promise((resolve, reject) => {
    const server = createServer((socket) => {
      socket.on('error', () => {});
      socket.end(String(process.pid));
    });
    server.once('error', reject);
    server.listen(path, () => resolve(server));
  });
}

type Answer = { state: 'alive'; pid: string } | { state: 'dead' | 'absent' };

/** Whether somebody listens at `path`, and who. */
function ask(path: string): Promise<Answer> {
  return new Promise((resolve) => {
    let pid = '';
    const socket = connect(path);
    // A server that is there but too busy to answer still has the folder.
    const patience = systemClock.after(ANSWER_TIMEOUT_MS, () => socket.destroy());
    socket.on('close', () => {
      patience.cancel();
      resolve({ state: 'alive', pid });
    });
    socket.on('data', (data) => {
      pid += data;
    });
    socket.on('error', ({ code }: NodeJS.ErrnoException) => {
      if (code === 'ECONNREFUSED') resolve({ state: 'dead' });
      else resolve(code === 'ENOENT' ? { state: 'absent' } : { state: 'alive', pid });
    });
  });
}

function inodeOf(path: string): number | undefined {
  return statSync(path, { throwIfNoEntry: false })?.ino;
}

function tryLink(from: string, to: string): boolean {
  try {
    linkSync(from, to);
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EEXIST') return false;
    throw error;
  }
}

function tryUnlink(path: string): void {
  try {
    unlinkSync(path);
  } catch {
    // Somebody else was faster.
  }
}

function closed(server: Server | undefined): Promise<void> {
  return new Promise((resolve) => (server ? server.close(() => resolve()) : resolve()));
}
