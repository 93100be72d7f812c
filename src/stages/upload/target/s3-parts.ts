/**
 * S3Parts: large files in a bucket that speaks S3, in parts: begun, sent some at once, put together, or removed. Parts
 * that nobody puts together cost their owner money, and no listing of objects shows them.
 */
import type { PartsSoFar } from '../../../contract/line/objects.ts';
import { Fault } from '../../../kernel/fault.ts';
import type { Dialect } from './dialects.ts';
import { bytesDiffer, compareEtag, plainEtag, type Told } from './evidence.ts';
import { partBuffers } from './part-buffers.ts';
import { type S3Answer, type S3Connection, type S3Request, toldBy } from './s3-connection.ts';
import { nameOf, S3Error, statusOf } from './s3-faults.ts';
import { element, elements, elementText } from './s3-xml.ts';
import { digested, type OpenSource } from './source.ts';
import type { PutOptions } from './target.ts';

/** How many parts of one file are sent at once. */
const PARTS_AT_ONCE = 2;
/** A page lists a thousand uploads; when a store sends more pages than this they are ignored. */
const MOST_PAGES = 20;
/** Errors that a store may answer when it wants a signed SHA-256 of each body. */
const REFUSES_UNSIGNED = /^(AccessDenied|InvalidRequest|InvalidArgument|NotImplemented|XAmzContentSHA256Mismatch)$/;

export type S3PartsOptions = {
  dialect: Dialect;
  /** Size of each part except the last; larger when a file would have too many parts. */
  partBytes: number;
};

/** Throws S3Errors and the connection's errors unchanged, and Faults for answers that a store must not give. */
export class S3Parts {
  readonly #connection: S3Connection;
  readonly #options: S3PartsOptions;
  /** Some buckets have a policy against bodies without a signed SHA-256. */
  #signsParts = false;

  constructor(connection: S3Connection, options: S3PartsOptions) {
    this.#connection = connection;
    this.#options = options;
  }

  /** `repeated` when the store may have begun another upload, whose answer was lost. */
  async begin(
    key: string,
    bytes: number,
    { headers, signal }: Required<Pick<S3Request, 'headers' | 'signal'>>,
  ): Promise<{ sofar: PartsSoFar; repeated: boolean }> {
    const request = { method: 'POST', key, query: { uploads: '' }, headers, signal } as const;
    const { text, repeated } = await this.#connection.send(request);
    const uploadId = elementText(text, 'UploadId');
    if (!uploadId) throw this.#answerEmpty('began an upload in parts and gave it no id');
    const { partBytes, dialect } = this.#options;
    const fitting = Math.max(partBytes, Math.ceil(bytes / dialect.maxParts));
    return { sofar: { uploadId, partBytes: fitting, parts: [] }, repeated };
  }

