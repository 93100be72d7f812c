/**
 * Vendor 5: Azure Blob Storage. `accessKey` is the account's name, `secretKey` its key, `bucket` the container. Small
 * files go as one Put Blob, larger ones as blocks; Azure checks the MD5 of each, and afterwards its own copy is
 * compared. Signed addresses are service SAS
 * (https://learn.microsoft.com/rest/api/storageservices/create-service-sas).
 */
import { createHash } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { pipeline } from 'node:stream/promises';
import {
  BlobSASPermissions,
  type BlockBlobClient,
  ContainerClient,
  generateBlobSASQueryParameters,
  newPipeline,
  type RequestPolicyFactory,
  RestError,
  SASProtocol,
  StorageSharedKeyCredential,
} from '@azure/storage-blob';
import type { PartsSoFar } from '../../../contract/line/objects.ts';
import type { StorageConfig } from '../../../contract/line/storage.ts';
import { systemClock } from '../../../kernel/clock.ts';
import type { EndpointGuard } from '../../../kernel/endpoint-guard.ts';
import { Fault, messageOf } from '../../../kernel/fault.ts';
import { retryAfterMs } from '../retry.ts';
import { azureEndpoint, tagPairs } from './dialects.ts';
import { bytesDiffer } from './evidence.ts';
import { partBuffers } from './part-buffers.ts';
import { type OpenSource, openSource, type Source } from './source.ts';
import type { PutOptions, Receipt, StoreWithLinks } from './target.ts';

const BLOCK_BYTES = 8 * 1024 * 1024;
const MAX_BLOCKS = 50_000;
const TRY_TIMEOUT_MS = 60_000;
/** A download whose connection ends early is gone on with so often, where it broke off. */
const MOST_RESUMED = 100;

export type AzureOptions = { guard?: EndpointGuard | undefined; warn?: (text: string) => void; blockBytes?: number };

/**
 * Opens the container that `storage` names; it is not contacted yet. Throws a Fault blaming `caller` for a malformed
 * key.
 */
export function openAzure(storage: StorageConfig, options: AzureOptions = {}): StoreWithLinks {
  try {
    return new AzureContainer(storage, options);
  } catch (cause) {
    throw new Fault('credentials-invalid', `accessKey and secretKey are no account of Azure: ${messageOf(cause)}`, {
      blame: 'caller',
      cause,
    });
  }
}

class AzureContainer implements StoreWithLinks {
  readonly description: string;
  #container: ContainerClient;
  #bucket: string;
  #account: StorageSharedKeyCredential;
  #blockBytes: number;
  #tags: Record<string, string> | undefined;
  #agents: Agents | undefined;

