/**
 * A disk of its own that is soon full: a file system in memory, which only root may mount.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, rmSync, statfsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** What takes the room that `fill` leaves none of. */
const FILLER = 'filler';

export class SmallDisk {
  readonly path: string;

  private constructor(path: string) {
    this.path = path;
  }

  /**
   * Mounts a disk of `bytes` at `path`, which is made. Undefined, and the reason is printed, where that is not allowed.
   */
  static mount(path: string, bytes: number): SmallDisk | undefined {
    mkdirSync(path, { recursive: true });
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', `size=${bytes},mode=0700`, 'tmpfs', path], { stdio: 'pipe' });
    } catch (error) {
      const { stderr, message } = error as Error & { stderr?: Buffer };
      console.warn(`no small disk can be mounted here: ${stderr?.toString().trim() || message}`);
      return undefined;
    }
    return new SmallDisk(path);
  }

  get freeBytes(): number {
    const { bavail, bsize } = statfsSync(this.path);
    return bavail * bsize;
  }

  /** Takes room until so many bytes are free. */
  fill(leftBytes: number): void {
    this.makeRoom();
    try {
      writeFileSync(join(this.path, FILLER), Buffer.alloc(Math.max(0, this.freeBytes - leftBytes)));
    } catch (error) {
      // Whoever writes to the disk meanwhile takes of the room that was free; what is left of it is taken all the same.
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') throw error;
    }
  }

  /** Gives back what `fill` took. */
  makeRoom(): void {
    rmSync(join(this.path, FILLER), { force: true });
  }

  unmount(): void {
    // A process that ends may have a file open for a moment more: the disk goes with the last of them.
    execFileSync('umount', ['--lazy', this.path]);
  }
}
