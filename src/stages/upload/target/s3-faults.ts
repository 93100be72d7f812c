/**
 * What an S3 store's refusal means: whether it can pass, and what somebody has to change when it cannot. Pure.
 */
import { Fault, messageOf } from '../../../kernel/fault.ts';

/** As much of the SDK's errors as is read. */
type StoreError = {
  $metadata?: { httpStatusCode?: number };
  $response?: { headers?: Record<string, string>; body?: unknown };
  Code?: string;
  Region?: string;
  code?: string;
};

export function statusOf(error: unknown): number | undefined {
  return (error as StoreError | undefined)?.$metadata?.httpStatusCode;
}

/** The store's own word for the error, as `NoSuchBucket`; of a connection, the system's, as `ECONNREFUSED`. */
export function nameOf(error: unknown): string {
  const { Code, code } = error as StoreError;
  if (Code) return Code;
  const name = error instanceof Error ? error.name : 'Error';
  return name === 'Error' && typeof code === 'string' ? code : name;
}

function headerOf(error: unknown, name: string): string | undefined {
  const headers = (error as StoreError | undefined)?.$response?.headers ?? {};
  return Object.entries(headers).find(([key]) => key.toLowerCase() === name)?.[1];
}

/** The region that the store says the bucket is in. */
export function regionTold(error: unknown): string | undefined {
  const told = (error as StoreError | undefined)?.Region ?? headerOf(error, 'x-amz-bucket-region');
  return told && /^[a-z0-9-]{2,64}$/i.test(told) ? told : undefined;
}

/** Where the store sends the request instead. */
export function redirectTold(error: unknown): string | undefined {
  const status = statusOf(error);
  return status === 307 || status === 308 || status === 301 || status === 302 ? headerOf(error, 'location') : undefined;
}

/** Answers that say "later" although their status says "never". */
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
/** Failures of a connection that a person has to mend. */
const NEVER = new Set(['ENOTFOUND', 'endpoint-refused', 'EPROTO', 'ERR_INVALID_URL']);
const CERTIFICATE = /CERT|SELF_SIGNED|UNABLE_TO_(GET_ISSUER|VERIFY)|ERR_TLS|HOSTNAME_MISMATCH/;
const FULL = /^(QuotaExceeded|EntityTooLarge|InsufficientStorage|InsufficientCapacity|XMinioStorageFull)$/;

/** A failure of the SDK as a Fault. `retryable` says that it may pass by itself. */
export function faultOf(cause: unknown, description: string): Fault {
  const status = statusOf(cause);
  const name = nameOf(cause);
  const text = textOf(cause, name);
  const answer = status === undefined ? name : `${name}, HTTP ${status}`;
  return new Fault('store-failed', `${description} failed: ${text} (${answer})${adviceOn(name, status)}`, {
    blame: 'destination',
    retryable: canPass(name, status),
    cause,
  });
}

/** Some stores send an empty message, which the SDK replaces by a word that says nothing. */
function textOf(cause: unknown, name: string): string {
  const message = messageOf(cause);
  return message === '' || /^Unknown(Error)?$/.test(message) ? name : message;
}

function canPass(name: string, status: number | undefined): boolean {
  if (LATER.has(name)) return true;
  if (FULL.test(name) || NEVER.has(name) || CERTIFICATE.test(name)) return false;
  // 501 means that the store lacks what was asked; 505 and 511 are of no passing kind either.
  if (status === 501 || status === 505 || status === 507 || status === 511) return false;
  return status === undefined || status >= 500 || [307, 308, 408, 409, 425, 429].includes(status);
}

function adviceOn(name: string, status: number | undefined): string {
  if (LATER.has(name)) return name === 'RequestTimeTooSkewed' ? '; set this server’s clock, or the store’s' : '';
  if (name === 'NoSuchBucket') return '; create the bucket or correct storageConfig.bucket';
  if (FULL.test(name) || status === 507) return '; the bucket is full or has a quota: make room in it';
  if (name === 'ENOTFOUND') return '; no such host: correct storageConfig.extensionParams.endpoint or the DNS';
  if (name === 'ECONNREFUSED') return '; nobody listens there: check storageConfig.extensionParams.endpoint';
  if (name === 'EPROTO') return '; the endpoint does not speak TLS: check its scheme and port';
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
