/**
 * The names of a recording's files (contract §4.1). Pure. A name never holds a separator, so no file can lie outside
 * its folder.
 */
import { invariant } from '../../kernel/fault.ts';
import { utcStamp } from '../../kernel/time.ts';

/** Leaves room in a 255-byte file name for the sid, the stamp, the extension and `.part`. */
const MAX_CNAME_CHARACTERS = 180;

/**
 * `<sid>_<cname>`, where every character of `cname` that is not an ASCII letter, digit or `-` becomes `-` (the
 * contract's special characters, `_` among them, and anything that no file name should hold).
 * @param sid 32 lowercase hex characters
 */
export function baseName(sid: string, cname: string): string {
  invariant(/^[0-9a-f]{32}$/.test(sid), 'a sid is 32 lowercase hex characters');
  const plain = [...cname].map((c) => (/[A-Za-z0-9-]/.test(c) ? c : '-')).slice(0, MAX_CNAME_CHARACTERS);
  return `${sid}_${plain.join('')}`;
}

/** `<base>.m3u8` */
export function playlistName(base: string): string {
  return `${base}.m3u8`;
}

/** `<base>__uid_s_<uid>__uid_e_<type>`: how the names of one user's files begin; `av` means sound and picture. */
export function userBaseName(base: string, uid: string, type: 'audio' | 'video' | 'av'): string {
  invariant(/^\d{1,10}$/.test(uid), 'a uid is a decimal integer');
  return `${base}__uid_s_${uid}__uid_e_${type}`;
}

/** Names the row in which a user's fragments of sound are counted; no file with this name is written. */
export function fragmentRowName(base: string, uid: string): string {
  return `${userBaseName(base, uid, 'av')}_audio.m4s`;
}

/** `<base>.mpd` */
export function mpdName(base: string): string {
  return `${base}.mpd`;
}

/** `<base>_<yyyyMMddHHmmssSSS>.<extension>`; the stamp is the UTC of the slice's first sample. */
export function sliceName(base: string, startUtcMs: number, extension = 'ts'): string {
  return `${base}_${utcStamp(startUtcMs)}.${extension}`;
}

/** `<base>_<yyyyMMddHHmmssSSS>.jpg`; the stamp is the UTC of the picture. */
export function snapshotName(base: string, utcMs: number): string {
  return `${base}_${utcStamp(utcMs)}.jpg`;
}

/** `<base>_report.json`, `<base>_manifest.json` */
export function documentName(base: string, kind: 'report' | 'manifest'): string {
  return `${base}_${kind}.json`;
}

/** `<base>_speakers.mka` */
export function speakersName(base: string): string {
  return `${base}_speakers.mka`;
}

/** `<base>_<index>.mp4`, `index` from 0. */
export function mp4Name(base: string, index: number): string {
  return `${base}_${index}.mp4`;
}

/** `<base>_report.json`, the quality report of a recording. */
export function reportName(base: string): string {
  return `${base}_report.json`;
}

export type SliceNameParts = {
  /** Everything before the stamp: how the names of the stream's files begin. */
  base: string;
  startUtcMs: number;
  extension: string;
  /** For a recording of single users; `recording` is how the names of all its files begin. */
  user: { recording: string; uid: string; type: 'audio' | 'video' | 'av' } | undefined;
};

/** Takes the parts of a `sliceName`; undefined for another name. */
export function readSliceName(name: string): SliceNameParts | undefined {
  const match = /^(.+)_(\d{4})(\d\d)(\d\d)(\d\d)(\d\d)(\d\d)(\d{3})\.(ts|webm|m4s)$/.exec(name);
  if (!match) return undefined;
  const [, base, ...rest] = match as unknown as [string, string, ...string[]];
  const [year, month, ...time] = rest.slice(0, 7).map(Number) as [
    number,
    number,
    number,
    number,
    number,
    number,
    number,
  ];
  const user = /^(.+)__uid_s_(\d{1,10})__uid_e_(audio|video|av)$/.exec(base);
  return {
    base,
    startUtcMs: Date.UTC(year, month - 1, ...time),
    extension: rest[7]!,
    user: user ? { recording: user[1]!, uid: user[2]!, type: user[3] as 'audio' | 'video' | 'av' } : undefined,
  };
}
