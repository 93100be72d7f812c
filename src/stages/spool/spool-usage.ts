/**
 * SpoolUsage: how much of the disk each recording takes. A finished file is measured once, an unfinished one each time.
 */
import { readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { runFolders } from './recording-spool.ts';
import { spooledSids } from './spool-folder.ts';

/** Finished files never change. */
const FINISHED = /\.(ts|webm|m4s|mp4|mka|jpg)$/;

export class SpoolUsage {
  readonly #root: string;
  /** Sizes of finished files by recording and name: runs have links to each other's files. */
  #finished = new Map<string, Map<string, number>>();

  /** @param root folder that holds a folder per recording */
  constructor(root: string) {
    this.#root = root;
  }

  /** Bytes by sid. Rejects when the spool cannot be read. One call at a time. */
  async measure(): Promise<Map<string, number>> {
    const bytes = new Map<string, number>();
    const finished = new Map<string, Map<string, number>>();
    for (const sid of await spooledSids(this.#root)) {
      const sizes = this.#finished.get(sid) ?? new Map<string, number>();
      finished.set(sid, sizes);
      bytes.set(sid, await measureRecording(join(this.#root, sid), sizes));
    }
    this.#finished = finished;
    return bytes;
  }
}

async function measureRecording(dir: string, finished: Map<string, number>): Promise<number> {
  const growing = new Map<string, number>();
  try {
    for (const run of await runFolders(dir))
      for (const name of await readdir(run)) {
        if (finished.has(name)) continue;
        const found = await stat(join(run, name)).catch(() => undefined);
        if (!found?.isFile()) continue;
        if (FINISHED.test(name)) finished.set(name, found.size);
        else growing.set(name, Math.max(found.size, growing.get(name) ?? 0));
      }
  } catch {
    // A recording may end meanwhile, and its folder with it. And one that cannot be read, as another user's, must not
    // keep the disk from being watched.
  }
  let bytes = 0;
  for (const size of [...finished.values(), ...growing.values()]) bytes += size;
  return bytes;
}