  constructor(storage: StorageConfig, { guard, blockBytes = BLOCK_BYTES }: AzureOptions) {
    const { accessKey, secretKey, bucket, extensionParams } = storage;
    const endpoint = azureEndpoint(storage);
    this.description = `container ${bucket} at Azure Blob Storage, ${endpoint}`;
    this.#blockBytes = blockBytes;
    this.#tags = extensionParams?.tag ? Object.fromEntries(tagPairs(extensionParams.tag)) : undefined;
    const agents = guard?.agents({ keepAlive: true, maxSockets: 16 });
    this.#agents = agents;
    this.#bucket = bucket;
    this.#account = new StorageSharedKeyCredential(accessKey, secretKey);
    const policies = newPipeline(this.#account, {
      // Retrying is left to the caller.
      retryOptions: { maxTries: 1, tryTimeoutInMs: TRY_TIMEOUT_MS },
    });
    if (agents) policies.factories.push(throughAgents(agents));
    this.#container = new ContainerClient(`${endpoint}/${bucket}`, policies);
  }

  async put(key: string, source: Source, contentType: string, options: PutOptions = {}): Promise<Receipt> {
    const { signal } = options;
    signal?.throwIfAborted();
    const open = await openSource(source);
    try {
      const blob = this.#container.getBlockBlobClient(key);
      return open.bytes <= this.#blockBytes
        ? await this.#putWhole(blob, key, open, contentType, signal)
        : await this.#putBlocks(blob, key, open, contentType, options);
    } catch (cause) {
      if (signal?.aborted) throw signal.reason;
      throw cause instanceof Fault ? cause : azureFault(cause, this.description);
    } finally {
      await open.close();
    }
  }

  async fetch(key: string, path: string, signal?: AbortSignal): Promise<void> {
    try {
      // The library sees to it that no byte of this version is missing.
      const { readableStreamBody } = await this.#container
        .getBlockBlobClient(key)
        .download(0, undefined, { maxRetryRequests: MOST_RESUMED, ...(signal && { abortSignal: signal }) });
      if (!readableStreamBody) throw new Error('the answer has no body');
      await pipeline(
        ...[readableStreamBody, createWriteStream(path, { flags: 'wx', mode: 0o600 })],
        signal ? { signal } : {},
      );
    } catch (cause) {
      signal?.throwIfAborted();
      throw this.#missing(key, cause) ?? azureFault(cause, this.description);
    }
  }

  async link(key: string, { lifeS, fileName }: { lifeS: number; fileName: string }): Promise<string> {
    const blob = this.#container.getBlockBlobClient(key);
    try {
      // The address ends by the store's own time, which may be another one than here.
      const { date } = await blob.getProperties();
      const nowMs = date?.getTime() ?? systemClock.nowMs();
      const signature = generateBlobSASQueryParameters(
        {
          ...{ containerName: this.#bucket, blobName: key, permissions: BlobSASPermissions.parse('r') },
          expiresOn: new Date(nowMs + lifeS * 1000),
          contentDisposition: `attachment; filename="${fileName}"`,
          ...(blob.url.startsWith('https:') && { protocol: SASProtocol.Https }),
        },
        this.#account,
      );
      return `${blob.url}?${signature}`;
    } catch (cause) {
      throw this.#missing(key, cause) ?? azureFault(cause, this.description);
    }
  }

  async has(key: string): Promise<boolean> {
    try {
      return await this.#container.getBlockBlobClient(key).exists();
    } catch (cause) {
      throw azureFault(cause, this.description);
    }
  }

  /** The Fault where there is no such blob. */
  #missing(key: string, cause: unknown): Fault | undefined {
    if (statusCode(cause) !== 404 || errorCode(cause) === 'ContainerNotFound') return undefined;
    return new Fault('object-missing', `${this.description} has no ${key}`, { blame: 'destination', cause });
  }

  /** Blocks that nobody commits are removed after a week, and no call removes them earlier. */
  async abandon(): Promise<void> {}

  async sweep(): Promise<void> {}

  async remove(key: string): Promise<void> {
    try {
      await this.#container.getBlockBlobClient(key).deleteIfExists();
    } catch (cause) {
      throw azureFault(cause, this.description);
    }
  }

  async erase(key: string): Promise<undefined> {
    try {
      await this.#container.getBlockBlobClient(key).deleteIfExists({ deleteSnapshots: 'include' });
      return undefined;
    } catch (cause) {
      throw azureFault(cause, this.description);
    }
  }

  close(): void {
    this.#agents?.httpAgent.destroy();
    this.#agents?.httpsAgent.destroy();
  }

  #putWhole(
    blob: BlockBlobClient,
    key: string,
    source: OpenSource,
    contentType: string,
    signal?: AbortSignal,
  ): Promise<Receipt> {
    return partBuffers.lend(source.bytes, async (buffer) => {
      const { data, md5, sha256 } = await source.read(0, source.bytes, buffer);
      const answer = await blob.upload(data, data.length, {
        ...(signal && { abortSignal: signal }),
        // Without it Azure would compute a digest of what it got; with it, Azure refuses bytes that changed on their
        // way.
        blobHTTPHeaders: { blobContentType: contentType, blobContentMD5: Buffer.from(md5, 'hex') },
        ...(this.#tags && { tags: this.#tags }),
      });
      const evidence = await this.#confirm(blob, key, data.length, md5, signal);
      return { key, bytes: data.length, etag: answer.etag, md5, sha256, evidence };
    });
  }

  async #putBlocks(
    blob: BlockBlobClient,
    key: string,
    source: OpenSource,
    contentType: string,
    options: PutOptions,
  ): Promise<Receipt> {
    const { signal, resume, onParts } = options;
    const partBytes = resume?.partBytes ?? Math.max(this.#blockBytes, Math.ceil(source.bytes / MAX_BLOCKS));
    const sofar: PartsSoFar = resume ?? { uploadId: '', partBytes, parts: [] };
    const parts = [...sofar.parts];
    const ids = (count: number) =>
      Array.from({ length: count }, (_, i) => Buffer.from(String(i).padStart(8, '0')).toString('base64'));
    const count = Math.ceil(source.bytes / partBytes);
    const whole = createHash('md5');
    for (let at = 0; at < count; at++) {
      const offset = at * partBytes;
      const length = Math.min(partBytes, source.bytes - offset);
      await partBuffers.lend(length, async (buffer) => {
        const { data, md5 } = await source.read(offset, length, buffer);
        whole.update(data);
        // A confirmed block is only read, for the digest of the whole.
        if (parts.some(({ number, md5: had }) => number === at + 1 && had === md5)) return;
        await blob.stageBlock(ids(count)[at] as string, data, length, {
          ...(signal && { abortSignal: signal }),
          transactionalContentMD5: Buffer.from(md5, 'hex'),
        });
        parts.push({ number: at + 1, etag: '', md5 });
        onParts?.({ ...sofar, parts: [...parts] });
      });
    }
    const md5 = whole.digest('hex');
    try {
      const answer = await blob.commitBlockList(ids(count), {
        ...(signal && { abortSignal: signal }),
        blobHTTPHeaders: { blobContentType: contentType, blobContentMD5: Buffer.from(md5, 'hex') },
        ...(this.#tags && { tags: this.#tags }),
      });
      const evidence = await this.#confirm(blob, key, source.bytes, md5, signal);
      const sha256 = await source.sha256();
      return { key, bytes: source.bytes, etag: answer.etag, md5, sha256, evidence };
    } catch (error) {
      if (errorCode(error) !== 'InvalidBlockList') throw error;
      onParts?.(undefined);
      throw new Fault('store-failed', `${this.description} has forgotten blocks of ${key}`, {
        blame: 'destination',
        retryable: true,
        cause: error,
      });
    }
  }

  /** Each block was checked when it was staged, so where reading is refused the answer itself is proof. */
  async #confirm(blob: BlockBlobClient, key: string, bytes: number, md5: string, signal?: AbortSignal) {
    try {
      const has = await blob.getProperties(signal ? { abortSignal: signal } : {});
      if (has.contentLength !== bytes)
        throw new Fault('stored-size-wrong', `${this.description} has ${has.contentLength} bytes of ${key}`, {
          blame: 'destination',
          retryable: true,
        });
      if (has.contentMD5 && Buffer.from(has.contentMD5).toString('hex') !== md5)
        throw bytesDiffer(this.description, key);
      return 'digest' as const;
    } catch (error) {
      if (statusCode(error) === 403) return 'digest' as const;
      throw error;
    }
  }
}

