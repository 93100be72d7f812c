/**
 * Buckets that speak S3, Amazon's and others' by their dialect. Small files go as one PutObject, larger ones in parts,
 * which can be continued; each file is compared with what the store says it has. Retrying is mostly left to the caller,
 * who can wait for hours.
 */
import type { PartsSoFar } from '../../../contract/line/objects.ts';
import type { StorageConfig } from '../../../contract/line/storage.ts';
import { type Clock, sleep, systemClock } from '../../../kernel/clock.ts';
import { Fault } from '../../../kernel/fault.ts';
import { s3AddressOf, taggingOf, tagPairs } from './dialects.ts';
import { bytesDiffer, compareEtag, compareMultipartEtag, plainEtag, type Told } from './evidence.ts';
import { partBuffers } from './part-buffers.ts';
import { S3Connection, type S3ConnectionOptions, toldBy } from './s3-connection.ts';
import { faultOf, nameOf, statusOf } from './s3-faults.ts';
import { S3Parts } from './s3-parts.ts';
import { eraseVersions } from './s3-versions.ts';
import { element } from './s3-xml.ts';
import { digested, type OpenSource, openSource, type Source } from './source.ts';
import type { PutOptions, Receipt, StoreWithLinks } from './target.ts';

const PART_BYTES = 8 * 1024 * 1024;
/**
 * Pauses between questions about an object that a store has taken but does not show yet; some seconds are common. None
 * is longer than a second, because files are stored one after another, and a stop waits for the last.
 */
const NOT_YET_MS = [250, 500, ...Array<number>(15).fill(1000)];

/** What a test may change, and what only the server knows. */
export type S3Options = S3ConnectionOptions & { partBytes?: number };

/**
 * Opens the bucket that `storage` names; it is not contacted yet. Throws a Fault blaming `caller` for an unknown
 * region.
 */
export function openS3(storage: StorageConfig, options: S3Options = {}): StoreWithLinks {
  return new S3Bucket(storage, options);
}

type Begun = Awaited<ReturnType<S3Parts['begin']>>;
type Head = { bytes: number | undefined; told: Told } | 'refused';

class S3Bucket implements StoreWithLinks {
  #storage: StorageConfig;
  #connection: S3Connection;
  #clock: Clock;
  #parts: S3Parts;
  /** Larger files go in parts. */
  #partBytes: number;
  #warn: (text: string) => void;
  #tags: 'header' | 'afterwards' | 'none';
  #tagging: string | undefined;

