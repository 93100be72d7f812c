/**
 * The names of a recording's files (contract §4.1). Pure. A name never holds a separator, so none can climb out of a folder.
 */
import { invariant } from '../../kernel/fault.ts';
import { utcStamp } from '../../kernel/time.ts';

/** Leaves room in a 255-byte file name for the sid, the stamp, the extension and `.part`. */
const MAX_CNAME_CHARACTERS = 180;

/**
 * `<sid>_<cname>`, where every character of `cname` that is not an ASCII letter, digit or `-` has become `-`
 * (the contract's special characters, `_` among them, and anything no file name should hold).
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

/** `<base>_<yyyyMMddHHmmssSSS>.ts`; the stamp is the UTC of the slice's first sample. */
export function sliceName(base: string, startUtcMs: number): string {
  return `${base}_${utcStamp(startUtcMs)}.ts`;
}

/** `<base>_<index>.mp4`, `index` from 0. */
export function mp4Name(base: string, index: number): string {
  return `${base}_${index}.mp4`;
}

/** `<base>_report.json`, the quality report of a recording. */
export function reportName(base: string): string {
  return `${base}_report.json`;
}

/** The object key of a file: the prefix's elements and the name, joined with `/`. */
export function objectKey(prefix: readonly string[], name: string): string {
  return [...prefix, name].join('/');
}