  /** Sends what the store has not confirmed, some parts at once, and tells of each part as it is confirmed. */
  async send(key: string, source: OpenSource, sofar: PartsSoFar, options: PutOptions): Promise<PartsSoFar> {
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
        // The other lanes stop, because their parts will be sent again.
        if (!failed.signal.aborted) failed.abort(error);
      }),
    );
    await Promise.all(lanes);
    if (failed.signal.aborted) throw failed.signal.reason;
    return state();
  }

  /** Makes the store put the parts together. Resolves to what it tells of the whole. */
  async complete(key: string, { uploadId, parts }: PartsSoFar, signal?: AbortSignal): Promise<Told> {
    const list = parts.map(({ number, etag }) =>
      element('Part', [element('PartNumber', String(number)), element('ETag', `"${etag}"`)]),
    );
    const answer = await this.#connection.send({
      ...{ method: 'POST', key, query: { uploadId }, signal },
      headers: { 'content-type': 'application/xml' },
      body: digested(Buffer.from(element('CompleteMultipartUpload', list))),
      // A store may put hundreds of parts together before it answers.
      patient: true,
    });
    // It may have answered 200 only to keep the connection open, before it knew the outcome.
    if (elementText(answer.text, 'Code') !== undefined) throw new S3Error(500, answer.headers, answer.text);
    // A proxy may answer 200 with any page, and where HEAD is refused nothing else would show that.
    if (!/<CompleteMultipartUploadResult\b/.test(answer.text))
      throw this.#answerEmpty(`does not say that it put the parts of ${key} together`);
    return { ...toldBy(answer), etag: elementText(answer.text, 'ETag') };
  }

  /** Removes one upload with all its parts. Does nothing when it is gone. */
  async abort(key: string, uploadId: string): Promise<void> {
    try {
      await this.#connection.send({ method: 'DELETE', key, query: { uploadId } });
    } catch (cause) {
      if (statusOf(cause) !== 404) throw cause;
    }
  }

  /** Removes all uploads of exactly this key. Does nothing for stores that do not list them. */
  async sweep(key: string): Promise<void> {
    if (!this.#options.dialect.listsUploads) return;
    for (const uploadId of await this.#unfinished(key)) await this.abort(key, uploadId);
  }

  /** Other keys that begin with this one may be listed first: Swift lists `x.old` before `x`. */
  async #unfinished(key: string): Promise<Set<string>> {
    const found = new Set<string>();
    let markers: Record<string, string> = {};
    for (let page = 1; ; page++) {
      const query = { uploads: '', prefix: key, ...markers };
      const { text } = await this.#connection.send({ method: 'GET', key: '', query });
      for (const upload of elements(text, 'Upload')) {
        const uploadId = elementText(upload, 'UploadId');
        if (uploadId && elementText(upload, 'Key') === key) found.add(uploadId);
      }
      const [keyMarker, idMarker] = [elementText(text, 'NextKeyMarker'), elementText(text, 'NextUploadIdMarker')];
      const isLast = elementText(text, 'IsTruncated') !== 'true' || !keyMarker || page === MOST_PAGES;
      if (isLast) return found;
      markers = { 'key-marker': keyMarker, ...(idMarker && { 'upload-id-marker': idMarker }) };
    }
  }

  #sendPart(part: PartToSend): Promise<PartsSoFar['parts'][number]> {
    const { key, source, partBytes, uploadId, number, signal } = part;
    const offset = (number - 1) * partBytes;
    const length = Math.min(partBytes, source.bytes - offset);
    return partBuffers.lend(length, async (buffer) => {
      const query = { partNumber: String(number), uploadId };
      const { md5, answer } = await this.#withSigning(async (signed) => {
        const body = await source.read(offset, length, buffer, signed);
        return { md5: body.md5, answer: await this.#connection.send({ method: 'PUT', key, query, body, signal }) };
      });
      const etag = this.#etagOf(answer, `took part ${number} of ${key} without an ETag`);
      if (compareEtag(toldBy(answer), md5) === 'other')
        throw bytesDiffer(this.#connection.description, `part ${number} of ${key}`);
      return { number, etag, md5 };
    });
  }

  #etagOf(answer: S3Answer, without: string): string {
    const etag = plainEtag(answer.headers.etag);
    if (etag === undefined) throw this.#answerEmpty(without);
    return etag;
  }

  /**
   * Sends a part without a SHA-256 of its own, which would take a fifth of all CPU, as long as the store accepts that.
   */
  async #withSigning<T>(send: (signed: boolean) => Promise<T>): Promise<T> {
    if (this.#signsParts) return send(true);
    try {
      return await send(false);
    } catch (error) {
      if (!REFUSES_UNSIGNED.test(nameOf(error))) throw error;
      const answer = await send(true);
      this.#signsParts = true;
      return answer;
    }
  }

  #answerEmpty(what: string): Fault {
    const message = `${this.#connection.description} ${what}`;
    return new Fault('store-answer-empty', message, { blame: 'destination', retryable: true });
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
