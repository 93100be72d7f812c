/**
 * The signatures of requests to object stores, checked as the stores do it: S3's Version 4, and those of the vendors'
 * own protocols. Each is made again from the request as it came.
 */
import { createHash, createHmac } from 'node:crypto';
import type { IncomingMessage } from 'node:http';

export type SignedRequest = Pick<IncomingMessage, 'method' | 'url' | 'headers'>;
export type Keys = { accessKey: string; secretKey: string };
/** `region`: S3's, signed for another one. The last two are the codes that stores answer with. */
export type Verdict = 'good' | 'region' | 'InvalidAccessKeyId' | 'SignatureDoesNotMatch';

/** AWS Signature Version 4. Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sig-v4-header-based-auth.html */
export function verifySigV4(request: SignedRequest, keys: Keys, region: string): Verdict {
  const { authorization = '' } = request.headers;
  const match = authorization.match(
    /^AWS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/([^/]+)\/s3\/aws4_request, ?SignedHeaders=([^,]+), ?Signature=([0-9a-f]{64})$/,
  );
  const [, key, day = '', signedRegion = '', signed = '', signature] = match ?? [];
  if (key !== keys.accessKey) return 'InvalidAccessKeyId';
  if (signedRegion !== region) return 'region';
  const { path, search } = targetOf(request);
  const query = search
    .map((pair) => (pair.includes('=') ? pair : `${pair}=`))
    .sort()
    .join('&');
  const canonical = [
    request.method,
    path,
    query,
    headerLines(request, signed.split(';')),
    signed,
    request.headers['x-amz-content-sha256'],
  ].join('\n');
  const scope = [day, region, 's3', 'aws4_request'];
  const text = ['AWS4-HMAC-SHA256', request.headers['x-amz-date'], scope.join('/'), sha256(canonical)].join('\n');
  return verdict(chained(`AWS4${keys.secretKey}`, [...scope, text]).toString('hex'), signature);
}

/**
 * The same in an address, which holds until it expires.
 * Source: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html
 */
export function verifySigV4Link(request: SignedRequest, keys: Keys, region: string, nowMs: number): Verdict {
  const { path, search } = targetOf(request);
  const told = Object.fromEntries(
    search.map((pair) => pair.split('=').map(decodeURIComponent) as [string, string | undefined]),
  );
  const [key, day = '', signedRegion = ''] = (told['X-Amz-Credential'] ?? '').split('/');
  if (key !== keys.accessKey) return 'InvalidAccessKeyId';
  if (signedRegion !== region) return 'region';
  const stamp = told['X-Amz-Date'] ?? '';
  const iso = stamp.replace(/^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z$/, '$1-$2-$3T$4:$5:$6Z');
  const ageMs = nowMs - Date.parse(iso);
  if (!(ageMs >= -900_000 && ageMs <= Number(told['X-Amz-Expires']) * 1000)) return 'SignatureDoesNotMatch';
  const signed = told['X-Amz-SignedHeaders'] ?? '';
  const canonical = [
    request.method,
    path,
    search
      .filter((pair) => !pair.startsWith('X-Amz-Signature='))
      .sort()
      .join('&'),
    headerLines(request, signed.split(';')),
    signed,
    'UNSIGNED-PAYLOAD',
  ].join('\n');
  const scope = [day, region, 's3', 'aws4_request'];
  const text = ['AWS4-HMAC-SHA256', stamp, scope.join('/'), sha256(canonical)].join('\n');
  return verdict(chained(`AWS4${keys.secretKey}`, [...scope, text]).toString('hex'), told['X-Amz-Signature']);
}

/**
 * Alibaba Cloud OSS, both versions.
 * Sources: https://www.alibabacloud.com/help/en/oss/developer-reference/recommend-to-use-signature-version-4 and
 * https://www.alibabacloud.com/help/en/oss/developer-reference/include-signatures-in-the-authorization-header
 */
export function verifyOss(request: SignedRequest, keys: Keys, place: OssPlace): Verdict {
  return request.headers.authorization?.startsWith('OSS4-')
    ? verifyOss4(request, keys, place)
    : verifyOss1(request, keys, place.bucket);
}

/** The bucket as the host names it; `region` is without `oss-`. */
type OssPlace = { bucket: string; region: string };

