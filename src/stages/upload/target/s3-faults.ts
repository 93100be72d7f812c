/**
 * What an S3 store's refusal says and means: whether it can pass, and what somebody must change when it cannot. Pure.
 */
import { type IncomingHttpHeaders, STATUS_CODES } from 'node:http';
import { Fault, messageOf } from '../../../kernel/fault.ts';
import { retryAfterMs } from '../retry.ts';
import { elementText } from './s3-xml.ts';

/** A store's refusal, in its own words. */
export class S3Error extends Error {
  readonly status: number;
  /** The store's own word, such as `NoSuchBucket`; when it gave none, HTTP's, such as `NotFound`. */
  readonly code: string;
  /** The region that the store says the bucket is in. */
  readonly region: string | undefined;
  /** The address to which the store redirects the request. */
  readonly location: string | undefined;
  /** The store's time, Unix milliseconds. */
  readonly dateMs: number | undefined;
  /** How long a busy store asks to be left alone, milliseconds. */
  readonly retryAfterMs: number | undefined;

  /** @param text the answer's body: XML, or whatever came instead */
  constructor(status: number, headers: IncomingHttpHeaders, text: string) {
    const code = elementText(text, 'Code') || (STATUS_CODES[status] ?? `HTTP${status}`).replace(/[ '-]/g, '');
    super(elementText(text, 'Message') || code);
    this.name = 'S3Error';
    this.status = status;
    this.code = code;
    const region = elementText(text, 'Region') ?? headers['x-amz-bucket-region'];
    const tells = status === 400 || status === 301 || status === 307 || status === 308;
    this.region = tells && typeof region === 'string' && /^[a-z0-9-]{2,64}$/i.test(region) ? region : undefined;
    this.location = tells && status !== 400 ? headers.location : undefined;
    const dateMs = Date.parse(headers.date ?? '');
    this.dateMs = Number.isNaN(dateMs) ? undefined : dateMs;
    const isBusy = status === 503 || status === 429;
    this.retryAfterMs = isBusy ? retryAfterMs(headers['retry-after'], this.dateMs) : undefined;
  }
}

export function statusOf(error: unknown): number | undefined {
  return error instanceof S3Error ? error.status : undefined;
}

/**
 * The store's own word for the error, such as `NoSuchBucket`; for a connection the system's, such as `ECONNREFUSED`.
 */
export function nameOf(error: unknown): string {
  const { code } = error as { code?: unknown };
  if (typeof code === 'string') return code;
  return error instanceof Error ? error.name : 'Error';
}

/**
 * Whether it is a hiccup after which it is worth asking again at once: a broken connection, or a store that was busy or
 * failed.
 */
export function isPassing(error: unknown): boolean {
  const status = statusOf(error);
  // When a store tells when it may be asked again it is not asked earlier.
  if (error instanceof S3Error && error.retryAfterMs) return false;
  if (status !== undefined) return status === 429 || (status >= 500 && status <= 504 && status !== 501);
  return ['ECONNRESET', 'EPIPE'].includes(nameOf(error));
}

/** Answers that mean "later" although their status means "never". */
const LATER = new Set([
  'RequestTimeout',
  'SlowDown',
  'Throttling',
  'ThrottlingException',
  'RequestTimeTooSkewed',
  'BadDigest',
  'XAmzContentSHA256Mismatch',
  'InvalidDigest',
  'IncompleteBody',
  'OperationAborted',
]);
/** Failures of a connection that somebody must mend. */
const NEVER = new Set(['ENOTFOUND', 'endpoint-refused', 'ERR_INVALID_URL']);
/** The other side does not speak TLS: the first when a write shows it, the others when a read does. */
const NO_TLS = new Set(['EPROTO', 'ERR_SSL_WRONG_VERSION_NUMBER', 'ERR_SSL_PACKET_LENGTH_TOO_LONG']);
const CERTIFICATE = /CERT|SELF_SIGNED|UNABLE_TO_(GET_ISSUER|VERIFY)|ERR_TLS|HOSTNAME_MISMATCH/;
const FULL = /^(QuotaExceeded|EntityTooLarge|InsufficientStorage|InsufficientCapacity|XMinioStorageFull)$/;

/** The failure of a request as a Fault. `retryable` tells that it may pass by itself. */
export function faultOf(cause: unknown, description: string): Fault {
  const status = statusOf(cause);
  const name = nameOf(cause);
  const answer = status === undefined ? name : `${name}, HTTP ${status}`;
  return new Fault(
    'store-failed',
    `${description} failed: ${wordsOf(cause) || name} (${answer})${adviceOn(name, status)}`,
    {
      blame: 'destination',
      retryable: canPass(name, status),
      retryAfterMs: cause instanceof S3Error ? cause.retryAfterMs : undefined,
      cause,
    },
  );
}

/** On one line. OpenSSL's messages end with the place in its source, which tells an operator nothing. */
function wordsOf(cause: unknown): string {
  const openssl = messageOf(cause).match(/:error:[0-9A-F]{8}:[^:]*:[^:]*:([^:]+):/);
  return (openssl?.[1] ?? messageOf(cause)).replace(/\s+/g, ' ').trim();
}

function canPass(name: string, status: number | undefined): boolean {
  if (LATER.has(name)) return true;
  if (FULL.test(name) || NEVER.has(name) || NO_TLS.has(name) || CERTIFICATE.test(name)) return false;
  // 501 means that the store lacks what was asked for; 505 and 511 do not pass by themselves either.
  if (status === 501 || status === 505 || status === 507 || status === 511) return false;
  return status === undefined || status >= 500 || [307, 308, 408, 409, 425, 429].includes(status);
}

function adviceOn(name: string, status: number | undefined): string {
  if (LATER.has(name)) return name === 'RequestTimeTooSkewed' ? '; set this server’s clock, or the store’s' : '';
  if (name === 'NoSuchBucket') return '; create the bucket or correct storageConfig.bucket';
  if (FULL.test(name) || status === 507) return '; the bucket is full or has a quota: make room in it';
  if (name === 'ENOTFOUND') return '; no such host: correct storageConfig.extensionParams.endpoint or the DNS';
  if (name === 'ECONNREFUSED') return '; nobody listens there: check storageConfig.extensionParams.endpoint';
  if (NO_TLS.has(name)) return '; the endpoint does not speak TLS: check its scheme and port';
  if (CERTIFICATE.test(name))
    return '; the store’s certificate is not trusted: give it one that is, or trust its issuer (NODE_EXTRA_CA_CERTS)';
  if (name === 'endpoint-refused') return '; the operator of this server decides which networks may be stored to';
  if (name === 'ExpiredToken') return '; the session token has ended: send a new one in storageConfig.stsToken';
  if (name === 'PermanentRedirect' || status === 301)
    return '; the bucket is elsewhere: correct storageConfig.region or extensionParams.endpoint';
  if (name === 'InvalidBucketName') return '; correct storageConfig.bucket, or the endpoint’s way to address buckets';
  if (status === 501) return '; the store lacks something that was asked of it, such as storageConfig.extensionParams';
  if (status === 401 || status === 403) return '; check accessKey, secretKey and the permission to put objects';
  return '';
}
