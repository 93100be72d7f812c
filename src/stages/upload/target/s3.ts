/**
 * Buckets that speak S3, Amazon's and others' by their dialect. Small files go as one PutObject, larger ones in parts
 * that can be gone on with; each is compared with what the store says it has. Retrying is mostly left to the caller,
 * who can wait for hours.
 */
import { createWriteStream } from 'node:fs';
import type { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import {
  AbortMultipartUploadCommand,
  CompleteMultipartUploadCommand,
  CreateMultipartUploadCommand,
  DeleteObjectCommand,
  GetObjectCommand,
  HeadObjectCommand,
  PutObjectCommand,
  PutObjectTaggingCommand,
  type S3Client,
  UploadPartCommand,
} from '@aws-sdk/client-s3';
import type { PartsSoFar } from '../../../contract/line/objects.ts';
import type { StorageConfig } from '../../../contract/line/storage.ts';
import { type Clock, sleep, systemClock } from '../../../kernel/clock.ts';
import { Fault } from '../../../kernel/fault.ts';
import { s3AddressOf, taggingOf, tagPairs } from './dialects.ts';
import { bytesDiffer, compareEtag, compareMultipartEtag, plainEtag, type Told } from './evidence.ts';
import { partBuffers } from './part-buffers.ts';
import { S3Connection, type S3ConnectionOptions } from './s3-connection.ts';
import { faultOf, nameOf, statusOf } from './s3-faults.ts';
import { type OpenSource, openSource, type Source } from './source.ts';
import type { PutOptions, Receipt, StoreWithFetch } from './target.ts';

const PART_BYTES = 8 * 1024 * 1024;
/** Parts of one file under way at once. */
const PARTS_AT_ONCE = 2;
/** Pauses between questions about an object that a store has taken and does not show yet; some seconds are common. */
const NOT_YET_MS = [250, 500, 1000, 2000, 4000, 8000];

/** What a test may change, and what only the server knows. */
export type S3Options = S3ConnectionOptions & {
  clock?: Clock;
  partBytes?: number;
  /** Takes what a store does otherwise than asked, and does not matter enough to fail for. */
  warn?: (text: string) => void;
};

/**
 * Opens the bucket that `storage` names; nothing is asked of it yet. Throws a Fault blaming `caller` for an unknown
 * region.
 */
export function openS3(storage: StorageConfig, options: S3Options = {}): StoreWithFetch {
  return new S3Bucket(storage, options);
}

type Head = { bytes: number | undefined; told: Told } | 'refused';

class S3Bucket implements StoreWithFetch {
  #storage: StorageConfig;
  #connection: S3Connection;
  #clock: Clock;
  #partBytes: number;
  #minPartBytes: number;
  #maxParts: number;
  #warn: (text: string) => void;
  #tags: 'header' | 'afterwards' | 'none';
  #tagging: string | undefined;

  constructor(storage: StorageConfig, options: S3Options) {
    const { dialect } = s3AddressOf(storage);
    const tag = storage.extensionParams?.tag;
    this.#storage = storage;
    this.#connection = new S3Connection(storage, options);
    this.#clock = options.clock ?? systemClock;
    this.#partBytes = options.partBytes ?? PART_BYTES;
    this.#minPartBytes = options.partBytes ?? dialect.minPartBytes;
    this.#maxParts = dialect.maxParts;
    this.#warn = options.warn ?? (() => {});
    this.#tags = dialect.tags;
    this.#tagging = tag && dialect.tags !== 'none' ? taggingOf(tag) : undefined;
    if (tag && dialect.tags === 'none') this.#warn(`${dialect.name} keeps no tags: extensionParams.tag is left out`);
  }

  get description(): string {
    return this.#connection.description;
  }

  async put(key: string, source: Source, contentType: string, options: PutOptions = {}): Promise<Receipt> {
    const { signal } = options;
    signal?.throwIfAborted();
    const open = await openSource(source);
    try {
      return open.bytes <= this.#partBytes
        ? await this.#putWhole(key, open, contentType, signal)
        : await this.#putParts(key, open, contentType, options);
    } catch (cause) {
      if (signal?.aborted) throw signal.reason;
      throw cause instanceof Fault ? cause : faultOf(cause, this.description);
    } finally {
      await open.close();
    }
  }

  async fetch(Key: string, path: string, signal?: AbortSignal): Promise<void> {
    try {
      const { Body } = await this.#send(
        (client, Bucket, sent) => client.send(new GetObjectCommand({ Bucket, Key }), sent),
        signal,
      );
      await pipeline(
        Body as Readable,
        createWriteStream(path, { flags: 'wx', mode: 0o600 }),
        ...(signal ? [{ signal }] : []),
      );
    } catch (cause) {
      signal?.throwIfAborted();
      if (statusOf(cause) !== 404) throw faultOf(cause, this.description);
      throw new Fault('object-missing', `${this.description} has no ${Key}`, { blame: 'destination', cause });
    }
  }

  async remove(Key: string): Promise<void> {
    try {
      await this.#send((client, Bucket, sent) => client.send(new DeleteObjectCommand({ Bucket, Key }), sent));
    } catch (cause) {
      if (statusOf(cause) !== 404) throw faultOf(cause, this.description);
    }
  }

  close(): void {
    this.#connection.close();
  }

  async #putWhole(key: string, source: OpenSource, ContentType: string, signal?: AbortSignal): Promise<Receipt> {
    return partBuffers.lend(source.bytes, async (buffer) => {
      const { data, md5, sha256 } = await source.read(0, source.bytes, buffer);
      const answer = await this.#withTagging((Tagging) =>
        this.#send(
          (client, Bucket, sent) =>
            client.send(
              new PutObjectCommand({
                ...this.#encryption(),
                Bucket,
                Key: key,
                Body: data,
                ContentType,
                // Buckets that keep objects locked insist on it, and everyone else checks it.
                ContentMD5: md5.toString('base64'),
                ...(Tagging && { Tagging }),
              }),
              sent,
            ),
          signal,
        ),
      );
      const told: Told = { etag: answer.ETag, encryption: answer.ServerSideEncryption };
      const digest = compareEtag(told, md5.toString('hex'));
      if (digest === 'other') throw bytesDiffer(this.description, key);
      const evidence = await this.#confirm({ key, bytes: data.length, told, digest, signal });
      return { key, bytes: data.length, etag: plainEtag(answer.ETag), md5: md5.toString('hex'), sha256, evidence };
    });
  }

  async #putParts(key: string, source: OpenSource, contentType: string, options: PutOptions): Promise<Receipt> {
    const { signal, onParts, resume } = options;
    let sofar = resume ?? (await this.#beginParts(key, source.bytes, contentType, signal));
    if (!resume) onParts?.(sofar);
    try {
      sofar = await this.#sendParts(key, source, sofar, options);
      const answer = await this.#completeParts(key, sofar, signal);
      const md5s = sofar.parts.map(({ md5 }) => md5);
      const told: Told = { etag: answer.ETag, encryption: answer.ServerSideEncryption };
      const digest = compareMultipartEtag(told, md5s);
      const partsAgree = sofar.parts.every(({ etag, md5 }) => etag === md5) ? 'same' : 'unknown';
      if (digest === 'other') throw bytesDiffer(this.description, key);
      const shown = digest === 'same' ? digest : partsAgree;
      const compare = (head: Told) => compareMultipartEtag(head, md5s);
      const evidence = await this.#confirm({ key, bytes: source.bytes, told, digest: shown, signal, compare });
      if (this.#tags === 'afterwards') await this.#tagAfterwards(key, signal);
      return { key, bytes: source.bytes, etag: plainEtag(answer.ETag), evidence };
    } catch (error) {
      // What is complete, lost or wrong cannot be gone on with; what was only interrupted can.
      const over = error instanceof Fault && /^stored-/.test(error.code);
      if (!over && nameOf(error) !== 'NoSuchUpload' && nameOf(error) !== 'InvalidPart') throw error;
      onParts?.(undefined);
      await this.#abortParts(key, sofar.uploadId);
      throw over ? error : retryable(error, this.description);
    }
  }

  async #beginParts(key: string, bytes: number, ContentType: string, signal?: AbortSignal): Promise<PartsSoFar> {
    const { UploadId } = await this.#withTagging(
      (Tagging) =>
        this.#send(
          (client, Bucket, sent) =>
            client.send(
              new CreateMultipartUploadCommand({
                ...this.#encryption(),
                Bucket,
                Key: key,
                ContentType,
                ...(Tagging && { Tagging }),
              }),
              sent,
            ),
          signal,
        ),
      this.#tags === 'header',
    );
    if (!UploadId)
      throw new Fault('store-answer-empty', `${this.description} began an upload in parts and gave it no id`, {
        blame: 'destination',
        retryable: true,
      });
    const partBytes = Math.max(this.#partBytes, this.#minPartBytes, Math.ceil(bytes / this.#maxParts));
    return { uploadId: UploadId, partBytes, parts: [] };
  }

  /** Sends what the store has not confirmed, some at once, and tells of each part as it is confirmed. */
  async #sendParts(key: string, source: OpenSource, sofar: PartsSoFar, options: PutOptions): Promise<PartsSoFar> {
    const { partBytes, uploadId } = sofar;
    const done = new Map(sofar.parts.map((part) => [part.number, part]));
    const all = Array.from({ length: Math.ceil(source.bytes / partBytes) }, (_, i) => i + 1);
    const todo = all.filter((number) => !done.has(number));
    const state = (): PartsSoFar => ({
      uploadId,
      partBytes,
      parts: [...done.values()].sort((a, b) => a.number - b.number),
    });
    const failed = new AbortController();
    const signal = options.signal ? AbortSignal.any([options.signal, failed.signal]) : failed.signal;
    const lane = async () => {
      for (let number = todo.shift(); number !== undefined; number = todo.shift()) {
        signal.throwIfAborted();
        done.set(number, await this.#sendPart({ key, source, partBytes, uploadId, number, signal }));
        options.onParts?.(state());
      }
    };
    const lanes = Array.from({ length: PARTS_AT_ONCE }, () =>
      lane().catch((error) => {
        // The other lanes need not finish what will be sent again.
        if (!failed.signal.aborted) failed.abort(error);
      }),
    );
    await Promise.all(lanes);
    if (failed.signal.aborted) throw failed.signal.reason;
    return state();
  }

  #sendPart(part: PartToSend): Promise<PartsSoFar['parts'][number]> {
    const { key, source, partBytes, uploadId, number, signal } = part;
    const offset = (number - 1) * partBytes;
    const length = Math.min(partBytes, source.bytes - offset);
    return partBuffers.lend(length, async (buffer) => {
      const { data, md5 } = await source.read(offset, length, buffer);
      const answer = await this.#send(
        (client, Bucket, sent) =>
          client.send(
            new UploadPartCommand({
              Bucket,
              Key: key,
              UploadId: uploadId,
              PartNumber: number,
              Body: data,
              ContentMD5: md5.toString('base64'),
            }),
            sent,
          ),
        signal,
      );
      const etag = plainEtag(answer.ETag);
      if (etag === undefined)
        throw new Fault('store-answer-empty', `${this.description} took part ${number} of ${key} without an ETag`, {
          blame: 'destination',
          retryable: true,
        });
      const told: Told = { etag: answer.ETag, encryption: answer.ServerSideEncryption };
      if (compareEtag(told, md5.toString('hex')) === 'other')
        throw bytesDiffer(this.description, `part ${number} of ${key}`);
      return { number, etag, md5: md5.toString('hex') };
    });
  }

  #completeParts(key: string, { uploadId, parts }: PartsSoFar, signal?: AbortSignal) {
    const Parts = parts.map(({ number, etag }) => ({ PartNumber: number, ETag: `"${etag}"` }));
    return this.#send(
      (client, Bucket, sent) =>
        client.send(
          new CompleteMultipartUploadCommand({
            Bucket,
            Key: key,
            UploadId: uploadId,
            MultipartUpload: { Parts },
          }),
          sent,
        ),
      signal,
      // A store may put hundreds of parts together before it says a word.
      { patient: true },
    );
  }

  /** Parts that nobody completes cost their owner money. That it fails is no reason to fail for. */
  async #abortParts(key: string, UploadId: string): Promise<void> {
    await this.#send((client, Bucket, sent) =>
      client.send(new AbortMultipartUploadCommand({ Bucket, Key: key, UploadId }), sent),
    ).catch(() => undefined);
  }

  /** Asks the store what it has, and says what that proves. Throws a Fault when it proves the contrary, or nothing. */
  async #confirm({ key, bytes, told, digest, signal, compare }: Claim): Promise<Receipt['evidence']> {
    const head = await this.#head(key, signal);
    if (head === 'refused' || head.bytes === undefined) {
      // Keys that may write and not read are common.
      if (digest === 'same') return 'digest';
      if (plainEtag(told.etag) !== undefined) return 'accepted';
      throw new Fault(
        'store-answer-empty',
        `${this.description} answered the put of ${key} without an ETag, and does not say what it has`,
        { blame: 'destination', retryable: true },
      );
    }
    if (head.bytes !== bytes)
      throw new Fault(
        'stored-size-wrong',
        `${this.description} has ${head.bytes} bytes of ${key} instead of ${bytes}`,
        {
          blame: 'destination',
          retryable: true,
        },
      );
    const again = compare?.(head.told) ?? digest;
    if (again === 'other') throw bytesDiffer(this.description, key);
    return digest === 'same' || again === 'same' ? 'digest' : 'size';
  }

  /** Some stores show an object only some seconds after they have taken it. */
  async #head(Key: string, signal?: AbortSignal): Promise<Head> {
    for (let attempt = 0; ; attempt++) {
      try {
        const head = await this.#send(
          (client, Bucket, sent) => client.send(new HeadObjectCommand({ Bucket, Key }), sent),
          signal,
        );
        return { bytes: head.ContentLength, told: { etag: head.ETag, encryption: head.ServerSideEncryption } };
      } catch (error) {
        const status = statusOf(error);
        if (status === 403 || status === 401 || status === 405 || status === 501) return 'refused';
        if (status !== 404 && !(status === undefined || status >= 500)) throw error;
        const delayMs = NOT_YET_MS[attempt];
        if (delayMs === undefined && status !== 404) throw error;
        if (delayMs === undefined)
          throw new Fault('stored-then-absent', `${this.description} took ${Key} and does not have it`, {
            blame: 'destination',
            retryable: true,
            cause: error,
          });
        await sleep(this.#clock, delayMs, signal);
      }
    }
  }

  #encryption() {
    const { sse } = this.#storage.extensionParams ?? {};
    if (!sse || !s3AddressOf(this.#storage).dialect.sse) return {};
    return { ServerSideEncryption: sse === 'kms' ? ('aws:kms' as const) : ('AES256' as const) };
  }

  /** Sends with the tags, and for ever without them once the store has said that it has none. */
  async #withTagging<T>(send: (tagging: string | undefined) => Promise<T>, wanted = true): Promise<T> {
    const tagging = wanted ? this.#tagging : undefined;
    try {
      return await send(tagging);
    } catch (error) {
      if (tagging === undefined || !lacksTags(error)) throw error;
      this.#leaveTagsOut(error);
      return send(undefined);
    }
  }

  async #tagAfterwards(Key: string, signal?: AbortSignal): Promise<void> {
    const { tag } = this.#storage.extensionParams ?? {};
    if (this.#tagging === undefined || !tag) return;
    const TagSet = tagPairs(tag).map(([name, Value]) => ({ Key: name, Value }));
    try {
      await this.#send(
        (client, Bucket, sent) => client.send(new PutObjectTaggingCommand({ Bucket, Key, Tagging: { TagSet } }), sent),
        signal,
      );
    } catch (error) {
      signal?.throwIfAborted();
      // The file is there, and is worth more than its tags.
      this.#leaveTagsOut(error);
    }
  }

  #leaveTagsOut(error: unknown): void {
    if (lacksTags(error)) this.#tagging = undefined;
    this.#warn(`${faultOf(error, this.description).message}; files are stored without extensionParams.tag`);
  }

  #send<T>(
    run: (client: S3Client, bucket: string, sent: { abortSignal?: AbortSignal }) => Promise<T>,
    signal?: AbortSignal,
    { patient = false } = {},
  ): Promise<T> {
    const sent = signal ? { abortSignal: signal } : {};
    return this.#connection.use((client) => run(client, this.#storage.bucket, sent), { patient, warn: this.#warn });
  }
}

type PartToSend = {
  key: string;
  source: OpenSource;
  partBytes: number;
  uploadId: string;
  number: number;
  signal: AbortSignal;
};

type Claim = {
  key: string;
  bytes: number;
  told: Told;
  digest: 'same' | 'unknown';
  signal?: AbortSignal | undefined;
  compare?: (head: Told) => 'same' | 'other' | 'unknown';
};

function lacksTags(error: unknown): boolean {
  return statusOf(error) === 501 || nameOf(error) === 'NotImplemented';
}

function retryable(cause: unknown, description: string): Fault {
  const { message } = faultOf(cause, description);
  return new Fault('store-failed', message, { blame: 'destination', retryable: true, cause });
}
