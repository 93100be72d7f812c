/**
 * What a store's answers prove about an object. Pure: compares digests that the store told with those of what was sent.
 */
import { createHash } from 'node:crypto';
import { Fault } from '../../../kernel/fault.ts';

export type Told = {
  etag?: string | undefined;
  /** `x-amz-server-side-encryption` of the answer. */
  encryption?: string | undefined;
};

/** An ETag without quotes and weakness mark, in lower case (OSS answers in upper case); undefined for an empty one. */
export function plainEtag(etag: string | undefined): string | undefined {
  const plain = etag?.replace(/^W\//, '').replaceAll('"', '').trim().toLowerCase();
  return plain || undefined;
}

/**
 * Whether the ETag shows that the store has the bytes with this MD5: `same`, `other`, or `unknown` when the ETag is no
 * MD5. Under encryption with KMS keys it looks like an MD5 but is none.
 */
export function compareEtag({ etag, encryption }: Told, md5: string): 'same' | 'other' | 'unknown' {
  const plain = plainEtag(etag);
  if (plain === md5) return 'same';
  if (plain === undefined || !/^[0-9a-f]{32}$/.test(plain) || encryption?.startsWith('aws:kms')) return 'unknown';
  return 'other';
}

/** The ETag that most stores give a file in parts: the MD5 of the parts' MD5s, and the number of parts. */
function multipartEtag(md5s: readonly string[]): string {
  const hash = createHash('md5');
  for (const md5 of md5s) hash.update(md5, 'hex');
  return `${hash.digest('hex')}-${md5s.length}`;
}

/** As compareEtag, for a whole file that was put in parts. Some stores give such objects another kind of ETag. */
export function compareMultipartEtag(
  { etag, encryption }: Told,
  md5s: readonly string[],
): 'same' | 'other' | 'unknown' {
  const plain = plainEtag(etag);
  const wanted = multipartEtag(md5s);
  if (plain === wanted) return 'same';
  const comparable = plain !== undefined && /^[0-9a-f]{32}-\d+$/.test(plain) && plain.endsWith(`-${md5s.length}`);
  return comparable && !encryption?.startsWith('aws:kms') ? 'other' : 'unknown';
}

export function bytesDiffer(description: string, what: string): Fault {
  return new Fault('stored-bytes-differ', `${description} has other bytes of ${what} than were sent`, {
    blame: 'destination',
    retryable: true,
  });
}
