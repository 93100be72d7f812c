/**
 * What is made of an individual recording once it is over, from the files on its spool: an MP4 of each user, one file
 * of every speaker, and a manifest of everything. The recorder does not make it: it may take a while, and it must also
 * be made after a crash of the recorder.
 */
import { mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Fault } from '../../kernel/fault.ts';
import { US } from '../../kernel/time.ts';
import type { Segment, SpooledFile, WholeFile } from '../../media/segment.ts';
import type { FileLimit } from '../../stages/mux/cut.ts';
import { hasAllMp4s, makeUserMp4 } from '../../stages/mux/mp4/user-mp4.ts';
import { baseName, documentName, mp4Name, userBaseName } from '../../stages/mux/names.ts';
import { finishPart, partPath } from '../../stages/mux/spool-file.ts';
import { Journal, readSpool } from '../../stages/spool/journal.ts';
import { castOf } from '../remix/cast.ts';
import { readSlicesIn } from '../remix/read-slice.ts';
import { remix } from '../remix/remix.ts';
import { attendedIn, readAttendance, type StoredAttendance } from './attendance.ts';
import { countedThrough, manifestOf } from './manifest.ts';
import { makeSpeakers } from './speakers.ts';

/** Frames per second of a transcoded picture: a picture that was passed on has no steady rate. */
const TRANSCODED_FPS = 30;
/** Bits per pixel and frame of a transcoded picture: some more than senders spend, because it is encoded twice. */
const TRANSCODED_BITS = 0.12;
/** Everything goes into one file, however long: what recordings of earlier versions were promised. */
const NO_LIMIT: FileLimit = { durationMs: Number.MAX_SAFE_INTEGER, bytes: Number.MAX_SAFE_INTEGER };

export type ExtrasOptions = {
  sid: string;
  cname: string;
  mp4: boolean;
  /** Where an MP4 ends, and the next begins; nowhere when left out. */
  mp4Limit?: FileLimit | undefined;
  speakers?: boolean | undefined;
  manifest: boolean;
  /** Number of each user's first MP4; 0 when left out. */
  firstMp4?: number | undefined;
  /** What other nodes recorded, and the manifest names as well. */
  elsewhere?: readonly SpooledFile[] | undefined;
};

/**
 * Makes what is missing and returns its names. `onProblem` is told, in words, what a user's MP4 or the file of all
 * speakers lacks. Throws a Fault when the folder cannot be read or written; and, once everything else is made, the
 * first Fault that prevented a user's MP4 or the file of all speakers.
 */
export async function makeExtras(
  dir: string,
  options: ExtrasOptions,
  onProblem: (what: string) => void,
): Promise<string[]> {
  const { sid, cname, mp4, speakers } = options;
  const { files, leftovers } = await readSpool(dir);
  const attendance = await readAttendance(dir);
  // Torn files are made anew under other names: a run that still writes may share them with this folder.
  for (const name of leftovers) if (/\.(mp4|mka)\.part$/.test(name)) await rm(join(dir, name), { force: true });
  const made: string[] = [];
  const failures: unknown[] = [];
  const journal = await Journal.open(dir);
  const keep = async (file: SpooledFile) => {
    // Of several files that belong together, a killed run may have noted some; they are made again with the rest.
    if (files.some(({ name }) => name === file.name)) return;
    await journal.append(file);
    files.push(file);
    made.push(file.name);
  };
  try {
    if (mp4) {
      const uids = new Set(files.flatMap((file) => (file.type === 'slice' && file.owner ? [file.owner.uid] : [])));
      for (const uid of uids) {
        const isOwn = (file: SpooledFile): file is WholeFile => file.type === 'mp4' && file.owner?.uid === uid;
        const { zeroUtcMs } = attendance;
        const all = { slices: slicesOf(uid, files), holds: attendedIn(attendance).holds, zeroUtcMs };
        if (hasAllMp4s(files.filter(isOwn), all)) continue;
        // A fault in one user's files must not cost anybody else theirs.
        await makeMp4(dir, uid, { options, attendance, files, keep, onProblem }).catch((error) => failures.push(error));
      }
    }
    if (speakers && !files.some((file) => file.type === 'speakers')) {
      try {
        const file = await makeSpeakers({ dir, manifest: manifestFor(options, attendance, files), onProblem });
        if (file) await keep(file);
      } catch (error) {
        failures.push(error);
      }
    }
    if (options.manifest && !files.some((file) => file.type === 'document' && file.kind === 'manifest')) {
      const name = documentName(baseName(sid, cname), 'manifest');
      const path = join(dir, name);
      const manifest = manifestFor(options, attendance, joined(options.elsewhere ?? [], files));
      await writeFile(partPath(path), `${JSON.stringify(manifest, null, 1)}\n`);
      const bytes = await finishPart(path);
      const place = { startUtcMs: attendance.zeroUtcMs, durationUs: 0, bytes };
      await keep({ type: 'document', kind: 'manifest', name, ...place });
    }
  } finally {
    await journal.close();
  }
  if (failures.length > 0) throw failures[0];
  return made;
}