type Agents = ReturnType<EndpointGuard['agents']>;

/** The library takes agents only for each request. */
function throughAgents({ httpAgent, httpsAgent }: Agents): RequestPolicyFactory {
  return {
    create: (next) => ({
      sendRequest(request) {
        request.agent = request.url.startsWith('https:') ? httpsAgent : httpAgent;
        return next.sendRequest(request);
      },
    }),
  };
}

const statusCode = (error: unknown) => (error as { statusCode?: number } | undefined)?.statusCode;
function errorCode(error: unknown): string {
  const { code, details } = error as { code?: string; details?: { errorCode?: string } };
  return details?.errorCode ?? code ?? (error instanceof Error ? error.name : 'Error');
}

/** An error of the library as a Fault. */
function azureFault(cause: unknown, description: string): Fault {
  const status = statusCode(cause);
  const code = errorCode(cause);
  const never = ['ENOTFOUND', 'endpoint-refused'].includes(code) || /CERT|SELF_SIGNED|ERR_TLS/.test(code);
  const isLocked = code === 'BlobImmutableDueToPolicy';
  const passing = isLocked ? false : status === undefined ? !never : status >= 500 || [408, 409, 429].includes(status);
  const isDigest = code === 'Md5Mismatch';
  const advice =
    code === 'ContainerNotFound'
      ? '; create the container or correct storageConfig.bucket'
      : code === 'ENOTFOUND'
        ? '; no such host: accessKey must be the name of the storage account'
        : status === 403
          ? '; check accessKey (the account’s name), secretKey (its key) and the permission to write blobs'
          : '';
  // The library's message has many lines of headers.
  const [text = code] = messageOf(cause).split('\n');
  const answer = status === undefined ? code : `${code}, HTTP ${status}`;
  return new Fault('store-failed', `${description} failed: ${text} (${answer})${advice}`, {
    blame: 'destination',
    retryable: passing || isDigest,
    retryAfterMs: status === 503 || status === 429 ? askedPauseMs(cause) : undefined,
    cause,
  });
}

function askedPauseMs(error: unknown): number | undefined {
  const headers = error instanceof RestError ? error.response?.headers : undefined;
  const dateMs = Date.parse(headers?.get('date') ?? '');
  return retryAfterMs(headers?.get('retry-after'), Number.isNaN(dateMs) ? undefined : dateMs);
}
