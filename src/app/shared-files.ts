/**
 * SharedFiles: makes a recording's files of everybody anew without one person: the file of every speaker, the manifest
 * and the quality report. What is made lies in a folder of the recording until it is stored: whoever goes on, a server
 * that starts anew or the removal of somebody else, need not have what was there before.
 */
import { link, mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { manifestSchema } from '../contract/line/manifest.ts';
import type { ObjectRecord } from '../contract/line/objects.ts';
import { manifestWithout, reportWithout } from '../contract/line/person.ts';
import { qualityReportSchema } from '../contract/line/quality-report.ts';
import type { WithoutSpeakerCommand } from '../contract/line/without-speaker.ts';
import { Fault, messageOf } from '../kernel/fault.ts';
import { finishPart, partPath } from '../stages/mux/spool-file.ts';
import { checkFreeBytes } from '../stages/spool/recording-spool.ts';
import type { LeftFile } from '../store/removal-tables.ts';

export type SharedFilesOptions = {
  /** Holds a folder for each recording that somebody is being removed from. */
  root: string;
  /** What must stay free on its disk. */
  reserveBytes: number;
  /**
   * Takes a speaker out of a file in a process of its own. Resolves to how many are left. Throws a Fault:
   * `speakers-unreadable` where the file cannot be read whatever is tried.
   */
  withoutSpeaker(command: WithoutSpeakerCommand, signal: AbortSignal): Promise<number>;
};

/** Brings the file to a path, which does not exist yet. Throws a Fault. */
export type Bring = (file: LeftFile, path: string, signal: AbortSignal) => Promise<void>;
/** A file that was made anew; or why it cannot be, and whether it was there at all. */
export type SharedFile =
  | { path: string; bytes: number; file: ObjectRecord['file'] }
  | { path?: never; outcome: 'deleted' | 'gone'; why: string };

export class SharedFiles {
  readonly #o: SharedFilesOptions;

  constructor(options: SharedFilesOptions) {
    this.#o = options;
  }

  /**
   * What was made of the file before and is not stored yet, of this person or another, is what it is made of: its store
   * may have nothing of it any more.
   * @param speakersBytes size of the file of every speaker as it is now, if there is one
   * Throws a Fault, or the system's error, where it may be made later, as while a store is away or the disk is full.
   */
  async make(
    { sid, uid }: { sid: string; uid: string },
    left: LeftFile,
    { bring, speakersBytes }: { bring: Bring; speakersBytes: number | undefined },
    signal: AbortSignal,
  ): Promise<SharedFile> {
    const dir = this.#dirOf(sid);
    const path = join(dir, left.name);
    const before = join(dir, `before-${left.name}`);
    try {
      const unstored = await sizeOf(path);
      await mkdir(dir, { recursive: true, mode: 0o700 });
      await rm(before, { force: true });
      // Documents are small, and whoever makes room by a removal must not wait for room.
      if (left.kind === 'speakers') await checkFreeBytes(dir, 2 * left.bytes + this.#o.reserveBytes);
      if (unstored !== undefined) await link(path, before);
      else await bring(left, before, signal);
      const isMade = await (left.kind === 'speakers'
        ? this.#makeSpeakers(before, path, uid, signal)
        : makeDocument(before, path, uid, speakersBytes));
      if (!isMade) {
        await this.stored({ sid }, left);
        return { outcome: 'deleted', why: 'nobody else is in it' };
      }
      const made = (await sizeOf(path)) ?? 0;
      return { path, bytes: made, file: fileOf(left, made, uid) };
    } catch (error) {
      signal.throwIfAborted();
      if (error instanceof Fault && (error.code === 'object-missing' || error.code === 'backup-missing'))
        return { outcome: 'gone', why: messageOf(error) };
      if (!(error instanceof Unmakeable)) throw error;
      await this.stored({ sid }, left);
      return { outcome: 'deleted', why: error.message };
    } finally {
      // It holds what is to be removed.
      await rm(before, { force: true });
    }
  }

  /** Forgets what was made of a file: its store has it now, or is to have none. */
  async stored({ sid }: { sid: string }, { name }: Pick<LeftFile, 'name'>): Promise<void> {
    await rm(join(this.#dirOf(sid), name), { force: true });
  }

  /** Forgets all that was made of a recording. */
  async forget(sid: string): Promise<void> {
    await rm(this.#dirOf(sid), { recursive: true, force: true });
  }

  #dirOf(sid: string): string {
    return join(this.#o.root, sid);
  }

  async #makeSpeakers(input: string, output: string, uid: string, signal: AbortSignal): Promise<boolean> {
    try {
      return (await this.#o.withoutSpeaker({ input, output, uid }, signal)) > 0;
    } catch (error) {
      // Whatever else failed, a full disk or the process, says nothing of the file, which is everybody's.
      if (!(error instanceof Fault) || error.code !== 'speakers-unreadable') throw error;
      throw new Unmakeable(`it could not be made anew: ${messageOf(error)}`);
    }
  }
}

/** A file that cannot be made anew, whatever is tried. */
class Unmakeable extends Error {}

async function makeDocument(input: string, output: string, uid: string, speakersBytes: number | undefined) {
  const written = await readFile(input, 'utf8');
  let value: unknown;
  try {
    value = JSON.parse(written);
  } catch (error) {
    throw new Unmakeable(`it could not be read: ${messageOf(error)}`);
  }
  const text = documentWithout(uid, value, speakersBytes);
  await writeFile(partPath(output), text, { mode: 0o600 });
  await finishPart(output);
  return true;
}

/** Written as what writes each of the two. */
function documentWithout(uid: string, value: unknown, speakersBytes: number | undefined): string {
  const report = qualityReportSchema.safeParse(value);
  if (report.success) return `${JSON.stringify(reportWithout(uid, report.data), null, 2)}\n`;
  const manifest = manifestSchema.safeParse(value);
  if (manifest.success) return `${JSON.stringify(manifestWithout(uid, manifest.data, speakersBytes), null, 1)}\n`;
  throw new Unmakeable('it is of another version');
}

/** What is kept of the file. */
function fileOf({ file }: LeftFile, bytes: number, uid: string): ObjectRecord['file'] {
  if (!file) return undefined;
  if (file.type !== 'speakers') return { ...file, bytes };
  return { ...file, bytes, uids: file.uids.filter((each) => each !== uid) };
}

async function sizeOf(path: string): Promise<number | undefined> {
  return stat(path).then(
    ({ size }) => size,
    () => undefined,
  );
}