function verifyOss4(request: SignedRequest, keys: Keys, { bucket, region }: OssPlace): Verdict {
  const { authorization = '' } = request.headers;
  const match = authorization.match(
    /^OSS4-HMAC-SHA256 Credential=([^/]+)\/(\d{8})\/[^/]+\/oss\/aliyun_v4_request, ?(?:AdditionalHeaders=([^,]+), ?)?Signature=([0-9a-f]{64})$/,
  );
  const [, key, day = '', more = '', signature] = match ?? [];
  if (key !== keys.accessKey) return 'InvalidAccessKeyId';
  const { path, search } = targetOf(request);
  const always = Object.keys(request.headers).filter((name) => /^(content-type|content-md5|x-oss-.*)$/.test(name));
  const canonical = [
    request.method,
    `/${bucket}${path.split('/').map(decodeURIComponent).map(encode).join('/')}`,
    search
      .map((pair) => pair.replace(/=$/, ''))
      .sort()
      .join('&'),
    headerLines(request, [...new Set([...always, ...more.split(';').filter(Boolean)])].sort()),
    more,
    request.headers['x-oss-content-sha256'],
  ].join('\n');
  const scope = [day, region, 'oss', 'aliyun_v4_request'];
  const text = ['OSS4-HMAC-SHA256', request.headers['x-oss-date'], scope.join('/'), sha256(canonical)].join('\n');
  return verdict(chained(`aliyun_v4${keys.secretKey}`, [...scope, text]).toString('hex'), signature);
}

/** Query parameters that version 1 signs, of those that requests for an object have. */
const OSS_SUBRESOURCES =
  /^(acl|uploads|uploadId|partNumber|tagging|objectMeta|symlink|versionId|x-oss-.*|response-.*)$/;

function verifyOss1(request: SignedRequest, keys: Keys, bucket: string): Verdict {
  const { headers } = request;
  const [, key, signature] = headers.authorization?.match(/^OSS ([^:]+):(\S+)$/) ?? [];
  if (key !== keys.accessKey) return 'InvalidAccessKeyId';
  const { path, search } = targetOf(request);
  const subresources = search.filter((pair) => OSS_SUBRESOURCES.test(pair.split('=')[0] ?? '')).map(decodeURIComponent);
  const own = Object.keys(headers).filter((name) => name.startsWith('x-oss-'));
  const text = [
    ...[request.method, headers['content-md5'], headers['content-type'], headers['x-oss-date'] ?? headers.date],
    `${headerLines(request, own.sort())}/${bucket}${decodeURIComponent(path)}${subresources.length > 0 ? '?' : ''}`,
  ].join('\n');
  const signed = text + subresources.sort().join('&');
  return verdict(createHmac('sha1', keys.secretKey).update(signed).digest('base64'), signature);
}

/** Tencent COS. Source: https://www.tencentcloud.com/document/product/436/7778 */
export function verifyCos(request: SignedRequest, keys: Keys): Verdict {
  const given = new Map(
    (request.headers.authorization ?? '').split('&').map((pair) => pair.split('=') as [string, string]),
  );
  if (given.get('q-sign-algorithm') !== 'sha1' || given.get('q-ak') !== keys.accessKey) return 'InvalidAccessKeyId';
  const { path, search } = targetOf(request);
  const parameters = search.map((pair) => pair.split('=').map(decodeURIComponent));
  const parameter = (name: string) => parameters.find(([key]) => key?.toLowerCase() === name)?.[1];
  const listed = (list: string, read: (name: string) => unknown) =>
    (given.get(list) ?? '')
      .split(';')
      .filter(Boolean)
      .map((name) => `${name}=${encode(String(read(decodeURIComponent(name)) ?? ''))}`)
      .join('&');
  const text = [
    request.method?.toLowerCase(),
    decodeURIComponent(path),
    listed('q-url-param-list', parameter),
    listed('q-header-list', (name) => request.headers[name]),
    '',
  ].join('\n');
  const digest = createHash('sha1').update(text).digest('hex');
  // The derived key is used as text, not as the bytes that it stands for.
  const key = createHmac('sha1', keys.secretKey)
    .update(given.get('q-key-time') ?? '')
    .digest('hex');
  const toSign = `sha1\n${given.get('q-sign-time')}\n${digest}\n`;
  return verdict(createHmac('sha1', key).update(toSign).digest('hex'), given.get('q-signature'));
}

function verdict(expected: string, given: string | undefined): Verdict {
  return expected === given ? 'good' : 'SignatureDoesNotMatch';
}

/** Path and parameters as they were sent, neither decoded. */
function targetOf({ url = '/' }: SignedRequest): { path: string; search: string[] } {
  const [path = '/', search = ''] = url.split('?');
  return { path, search: search.split('&').filter(Boolean) };
}

function headerLines({ headers }: SignedRequest, names: readonly string[]): string {
  const value = (name: string) =>
    String(headers[name] ?? '')
      .trim()
      .replace(/ +/g, ' ');
  return names.map((name) => `${name}:${value(name)}\n`).join('');
}

/** HMAC-SHA256 of each text, each under the one before as its key. */
function chained(secret: string, texts: readonly string[]): Buffer {
  let key = Buffer.from(secret);
  for (const text of texts) key = createHmac('sha256', key).update(text).digest();
  return key;
}

function sha256(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** All but RFC 3986's unreserved characters. */
function encode(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (char) => `%${char.charCodeAt(0).toString(16).toUpperCase()}`);
}
