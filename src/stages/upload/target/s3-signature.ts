/**
 * AWS Signature Version 4 of a request to S3, in its header. Pure, except for a key that is derived once a day. Source:
 * https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html
 */
import { createHash, createHmac, createSecretKey, type KeyObject } from 'node:crypto';

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
  const stamp = new Date(nowMs).toISOString().replace(/[-:]|\.\d+/g, '');
  const day = stamp.slice(0, 8);
  const headers: Record<string, string> = {
    ...request.headers,
    'x-amz-content-sha256': request.sha256,
    'x-amz-date': stamp,
    ...(sessionToken !== undefined && { 'x-amz-security-token': sessionToken }),
  };
  const names = Object.keys(headers).sort();
  const canonical = [
    request.method,
    request.path,
    queryText(request.query),
    ...names.map((name) => `${name}:${headers[name]?.trim().replace(/ +/g, ' ')}`),
    '',
    names.join(';'),
    request.sha256,
  ].join('\n');
  const scope = `${day}/${region}/s3/aws4_request`;
  const digest = createHash('sha256').update(canonical).digest('hex');
  const text = ['AWS4-HMAC-SHA256', stamp, scope, digest].join('\n');
  const signature = hmac(keyOf(credentials, scope), text).toString('hex');
  const credential = `AWS4-HMAC-SHA256 Credential=${accessKey}/${scope}`;
  return { ...headers, authorization: `${credential},SignedHeaders=${names.join(';')},Signature=${signature}` };
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
