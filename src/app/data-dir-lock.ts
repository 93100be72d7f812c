/**
 * One server per data folder, because the database does not protect itself. The lock is a unix socket that the server
 * listens on: it ends with its process, however that ends, and whoever finds it can ask who holds it.
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
 * Takes the folder, which must exist. Throws a Fault: `data-dir-taken` while another server holds it,
 * `data-dir-unusable` when this user cannot write there.
 */
export async function lockDataDir(dataDir: string): Promise<DataDirLock> {
  const folder = reach(dataDir);
  const path = join(folder.path, LOCK_NAME);
  const own = join(folder.path, `.${process.pid}-${randomBytes(4).toString('hex')}`);
  let server: Server | undefined;
  try {
    server = await listen(own);
    // A link fails when the name is taken; a bind or a rename could push out a server that has just started.
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

/** Whether a server holds the folder, which need not exist. */
export async function isDataDirTaken(dataDir: string): Promise<boolean> {
  const folder = reach(dataDir);
  try {
    return (await ask(join(folder.path, LOCK_NAME))).state === 'alive';
  } finally {
    folder.leave();
  }
}

/**
 * Removes the lock of a process that is gone. Throws when that process still runs. Of many servers that start at once,
 * only one may remove the socket of a given inode: the one that links its own socket as the claim. So none removes
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
    // Before this claim another server may have removed the lock, and a new lock may even have got its inode.
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

/** Whether somebody listens at `path`, and who it is. */
function ask(path: string): Promise<Answer> {
  return new Promise((resolve) => {
    let pid = '';
    const socket = connect(path);
    // A server that is too busy to answer still holds the folder.
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
    // Another process removed it first.
  }
}

function closed(server: Server | undefined): Promise<void> {
  return new Promise((resolve) => (server ? server.close(() => resolve()) : resolve()));
}