  constructor(storage: StorageConfig, options: S3Options) {
    const { dialect } = s3AddressOf(storage);
    const tag = storage.extensionParams?.tag;
    this.#storage = storage;
    this.#connection = new S3Connection(storage, options);
    this.#clock = options.clock ?? systemClock;
    this.#partBytes = options.partBytes ?? Math.max(PART_BYTES, dialect.minPartBytes);
    this.#parts = new S3Parts(this.#connection, { dialect, partBytes: this.#partBytes });
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

  async fetch(key: string, path: string, signal?: AbortSignal): Promise<void> {
    try {
      await this.#connection.download({ method: 'GET', key, signal }, path);
    } catch (cause) {
      signal?.throwIfAborted();
      if (statusOf(cause) !== 404) throw faultOf(cause, this.description);
      throw new Fault('object-missing', `${this.description} has no ${key}`, { blame: 'destination', cause });
    }
  }

  async has(key: string): Promise<boolean> {
    try {
      await this.#touch(key);
      return true;
    } catch (cause) {
      const status = statusOf(cause);
      if (status === 404) return false;
      // It is empty.
      if (status === 416) return true;
      throw faultOf(cause, this.description);
    }
  }

  async link(key: string, options: { lifeS: number; fileName: string }): Promise<string> {
    try {
      await this.#touch(key);
    } catch (cause) {
      if (statusOf(cause) !== 404) throw faultOf(cause, this.description);
      throw new Fault('object-missing', `${this.description} has no ${key}`, { blame: 'destination', cause });
    }
    return this.#connection.linkTo(key, options);
  }

  async remove(key: string): Promise<void> {
    try {
      await this.#connection.send({ method: 'DELETE', key });
    } catch (cause) {
      if (statusOf(cause) !== 404) throw faultOf(cause, this.description);
    }
  }

  async erase(key: string): Promise<number | undefined> {
    try {
      return await eraseVersions(this.#connection, key);
    } catch (cause) {
      throw faultOf(cause, this.description);
    }
  }

  async abandon(key: string, { uploadId }: PartsSoFar): Promise<void> {
    try {
      await this.#parts.abort(key, uploadId);
    } catch (cause) {
      throw faultOf(cause, this.description);
    }
  }

  async sweep(key: string, bytes: number): Promise<void> {
    if (bytes <= this.#partBytes) return;
    try {
      await this.#parts.sweep(key);
    } catch (cause) {
      throw faultOf(cause, this.description);
    }
  }

  close(): void {
    this.#connection.close();
  }

  /** Reads a byte. The store tells its region, its time and what the keys may; a refused HEAD tells nothing. */
  #touch(key: string): Promise<void> {
    return this.#connection.touch({ method: 'GET', key, headers: { range: 'bytes=0-0' } });
  }

  async #putWhole(key: string, source: OpenSource, contentType: string, signal?: AbortSignal): Promise<Receipt> {
    return partBuffers.lend(source.bytes, async (buffer) => {
      const body = await source.read(0, source.bytes, buffer);
      const { md5, sha256 } = body;
      const answer = await this.#withTagging((tagging) =>
        this.#connection.send({
          ...{ method: 'PUT', key, body, signal },
          headers: { ...this.#encryption(), 'content-type': contentType, 'x-amz-tagging': tagging },
        }),
      );
      const told = toldBy(answer);
      const digest = compareEtag(told, md5);
      if (digest === 'other') throw bytesDiffer(this.description, key);
      const evidence = await this.#confirm({ key, bytes: source.bytes, told, digest, signal });
      const { repeated } = answer;
      return {
        key,
        bytes: source.bytes,
        etag: plainEtag(told.etag),
        md5,
        sha256,
        evidence,
        ...(repeated && { repeated }),
      };
    });
  }

  async #putParts(key: string, source: OpenSource, contentType: string, options: PutOptions): Promise<Receipt> {
    const { signal, onParts, resume } = options;
    const begun = resume ? undefined : await this.#beginParts(key, source.bytes, contentType, signal);
    let sofar = resume ?? (begun as Begun).sofar;
    if (begun) onParts?.(sofar);
    try {
      sofar = await this.#parts.send(key, source, sofar, options);
      const md5s = sofar.parts.map(({ md5 }) => md5);
      const told = await this.#parts
        .complete(key, sofar, signal)
        .catch((error) => this.#completedUnheard(key, source.bytes, md5s, error));
      const digest = compareMultipartEtag(told, md5s);
      const partsAgree = sofar.parts.every(({ etag, md5 }) => etag === md5) ? 'same' : 'unknown';
      if (digest === 'other') throw bytesDiffer(this.description, key);
      const shown = digest === 'same' ? digest : partsAgree;
      const compare = (head: Told) => compareMultipartEtag(head, md5s);
      const evidence = await this.#confirm({ key, bytes: source.bytes, told, digest: shown, signal, compare });
      if (this.#tags === 'afterwards') await this.#tagAfterwards(key, signal);
      const sha256 = await source.sha256();
      const receipt = { key, bytes: source.bytes, etag: plainEtag(told.etag), sha256, evidence };
      return begun?.repeated ? { ...receipt, unnoted: true } : receipt;
    } catch (error) {
      // An upload that is complete, lost or wrong cannot be continued; one that was only interrupted can, by whoever
      // knows of it.
      const over = error instanceof Fault && /^stored-/.test(error.code);
      const forgotten = nameOf(error) === 'NoSuchUpload' || nameOf(error) === 'InvalidPart';
      if (!over && !forgotten && onParts) throw error;
      onParts?.(undefined);
      // When this fails too the first error still counts.
      await this.abandon(key, sofar).catch(() => undefined);
      throw forgotten ? retryable(error, this.description) : error;
    }
  }

  #beginParts(key: string, bytes: number, contentType: string, signal?: AbortSignal): Promise<Begun> {
    return this.#withTagging(
      (tagging) =>
        this.#parts.begin(key, bytes, {
          headers: { ...this.#encryption(), 'content-type': contentType, 'x-amz-tagging': tagging },
          signal,
        }),
      this.#tags === 'header',
    );
  }

  /**
   * What the store has, if it has forgotten an upload because its answer to the completion was lost on the way. Throws
   * `error` when that is not so.
   */
  async #completedUnheard(key: string, bytes: number, md5s: readonly string[], error: unknown): Promise<Told> {
    if (nameOf(error) !== 'NoSuchUpload') throw error;
    const answer = await this.#connection.send({ method: 'HEAD', key }).catch(() => undefined);
    const isWhole = answer !== undefined && Number(answer.headers['content-length']) === bytes;
    if (!isWhole || compareMultipartEtag(toldBy(answer), md5s) !== 'same') throw error;
    return toldBy(answer);
  }

  /**
   * Asks the store what it has, and returns what that proves. Throws a Fault when it proves the contrary, or nothing.
   */
  async #confirm({ key, bytes, told, digest, signal, compare }: Claim): Promise<Receipt['evidence']> {
    const head = await this.#head(key, signal);
    if (head === 'refused' || head.bytes === undefined) {
      // Keys that may write but not read are common.
      if (digest === 'same') return 'digest';
      if (plainEtag(told.etag) !== undefined) return 'accepted';
      throw new Fault(
        'store-answer-empty',
        `${this.description} answered the put of ${key} without an ETag, and does not say what it has; is the endpoint a store’s?`,
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
  async #head(key: string, signal?: AbortSignal): Promise<Head> {
    for (let attempt = 0; ; attempt++) {
      try {
        const answer = await this.#connection.send({ method: 'HEAD', key, signal });
        const length = answer.headers['content-length'];
        return { bytes: length === undefined ? undefined : Number(length), told: toldBy(answer) };
      } catch (error) {
        const status = statusOf(error);
        if (status === 403 || status === 401 || status === 405 || status === 501) return 'refused';
        if (status !== 404 && !(status === undefined || status >= 500)) throw error;
        const delayMs = NOT_YET_MS[attempt];
        if (delayMs === undefined && status !== 404) throw error;
        if (delayMs === undefined)
          throw new Fault('stored-then-absent', `${this.description} took ${key} and does not have it`, {
            blame: 'destination',
            retryable: true,
            cause: error,
          });
        await sleep(this.#clock, delayMs, signal);
      }
    }
  }

  #encryption(): Record<string, string> {
    const { sse } = this.#storage.extensionParams ?? {};
    if (!sse || !s3AddressOf(this.#storage).dialect.sse) return {};
    return { 'x-amz-server-side-encryption': sse === 'kms' ? 'aws:kms' : 'AES256' };
  }

  /** Sends with tags, and always without them once the store has said that it has none. */
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

  async #tagAfterwards(key: string, signal?: AbortSignal): Promise<void> {
    const { tag } = this.#storage.extensionParams ?? {};
    if (this.#tagging === undefined || !tag) return;
    const tags = tagPairs(tag).map(([name, value]) => element('Tag', [element('Key', name), element('Value', value)]));
    const body = digested(Buffer.from(element('Tagging', [element('TagSet', tags)])));
    try {
      await this.#connection.send({
        ...{ method: 'PUT', key, query: { tagging: '' }, body, signal },
        headers: { 'content-type': 'application/xml' },
      });
    } catch (error) {
      signal?.throwIfAborted();
      // The file is stored, which matters more than its tags.
      this.#leaveTagsOut(error);
    }
  }

  #leaveTagsOut(error: unknown): void {
    if (lacksTags(error)) this.#tagging = undefined;
    this.#warn(`${faultOf(error, this.description).message}; files are stored without extensionParams.tag`);
  }
}

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
