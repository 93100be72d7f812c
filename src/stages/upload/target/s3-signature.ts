/**
 * AWS Signature Version 4 of a request to S3, in its header or in its address. Pure, except for a key that is derived
 * once a day. Sources: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html and
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
 */
import { createHash, createHmac, createSecretKey, type KeyObject } from 'node:crypto';

const ALGORITHM = 'AWS4-HMAC-SHA256';
/** Signed in place of the SHA-256 of a body: where its `Content-MD5` is signed, which proves it, or there is none. */
export const UNSIGNED_PAYLOAD = 'UNSIGNED-PAYLOAD';

export type Credentials = { accessKey: string; secretKey: string; sessionToken?: string | undefined };

export type UnsignedRequest = {
  method: string;
  /** As it is sent: `uriPath` of the bucket and key. */
  path: string;
  query: Readonly<Record<string, string>>;
  /** Names in lower case, including `host`; all are signed. */
  headers: Readonly<Record<string, string>>;
  /** SHA-256 of the body in hex, or `UNSIGNED-PAYLOAD`. */
  sha256: string;
};

/** A path's segments, encoded as S3 wants them in a signature: all characters except unreserved ones, and only once. */
export function uriPath(...segments: readonly string[]): string {
  return segments.map((segment) => `/${segment.split('/').map(encode).join('/')}`).join('');
}

/** A query as it is sent and signed: names in order, each with a `=`. Empty when there are none. */
export function queryText(query: Readonly<Record<string, string>>): string {
  return Object.entries(query)
    .map(([name, value]) => `${encode(name)}=${encode(value)}`)
    .sort()
    .join('&');
}

/**
 * The headers of the signed `request`: its own, the date, the body's digest, the session token and the signature.
 * @param nowMs wall time of the store's clock, Unix milliseconds
 */
export function signed(
  request: UnsignedRequest,
  credentials: Credentials,
  region: string,
  nowMs: number,
): Record<string, string> {
  const { accessKey, sessionToken } = credentials;
  const { stamp, scope } = momentOf(nowMs, region);
  const headers: Record<string, string> = {
    ...request.headers,
    'x-amz-content-sha256': request.sha256,
    'x-amz-date': stamp,
    ...(sessionToken !== undefined && { 'x-amz-security-token': sessionToken }),
  };
  const names = Object.keys(headers).sort();
  const signature = signatureOf({ ...request, headers }, names, credentials, { stamp, scope });
  const credential = `${ALGORITHM} Credential=${accessKey}/${scope}`;
  return { ...headers, authorization: `${credential},SignedHeaders=${names.join(';')},Signature=${signature}` };
}

/**
 * The query of an address with which anybody may make one GET request, without keys, for a while.
 * @param request `host` as the request will name it
 * @param nowMs wall time of the store's clock, Unix milliseconds
 * @param lifeS for how many seconds from then on, 1 to 604,800
 */
export function signedQuery(
  { path, query, host }: Pick<UnsignedRequest, 'path' | 'query'> & { host: string },
  credentials: Credentials,
  region: string,
  nowMs: number,
  lifeS: number,
): string {
  const { accessKey, sessionToken } = credentials;
  const { stamp, scope } = momentOf(nowMs, region);
  const whole = {
    ...query,
    'X-Amz-Algorithm': ALGORITHM,
    'X-Amz-Credential': `${accessKey}/${scope}`,
    'X-Amz-Date': stamp,
    'X-Amz-Expires': String(lifeS),
    'X-Amz-SignedHeaders': 'host',
    ...(sessionToken !== undefined && { 'X-Amz-Security-Token': sessionToken }),
  };
  const request = { method: 'GET', path, query: whole, headers: { host }, sha256: UNSIGNED_PAYLOAD };
  const signature = signatureOf(request, ['host'], credentials, { stamp, scope });
  return `${queryText(whole)}&X-Amz-Signature=${signature}`;
}

type Moment = { stamp: string; scope: string };

function momentOf(nowMs: number, region: string): Moment {
  const stamp = new Date(nowMs).toISOString().replace(/[-:]|\.\d+/g, '');
  return { stamp, scope: `${stamp.slice(0, 8)}/${region}/s3/aws4_request` };
}

/** @param names of all headers, in order */
function signatureOf(
  { method, path, query, headers, sha256 }: UnsignedRequest,
  names: readonly string[],
  credentials: Credentials,
  { stamp, scope }: Moment,
): string {
  const canonical = [
    method,
    path,
    queryText(query),
    ...names.map((name) => `${name}:${headers[name]?.trim().replace(/ +/g, ' ')}`),
    '',
    names.join(';'),
    sha256,
  ].join('\n');
  const digest = createHash('sha256').update(canonical).digest('hex');
  const text = [ALGORITHM, stamp, scope, digest].join('\n');
  return hmac(keyOf(credentials, scope), text).toString('hex');
}

type Key = { scope: string; key: KeyObject };

/** Deriving the key costs four times as much as the signature itself, and it is valid for a day. */
const keys = new WeakMap<Credentials, Key>();

function keyOf(credentials: Credentials, scope: string): KeyObject {
  const known = keys.get(credentials);
  if (known?.scope === scope) return known.key;
  let bytes: Buffer = Buffer.from(`AWS4${credentials.secretKey}`);
  for (const part of scope.split('/')) bytes = hmac(createSecretKey(bytes), part);
  const key = createSecretKey(bytes);
  keys.set(credentials, { scope, key });
  return key;
}

function hmac(key: KeyObject, text: string): Buffer {
  return createHmac('sha256', key).update(text).digest();
}

/** As RFC 3986 says: encodeURIComponent leaves five reserved characters unencoded. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}
