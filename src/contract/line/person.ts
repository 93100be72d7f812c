/**
 * What of a recording of single users is one person's: which files are theirs, and what documents, events and lists say
 * once they are taken out. Pure.
 */
import type { ListedFile } from '../rest/file-list.ts';
import type { Notice } from '../webhook/notice.ts';
import type { Manifest } from './manifest.ts';
import type { ObjectRecord } from './objects.ts';
import type { QualityReport } from './quality-report.ts';

/** Whether a file of this name is of this user alone: all such files name the user, whatever made them. */
export function isNameOf(uid: string, name: string): boolean {
  return name.includes(`__uid_s_${uid}__uid_e_`);
}

/** Whether a file of a recording is of this user alone. */
export function isFileOf(uid: string, { name, file }: Pick<ObjectRecord, 'name' | 'file'>): boolean {
  if (file?.type === 'snapshot') return file.uid === uid;
  if (file?.type === 'slice' || file?.type === 'mp4') return file.owner?.uid === uid || isNameOf(uid, name);
  return isNameOf(uid, name);
}

/** Whether a file of everybody may hold or name this user. */
export function mayHold(uid: string, { kind, file }: Pick<ObjectRecord, 'kind' | 'file'>): boolean {
  if (kind === 'document') return true;
  // Rows of versions that did not keep whose tracks it has.
  return kind === 'speakers' && (file?.type !== 'speakers' || file.uids.includes(uid));
}

/** A quality report that does not tell of this user. */
export function reportWithout(uid: string, report: QualityReport): QualityReport {
  return {
    ...report,
    participants: report.participants.filter((each) => each.uid !== uid),
    degraded: report.degraded.filter(({ what }) => !isTextOf(uid, what)),
  };
}

/** A manifest that does not name this user. `speakers` is the file of every speaker as it is now, if there is one. */
export function manifestWithout(uid: string, manifest: Manifest, speakersBytes: number | undefined): Manifest {
  const { speakers, ...rest } = manifest;
  const others = <T extends { uid: string }>(all: readonly T[]) => all.filter((each) => each.uid !== uid);
  const uids = speakers?.uids.filter((each) => each !== uid) ?? [];
  return {
    ...rest,
    users: others(rest.users),
    slices: others(rest.slices),
    mp4s: others(rest.mp4s),
    snapshots: others(rest.snapshots),
    ...(speakers && speakersBytes !== undefined && { speakers: { ...speakers, uids, bytes: speakersBytes } }),
  };
}

/** Listed files without those of this user, and without those of these names. */
export function filesWithout(uid: string, files: readonly ListedFile[], gone: ReadonlySet<string>): ListedFile[] {
  return files.filter(({ key, owner }) => {
    const name = key.slice(key.lastIndexOf('/') + 1);
    return owner?.uid !== uid && !isNameOf(uid, name) && !gone.has(name);
  });
}

/** An event without this user; undefined where it tells of nobody else. */
export function noticeWithout(uid: string, notice: Notice): Notice | undefined {
  const details: Record<string, unknown> = { ...notice.payload.details };
  if (details['streamUid'] === uid) return undefined;
  if (typeof details['fileName'] === 'string' && isNameOf(uid, details['fileName'])) return undefined;
  const { fileList } = details;
  if (typeof fileList === 'string' && isNameOf(uid, fileList)) return undefined;
  if (!Array.isArray(fileList)) return notice;
  const left = fileList.filter((each: { uid?: string; fileName?: string }) => {
    return each.uid !== uid && !(each.fileName !== undefined && isNameOf(uid, each.fileName));
  });
  if (left.length === fileList.length) return notice;
  return { ...notice, payload: { ...notice.payload, details: { ...details, fileList: left } } } as unknown as Notice;
}

/** Whether words that this server wrote name this user or a file of theirs. */
function isTextOf(uid: string, text: string): boolean {
  return isNameOf(uid, text) || new RegExp(`\\b(user|uid) ${uid}\\b`).test(text);
}
