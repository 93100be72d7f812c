/**
 * Vendor 1000: a folder on the server's own disk. `bucket` is a folder under the server's storage folder, and nothing
 * in a request leads out of it, neither `..` nor a symbolic link.
 */
import { createHash, randomBytes } from 'node:crypto';
import { copyFile, link, lstat, mkdir, open, readdir, realpath, rename, rm, rmdir, stat } from 'node:fs/promises';
import { dirname, join, resolve, sep } from 'node:path';
import { Fault, messageOf } from '../../../kernel/fault.ts';
import { FileDigest } from './digests.ts';
import { digestsOf } from './digests-of.ts';
import type { Source } from './source.ts';
import type { PutOptions, Receipt, Target } from './target.ts';

const SEGMENT = /^[A-Za-z0-9_-][A-Za-z0-9._-]*$/;

/**
 * Opens the folder `bucket` under `storageDir`; the first put makes both when they are missing. Throws a Fault for a
 * bad name.
 */
export function openLocalFolder(bucket: string, storageDir: string): Target {
  if (!SEGMENT.test(bucket))
    throw new Fault('bucket-invalid', `"${bucket}" is not a folder name that vendor 1000 takes`, { blame: 'caller' });
  return new LocalFolder(join(resolve(storageDir), bucket), resolve(storageDir));
}

class LocalFolder implements Target {
  readonly description: string;
  #root: string;
  #storageDir: string;

  constructor(root: string, storageDir: string) {
    this.description = `local folder ${root}`;
    this.#root = root;
    this.#storageDir = storageDir;
  }

  async put(key: string, source: Source, _contentType: string, options: PutOptions = {}): Promise<Receipt> {
    const { signal } = options;
    signal?.throwIfAborted();
    const path = this.#pathOf(key);
    const temporary = join(dirname(path), `${temporaryPrefix(key)}${randomBytes(8).toString('hex')}.tmp`);
    try {
      await this.#makeFolder(dirname(path));
      await write(source, temporary);
      signal?.throwIfAborted();
      await rename(temporary, path);
      await syncFolder(dirname(path));
      const bytes = 'data' in source ? source.data.length : source.bytes;
      const found = (await stat(path)).size;
      if (found !== bytes)
        throw new Fault('stored-size-wrong', `${this.description} has ${found} bytes of ${key} instead of ${bytes}`, {
          blame: 'destination',
          retryable: true,
        });
      return { key, bytes, sha256: await sha256Of(source, path), evidence: 'size' };
    } catch (cause) {
      await rm(temporary, { force: true }).catch(() => undefined);
      if (cause instanceof Fault || signal?.aborted) throw cause;
      throw faultOf(cause, this.description, source);
    }
  }

  async fetch(key: string, path: string, signal?: AbortSignal): Promise<void> {
    signal?.throwIfAborted();
    const from = this.#pathOf(key);
    try {
      // On the same disk no bytes are copied.
      await link(from, path).catch(() => copyFile(from, path));
    } catch (cause) {
      const isMissing = (cause as NodeJS.ErrnoException).code === 'ENOENT';
      if (isMissing) await this.#requireFolder();
      throw new Fault(isMissing ? 'object-missing' : 'store-failed', `${this.description}: ${messageOf(cause)}`, {
        blame: 'self',
        retryable: !isMissing,
        cause,
      });
    }
  }

  /** Files are not put in parts here. */
  async abandon(): Promise<void> {}

  /** A server that was killed leaves a file under its temporary name. */
  async sweep(key: string): Promise<void> {
    const dir = dirname(this.#pathOf(key));
    const names = await readdir(dir).catch((error: NodeJS.ErrnoException) => {
      // Nothing was ever put there.
      if (error.code === 'ENOENT') return [];
      throw error;
    });
    const prefix = temporaryPrefix(key);
    for (const name of names) if (name.startsWith(prefix)) await rm(join(dir, name), { force: true });
  }

  async has(key: string): Promise<boolean> {
    try {
      await stat(this.#pathOf(key));
      return true;
    } catch (cause) {
      if ((cause as NodeJS.ErrnoException).code !== 'ENOENT')
        throw faultOf(cause, this.description, { data: Buffer.alloc(0) });
      await this.#requireFolder();
      return false;
    }
  }

  async remove(key: string): Promise<void> {
    const path = this.#pathOf(key);
    await rm(path, { force: true });
    // The last file's folder is removed with it.
    await rmdir(dirname(path)).catch(() => undefined);
  }

  async erase(key: string): Promise<undefined> {
    const path = this.#pathOf(key);
    await this.#requireFolder();
    try {
      await rm(path, { force: true });
      await syncFolder(dirname(path)).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'ENOENT') throw error;
      });
    } catch (cause) {
      throw faultOf(cause, this.description, { data: Buffer.alloc(0) });
    }
    // Folders of prefixes go when they are empty; the bucket itself stays.
    for (let dir = dirname(path); dir.length > this.#root.length; dir = dirname(dir))
      if (
        !(await rmdir(dir).then(
          () => true,
          () => false,
        ))
      )
        break;
    return undefined;
  }