function slicesOf(uid: string, files: readonly SpooledFile[]): Segment[] {
  return files.filter((file): file is Segment => file.type === 'slice' && file.owner?.uid === uid);
}

type Making = {
  options: ExtrasOptions;
  attendance: StoredAttendance;
  files: readonly SpooledFile[];
  keep(file: WholeFile): Promise<void>;
  onProblem(what: string): void;
};

/** Without transcoding where MP4 can hold the user's codecs; VP8 becomes H.264. */
async function makeMp4(dir: string, uid: string, making: Making): Promise<void> {
  const { options, attendance, files, keep, onProblem } = making;
  const name = userBaseName(baseName(options.sid, options.cname), uid, 'av');
  const slices = slicesOf(uid, files);
  try {
    const { holds } = attendedIn(attendance);
    await makeUserMp4({
      ...{ dir, baseName: name, uid, zeroUtcMs: attendance.zeroUtcMs, holds, slices, onFile: keep },
      limit: options.mp4Limit ?? NO_LIMIT,
      firstIndex: options.firstMp4,
      onRefused: onProblem,
    });
  } catch (error) {
    if (!(error instanceof Fault) || error.code !== 'mp4-codec') throw error;
    await transcode(dir, uid, name, making);
  }
}

async function transcode(dir: string, uid: string, name: string, making: Making): Promise<void> {
  const { options, attendance, files, keep, onProblem } = making;
  const manifest = manifestFor(options, attendance, files);
  const cast = castOf(manifest, { uids: [uid], audio: true, video: true, missing: new Set() });
  if (!cast.span) return;
  const shapes = cast.stays.flatMap((stay) => stay.slices.flatMap((slice) => slice.shapes));
  const sideways = (rotate: number) => rotate % 180 !== 0;
  const sizes = shapes.map(({ width, height, rotate }) => (sideways(rotate) ? [height, width] : [width, height]));
  const even = (most: number) => Math.min(1920, Math.max(2, most + (most % 2)));
  const [width, height] = [0, 1].map((side) => even(Math.max(0, ...sizes.map((size) => size[side] ?? 0)))) as [
    number,
    number,
  ];
  const hasSound = (cast.sounds.get(uid)?.length ?? 0) > 0;
  const bitrateKbps = Math.min(
    6500,
    Math.max(100, Math.round((width * height * TRANSCODED_FPS * TRANSCODED_BITS) / 1000)),
  );
  const work = await mkdtemp(join(dir, 'transcoding-'));
  try {
    const made = await remix({
      ...{ cast, fromUs: cast.span.startUs, toUs: cast.span.endUs, zeroUtcMs: attendance.zeroUtcMs },
      holds: manifest.holds,
      video: sizes.length > 0 ? { width, height, fps: TRANSCODED_FPS, bitrateKbps, ...ALONE } : undefined,
      audio: hasSound ? { channels: 2, bitrateKbps: 128 } : undefined,
      files: { mp4: true, hls: false },
      mp4Limit: options.mp4Limit ?? NO_LIMIT,
      ...{ dir: work, baseName: name, threads: 1, read: readSlicesIn(dir) },
      onProblem,
    });
    const trackType = sizes.length === 0 ? 'audio' : hasSound ? 'audio_and_video' : 'video';
    for (const file of made) {
      if (file.type !== 'mp4') continue;
      const index = file.index + (options.firstMp4 ?? 0);
      const stored = { ...file, index, name: mp4Name(name, index) };
      await rename(join(work, file.name), partPath(join(dir, stored.name)));
      await finishPart(join(dir, stored.name));
      await keep({ ...stored, owner: { uid, trackType } });
    }
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** The layout in which one user fills the picture. */
const ALONE = {
  layout: { kind: 'custom' as const, regions: [{ x: 0, y: 0, width: 1, height: 1, alpha: 1, render: 'fit' as const }] },
  backgroundColor: '#000000',
};

/** The files of all nodes. */
function joined(elsewhere: readonly SpooledFile[], own: readonly SpooledFile[]): readonly SpooledFile[] {
  if (elsewhere.length === 0) return own;
  const names = new Set(own.map(({ name }) => name));
  return countedThrough([...elsewhere.filter(({ name }) => !names.has(name)), ...own]);
}

function manifestFor({ sid, cname }: ExtrasOptions, attendance: StoredAttendance, files: readonly SpooledFile[]) {
  const { zeroUtcMs } = attendance;
  const ends = files.map((file) => (file.startUtcMs - zeroUtcMs) * 1000 + file.durationUs);
  // A recorder that crashed could not note where the recording ended.
  const endUs = attendance.endUs ?? Math.max(0, ...ends);
  const { stays, holds } = attendedIn(attendance);
  return manifestOf({ sid, cname, zeroUtcMs, endUs: Math.max(endUs, US / TRANSCODED_FPS), stays, holds, files });
}
