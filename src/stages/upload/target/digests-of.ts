import { hash } from 'node:crypto';

/** Both in hex. */
export type Digests = { md5: string; sha256: string };
/** For a part of a file, which may have no SHA-256 of its own. */
export type PartDigests = { md5: string; sha256?: string };

export function digestsOf(data: Buffer): Digests {
  return { md5: hash('md5', data), sha256: hash('sha256', data) };
}