  close(): void {}

  /**
   * Throws a Fault, `store-absent`, when the folder itself is not there, as while its disk is not mounted: whether it
   * has a file is not known then.
   */
  async #requireFolder(): Promise<void> {
    const isThere = await stat(this.#root).then(
      () => true,
      (error: NodeJS.ErrnoException) => error.code !== 'ENOENT',
    );
    if (isThere) return;
    const advice = 'mount its disk, or make it if its files are gone for good';
    throw new Fault('store-absent', `${this.description} is not there; ${advice}`, {
      blame: 'destination',
      retryable: true,
    });
  }

  #pathOf(key: string): string {
    const parts = key.split('/');
    if (!parts.every((part) => SEGMENT.test(part)))
      throw new Fault('key-invalid', `"${key}" is not a key that a local folder takes`, { blame: 'caller' });
    return join(this.#root, ...parts);
  }

  /** Makes `dir`, step by step, and refuses when a step is a link that leads out of the bucket. */
  async #makeFolder(dir: string): Promise<void> {
    await mkdir(this.#storageDir, { recursive: true });
    // The operator may have made the storage folder itself a link, for example to a larger disk.
    const home = await realpath(this.#storageDir);
    let at = this.#storageDir;
    for (const part of dir.slice(this.#storageDir.length).split(sep)) {
      if (part === '') continue;
      at = join(at, part);
      await mkdir(at).catch((error: NodeJS.ErrnoException) => {
        if (error.code !== 'EEXIST') throw error;
      });
      const found = await lstat(at);
      if (found.isSymbolicLink() || (await realpath(at)) !== join(home, at.slice(this.#storageDir.length)))
        throw new Fault('path-leaves-storage', `${at} is a symbolic link; vendor 1000 does not follow links`, {
          blame: 'destination',
        });
    }
  }
}

/** How a file's temporary name begins until the file is whole; it is short however long the final name is. */
function temporaryPrefix(key: string): string {
  return `.${createHash('sha256').update(key).digest('hex').slice(0, 16)}.`;
}

/**
 * Writes the source to `path`, synced. A spool file on the same disk is linked: no bytes are copied, and both names
 * stay whole.
 */
async function write(source: Source, path: string): Promise<void> {
  if ('data' in source) {
    const file = await open(path, 'wx', 0o644);
    try {
      await file.writeFile(source.data);
      await file.sync();
    } finally {
      await file.close();
    }
    return;
  }
  const found = await stat(source.path);
  if (found.size !== source.bytes)
    throw new Fault('source-changed', `${source.path} has ${found.size} bytes instead of ${source.bytes}`, {
      blame: 'self',
    });
  try {
    await link(source.path, path);
  } catch {
    // It is on another disk, or on one without hard links.
    await copyFile(source.path, path);
    const file = await open(path, 'r+');
    try {
      await file.sync();
    } finally {
      await file.close();
    }
  }
}

/** The SHA-256 of the file at `path`; undefined when it cannot be read, which is no reason to put it again. */
function sha256Of(source: Source, path: string): Promise<string | undefined> {
  if ('data' in source) return Promise.resolve(digestsOf(source.data).sha256);
  return new FileDigest(path, source.bytes).whole().catch(() => undefined);
}

async function syncFolder(dir: string): Promise<void> {
  const folder = await open(dir, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

function faultOf(cause: unknown, description: string, source: Source): Fault {
  const { code, path } = cause as NodeJS.ErrnoException;
  if ('path' in source && path === source.path && code === 'ENOENT')
    return new Fault('source-missing', `${source.path} is no longer on the spool`, { blame: 'self', cause });
  // A full or missing disk may come back; a missing permission must be granted by somebody.
  const retryable = code !== 'EACCES' && code !== 'EPERM' && code !== 'EROFS' && code !== 'ENOTDIR';
  return new Fault('store-failed', `${description}: ${messageOf(cause)}`, { blame: 'destination', retryable, cause });
}
