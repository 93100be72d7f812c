/**
 * Vendors 1 and 11: Amazon S3 and what speaks its protocol. Small files go as one PutObject, larger ones in parts; either
 * is checked afterwards. Retrying is mostly left to the caller, who can wait for hours.
 */
import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { HeadObjectCommand, type PutObjectCommandInput, S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { Upload } from '@aws-sdk/lib-storage';
import { S3_REGIONS } from '../../../contract/line/regions.ts';
import { STORAGE_VENDORS, type StorageConfig } from '../../../contract/line/storage.ts';
import { Fault, messageOf } from '../../../kernel/fault.ts';
import type { StoredObject } from '../../../media/segment.ts';
import type { Source, Target } from './target.ts';

const PART_BYTES = 8 * 1024 * 1024;
/** Parts of one file under way at once; with the part size this bounds the memory of an upload. */
const PARTS_AT_ONCE = 2;
const CONNECT_TIMEOUT_MS = 10_000;
/** A connection on which nothing moves for this long is given up. */
const IDLE_TIMEOUT_MS = 30_000;

/** What a test may change. */
export type S3Options = { connectTimeoutMs?: number; idleTimeoutMs?: number };

/** Opens the bucket that `storage` names; nothing is asked of it yet. Throws a Fault blaming `caller` for an unknown region. */
export function openS3(storage: StorageConfig, options: S3Options = {}): Target {
  const { accessKey: accessKeyId, secretKey: secretAccessKey, stsToken } = storage;
  const config: S3ClientConfig = {
    region: regionOf(storage),
    credentials: { accessKeyId, secretAccessKey, ...(stsToken === undefined ? {} : { sessionToken: stsToken }) },
    maxAttempts: 2,
    // Newer checksums are on by default in the SDK, and many S3-compatible stores refuse them.
    requestChecksumCalculation: 'WHEN_REQUIRED',
    responseChecksumValidation: 'WHEN_REQUIRED',
    requestHandler: {
      connectionTimeout: options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
      socketTimeout: options.idleTimeoutMs ?? IDLE_TIMEOUT_MS,
    },
  };
  if (storage.vendor === STORAGE_VENDORS.s3Compatible) {
    config.endpoint = endpointUrl(storage.extensionParams?.endpoint ?? '');
    // Few of these stores have a DNS name for each bucket.
    config.forcePathStyle = true;
  }
  const where = config.endpoint ?? `Amazon S3, ${config.region}`;
  return new S3Bucket(new S3Client(config), storage, `bucket ${storage.bucket} at ${where}`);
}

function regionOf(storage: StorageConfig): string {
  if (storage.vendor !== STORAGE_VENDORS.s3) return 'us-east-1';
  const region = S3_REGIONS[storage.region];
  if (!region)
    throw new Fault('region-unknown', `region ${storage.region} is not a region of vendor 1`, { blame: 'caller' });
  return region;
}

/** A bare host means https, as the contract's sample has it; a scheme that is given is kept. */
export function endpointUrl(endpoint: string): string {
  const url = /^https?:\/\//.test(endpoint) ? endpoint : `https://${endpoint}`;
  return url.replace(/\/+$/, '');
}

/** The x-amz-tagging value of `tag`: `key=value` pairs as they are, a bare word as the value of a tag named `tag`. */
export function taggingOf(tag: string): string {
  const pairs = tag.includes('=') ? [...new URLSearchParams(tag)] : [['tag', tag]];
  return pairs.map((pair) => pair.map((word) => encodeURIComponent(word)).join('=')).join('&');
}

class S3Bucket implements Target {
  readonly description: string;
  #client: S3Client;
  #storage: StorageConfig;

  constructor(client: S3Client, storage: StorageConfig, description: string) {
    this.description = description;
    this.#client = client;
    this.#storage = storage;
  }

  async put(key: string, source: Source, contentType: string, signal?: AbortSignal): Promise<StoredObject> {
    signal?.throwIfAborted();
    const { bucket, extensionParams } = this.#storage;
    const bytes = await sizeOf(source);
    const body = 'data' in source ? source.data : createReadStream(source.path);
    const params: PutObjectCommandInput = { Bucket: bucket, Key: key, Body: body, ContentType: contentType };
    if (extensionParams?.sse) params.ServerSideEncryption = extensionParams.sse === 'kms' ? 'aws:kms' : 'AES256';
    if (extensionParams?.tag) params.Tagging = taggingOf(extensionParams.tag);
    let sourceError: Error | undefined;
    if (!Buffer.isBuffer(body)) body.once('error', (error) => (sourceError = error));

    const upload = new Upload({
      client: this.#client,
      params,
      partSize: PART_BYTES,
      queueSize: PARTS_AT_ONCE,
      leavePartsOnError: false,
    });
    const onAbort = () => void upload.abort().catch(() => undefined);
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      const { ETag: etag } = await upload.done();
      await this.#verify(key, bytes, signal);
      return { key, bytes, ...(etag === undefined ? {} : { etag }) };
    } catch (cause) {
      if (signal?.aborted) throw signal.reason;
      if (sourceError)
        throw new Fault('source-missing', `cannot read a spool file: ${sourceError.message}`, { blame: 'self', cause });
      throw cause instanceof Fault ? cause : faultOf(cause, this.description);
    } finally {
      signal?.removeEventListener('abort', onAbort);
      if (!Buffer.isBuffer(body)) body.destroy();
    }
  }

  close(): void {
    this.#client.destroy();
  }

  /** Asks the store what it has. Keys that may write and not read are common, so a refusal to answer is no failure. */
  async #verify(key: string, bytes: number, signal?: AbortSignal): Promise<void> {
    let found: number | undefined;
    try {
      const head = new HeadObjectCommand({ Bucket: this.#storage.bucket, Key: key });
      found = (await this.#client.send(head, signal ? { abortSignal: signal } : {})).ContentLength;
    } catch (error) {
      if (statusOf(error) === 403) return;
      throw error;
    }
    if (found !== bytes)
      throw new Fault('stored-size-wrong', `${this.description} has ${found} bytes of ${key} instead of ${bytes}`, {
        blame: 'destination',
        retryable: true,
      });
  }
}

/** The source's size. Throws a Fault when the spool file is gone or not what was noted of it. */
async function sizeOf(source: Source): Promise<number> {
  if ('data' in source) return source.data.length;
  const found = await stat(source.path).catch((cause: unknown) => {
    throw new Fault('source-missing', `cannot read a spool file: ${messageOf(cause)}`, { blame: 'self', cause });
  });
  if (found.size !== source.bytes)
    throw new Fault('source-changed', `${source.path} has ${found.size} bytes instead of ${source.bytes}`, {
      blame: 'self',
    });
  return found.size;
}

function statusOf(error: unknown): number | undefined {
  return (error as { $metadata?: { httpStatusCode?: number } } | undefined)?.$metadata?.httpStatusCode;
}

/** Answers that say "later" although their status says "never". */
const LATER = new Set(['RequestTimeout', 'SlowDown', 'Throttling', 'ThrottlingException', 'RequestTimeTooSkewed']);

/** A failure of the SDK as a Fault: 4xx other than 408, 409, 425 and 429 will not heal by themselves, all else may. */
export function faultOf(cause: unknown, description: string): Fault {
  const status = statusOf(cause);
  const name = cause instanceof Error ? cause.name : 'Error';
  const passing = status === undefined || status >= 500 || [408, 409, 425, 429].includes(status) || LATER.has(name);
  const advice = passing ? '' : adviceOn(name, status);
  const answer = status === undefined ? name : `${name}, HTTP ${status}`;
  return new Fault('store-failed', `${description} failed: ${messageOf(cause)} (${answer})${advice}`, {
    blame: 'destination',
    retryable: passing,
    cause,
  });
}

function adviceOn(name: string, status: number | undefined): string {
  if (name === 'NoSuchBucket') return '; create the bucket or correct storageConfig.bucket';
  if (name === 'PermanentRedirect' || status === 301)
    return '; the bucket is in another region than storageConfig.region';
  if (name === 'ExpiredToken') return '; the session token has ended: send a new one in storageConfig.stsToken';
  if (status === 401 || status === 403) return '; check accessKey, secretKey and the permission to put objects';
  return '';
}
