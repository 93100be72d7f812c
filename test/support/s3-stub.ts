/**
 * An S3 store in this process that checks what others let pass: each signature (SigV4) over the exact request, the
 * digest of each body, the ETags of parts. It speaks in the dialect that a test asks for, and fails where the test says
 * so. What it holds can also be read in a vendor's own protocol, as that vendor's SDK does.
 */
import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { StorageConfig } from '../../src/contract/line/storage.ts';
import { verifyCos, verifyOss, verifySigV4, verifySigV4Link } from './store-signatures.ts';

export const STUB_KEYS = { accessKey: 'STUBKEY', secretKey: 'stub-secret-not-for-logs' };

export type StubObject = { data: Buffer; type: string | undefined; md5: string; parts: number; tags?: string };
type Upload = Pick<StubObject, 'type' | 'tags'> & { key: string; parts: Map<number, { data: Buffer; md5: string }> };
export type StubRequest = {
  method: string;
  /** Decoded path after the bucket. */
  key: string;
  bucket: string;
  query: URLSearchParams;
  headers: IncomingMessage['headers'];
  body: Buffer;
  /** What the request is, as `PutObject`. */
  action: Action;
};
type Action =
  | 'PutObject'
  | 'HeadObject'
  | 'GetObject'
  | 'Create'
  | 'Part'
  | 'Complete'
  | 'Abort'
  | 'ListUploads'
  | 'ListVersions'
  | 'Delete'
  | 'Tag'
  | 'Other';

/** What a store does in its own way. */
export type StubDialect = {
  region?: string;
  addressing?: 'path' | 'host';
  /** The bucket keeps versions: what is removed is still there under a marker, until its versions are removed. */
  versions?: boolean;
  /** Buckets that keep objects locked refuse puts without a digest. */
  objectLock?: boolean;
  /** A policy of the bucket refuses puts whose SHA-256 is not signed. */
  signedBodies?: boolean;
  /** What PutObject answers as ETag; by default the MD5. */
  etag?: (md5: string) => string | undefined;
  /** `lost`: tags of uploads in parts are kept by nobody; `refused`: 501 to each. */
  tags?: 'kept' | 'lost' | 'refused';
  sessionToken?: string;
  /** The ETag in the answer to Complete is empty, as radosgw's is. */
  emptyCompleteEtag?: boolean;
  minPartBytes?: number;
  /** How many uploads ListMultipartUploads tells at once; 1000 by default. */
  uploadsAtOnce?: number;
  /** The store's host name; requests for another are refused. */
  host?: string;
  /** Headers that it does not know, or does not take, and refuses. */
  refuses?: RegExp;
  /** Elements that its refusals have beside code and message. */
  errorMore?: string;
  /** The name of the only bucket; `bucket` by default. */
  bucket?: string;
  /** The vendor's own protocol beside S3's, and the service's host name there. Objects are only read in it. */
  own?: { protocol: 'oss' | 'cos'; host: string };
};

/** Answers in place of the store: true when it did, and nothing more is done. It may be late. */
export type Interference = (
  request: StubRequest,
  response: ServerResponse,
  stub: S3Stub,
) => boolean | undefined | Promise<boolean | undefined>;

export class S3Stub {
  readonly objects = new Map<string, StubObject>();
  /** Versions and markers of buckets that keep them, by their ids. */
  readonly versions = new Map<string, { key: string; isMarker: boolean; isLocked?: boolean }>();
  readonly requests: StubRequest[] = [];
  dialect: StubDialect;
  interfere: Interference | undefined;
  /** The store's clock. */
  nowMs: () => number = Date.now;
  /** Called with the bytes of a body as they come; the test may destroy the request. */
  onData: ((request: IncomingMessage, bytes: number) => void) | undefined;
  #server: Server;
  #uploads = new Map<string, Upload>();
  #nextUpload = 1;
  #nextVersion = 1;

  private constructor(dialect: StubDialect) {
    this.dialect = dialect;
    this.#server = createServer((request, response) => void this.#take(request, response));
  }

  static async start(dialect: StubDialect = {}): Promise<S3Stub> {
    const stub = new S3Stub(dialect);
    await stub.listen();
    return stub;
  }

  async listen(port = 0): Promise<void> {
    await new Promise<void>((resolve) => this.#server.listen(port, '127.0.0.1', resolve));
  }

  get port(): number {
    return (this.#server.address() as AddressInfo).port;
  }

  get bucket(): string {
    return this.dialect.bucket ?? 'bucket';
  }

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  storage(more: Partial<StorageConfig> = {}): StorageConfig {
    const { extensionParams, ...rest } = more;
    return {
      vendor: 11,
      region: 0,
      bucket: this.bucket,
      ...STUB_KEYS,
      fileNamePrefix: [],
      extensionParams: { endpoint: this.url, ...extensionParams },
      ...rest,
    };
  }

  /** `PutObject a/x.ts`, in their order. */
  actions(): string[] {
    return this.requests.map(({ action, key }) => `${action} ${key}`);
  }

  read(key: string): Buffer {
    const object = this.objects.get(key);
    if (!object) throw new Error(`nothing is stored under ${key}; there are ${[...this.objects.keys()].join(', ')}`);
    return object.data;
  }

  /** Breaks all connections and listens no more; `listen` brings it back. */
  async close(): Promise<void> {
    const closed = new Promise((resolve) => this.#server.close(resolve));
    this.#server.closeAllConnections();
    await closed;
  }

  /** Keys of which there are parts that were not put together, one for each upload. */
  get unfinished(): string[] {
    return [...this.#uploads.values()].map(({ key }) => key);
  }

  /** Begins an upload in parts that nobody knows of. */
  beginUpload(key: string): void {
    this.#uploads.set(`u${this.#nextUpload++}`, { key, type: undefined, parts: new Map() });
  }

  /** Forgets uploads that were begun. */
  forgetUploads(): void {
    this.#uploads.clear();
  }

  async #take(message: IncomingMessage, response: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    message.on('error', () => undefined);
    try {
      for await (const chunk of message as AsyncIterable<Buffer>) {
        chunks.push(chunk);
        this.onData?.(message, chunk.length);
      }
    } catch {
      return;
    }
    const request = this.#parse(message, Buffer.concat(chunks));
    this.requests.push(request);
    if (await this.interfere?.(request, response, this)) return;
    if (response.destroyed) return;
    const { own } = this.dialect;
    const inOwn = own && !message.headers.authorization?.startsWith('AWS4-');
    const refusal = inOwn ? this.#refusalInOwn(own, message, request) : this.#refusal(message, request);
    if (refusal) refuse(response, refusal[0], refusal[1], refusal[2], refusal[3] ?? this.dialect.errorMore);
    else this.#answer(request, response);
  }

  #parse(message: IncomingMessage, body: Buffer): StubRequest {
    const url = new URL(message.url ?? '/', 'http://x');
    const path = decodeURIComponent(url.pathname).slice(1);
    const host = message.headers.host ?? '';
    const inHost = this.dialect.addressing === 'host';
    const slash = path.indexOf('/');
    const bucket = inHost ? (host.split('.')[0] ?? '') : slash < 0 ? path : path.slice(0, slash);
    const key = inHost ? path : slash < 0 ? '' : path.slice(slash + 1);
    const { method = '', headers } = message;
    return { method, key, bucket, query: url.searchParams, headers, body, action: actionOf(method, url.searchParams) };
  }

  /** Why the store does not even look at what is asked: signature, region, digests. */
  #refusal(message: IncomingMessage, { headers, body, action, query }: StubRequest): Refusal | undefined {
    const { region = 'us-east-1', sessionToken, objectLock, signedBodies, tags, refuses } = this.dialect;
    if (!this.#isHost(this.dialect.host, headers.host))
      return [400, 'InvalidHost', `${headers.host} is nobody's host.`];
    const odd = Object.keys(headers).find((name) => refuses?.test(name));
    if (odd) return [501, 'NotImplemented', `The header ${odd} implies functionality that is not implemented.`];
    const isLink = query.has('X-Amz-Signature');
    const signature = isLink
      ? verifySigV4Link(message, STUB_KEYS, region, this.nowMs())
      : verifySigV4(message, STUB_KEYS, region);
    if (signature === 'region')
      return [
        400,
        'AuthorizationHeaderMalformed',
        `the region is wrong; expecting '${region}'`,
        `<Region>${region}</Region>`,
      ];
    if (signature !== 'good') return [403, signature, 'The signature does not match.'];
    const token = isLink ? (query.get('X-Amz-Security-Token') ?? undefined) : headers['x-amz-security-token'];
    if (token !== sessionToken) return [403, 'InvalidToken', 'The token is not right.'];
    if (isLink) return action === 'GetObject' ? undefined : [405, 'MethodNotAllowed', 'A link is read.'];
    if (/aws-chunked/.test(String(headers['content-encoding'] ?? '')))
      return [501, 'NotImplemented', 'Transfering payloads in multiple chunks using aws-chunked is not supported.'];
    const sha256 = headers['x-amz-content-sha256'];
    if (sha256 !== 'UNSIGNED-PAYLOAD' && sha256 !== createHash('sha256').update(body).digest('hex'))
      return [400, 'XAmzContentSHA256Mismatch', 'The body is not the one that was signed.'];
    const md5 = headers['content-md5'];
    if (md5 !== undefined && md5 !== createHash('md5').update(body).digest('base64'))
      return [400, 'BadDigest', 'The Content-MD5 you specified did not match what we received.'];
    const puts = action === 'PutObject' || action === 'Part';
    if (puts && headers['content-length'] === undefined) return [411, 'MissingContentLength', ''];
    if (puts && signedBodies && sha256 === 'UNSIGNED-PAYLOAD')
      return [403, 'AccessDenied', 'An explicit deny in a resource-based policy'];
    if (puts && objectLock && md5 === undefined)
      return [400, 'InvalidRequest', 'Content-MD5 OR x-amz-checksum- HTTP header is required for Put Object requests'];
    if (tags === 'refused' && (headers['x-amz-tagging'] !== undefined || action === 'Tag'))
      return [501, 'NotImplemented', 'Object tagging is not supported.'];
    return undefined;
  }

  /** The same in the vendor's own protocol. */
  #refusalInOwn(
    { protocol, host }: NonNullable<StubDialect['own']>,
    message: IncomingMessage,
    { headers, action, bucket }: StubRequest,
  ): Refusal | undefined {
    const { region = '', sessionToken } = this.dialect;
    if (!this.#isHost(host, headers.host)) return [400, 'InvalidHost', `${headers.host} is nobody's host.`];
    const signature =
      protocol === 'oss' ? verifyOss(message, STUB_KEYS, { bucket, region }) : verifyCos(message, STUB_KEYS);
    if (signature !== 'good') return [403, signature, 'The signature does not match.'];
    if (headers[`x-${protocol}-security-token`] !== sessionToken)
      return [403, 'InvalidToken', 'The token is not right.'];
    if (action !== 'GetObject' && action !== 'HeadObject') return [405, 'MethodNotAllowed', 'Objects are only read.'];
    return undefined;
  }

  #isHost(expected: string | undefined, hostAndPort = ''): boolean {
    const name = hostAndPort.replace(/:\d+$/, '');
    const service = this.dialect.addressing === 'host' ? name.slice(name.indexOf('.') + 1) : name;
    return expected === undefined || service === expected;
  }

  #answer({ action, key, bucket, query, headers, body }: StubRequest, response: ServerResponse): void {
    if (bucket !== this.bucket) {
      refuse(response, 404, 'NoSuchBucket', 'There is no such bucket.');
      return;
    }
    const { etag = (md5: string) => `"${md5}"` } = this.dialect;
    const md5 = createHash('md5').update(body).digest('hex');
    const type = headers['content-type'];
    const tagging = headers['x-amz-tagging'];
    const tags = typeof tagging === 'string' ? { tags: tagging } : {};
    const upload = this.#uploads.get(query.get('uploadId') ?? '');
    switch (action) {
      case 'PutObject': {
        this.objects.set(key, { data: body, type, md5, parts: 0, ...tags });
        if (this.dialect.versions) this.versions.set(`v${this.#nextVersion++}`, { key, isMarker: false });
        const told = etag(md5);
        if (told !== undefined) response.setHeader('ETag', told);
        response.end();
        return;
      }
      case 'Create': {
        const id = `u${this.#nextUpload++}`;
        this.#uploads.set(id, { key, type, parts: new Map(), ...(this.dialect.tags === 'lost' ? {} : tags) });
        response.end(`<InitiateMultipartUploadResult><UploadId>${id}</UploadId></InitiateMultipartUploadResult>`);
        return;
      }
      case 'Part':
        if (!upload) {
          refuse(response, 404, 'NoSuchUpload', 'There is no such upload.');
          return;
        }
        upload.parts.set(Number(query.get('partNumber')), { data: body, md5 });
        response.setHeader('ETag', etag(md5) ?? '');
        response.end();
        return;
      case 'Complete':
        this.#complete(query.get('uploadId') ?? '', body.toString(), response);
        return;
      case 'Abort':
        this.#uploads.delete(query.get('uploadId') ?? '');
        response.writeHead(204).end();
        return;
      case 'ListUploads':
        response.end(this.#listUploads(query));
        return;
      case 'Delete':
        this.#remove(key, query.get('versionId'), response);
        return;
      case 'ListVersions':
        response.end(this.#listVersions(query));
        return;
      case 'Tag': {
        const object = this.objects.get(key);
        const pairs = [...body.toString().matchAll(/<Key>([^<]*)<\/Key><Value>([^<]*)<\/Value>/g)];
        if (object) object.tags = pairs.map(([, name, value]) => `${name}=${value}`).join('&');
        response.end();
        return;
      }
      default: {
        const object = this.objects.get(key);
        if (!object) {
          refuse(response, 404, 'NoSuchKey', 'There is no such object.');
          return;
        }
        response.setHeader('ETag', object.parts > 0 ? `"${object.md5}"` : (etag(object.md5) ?? ''));
        response.setHeader('Content-Length', object.data.length);
        if (object.type !== undefined) response.setHeader('Content-Type', object.type);
        const disposition = query.get('response-content-disposition');
        if (disposition !== null) response.setHeader('Content-Disposition', disposition);
        response.end(action === 'GetObject' ? object.data : undefined);
      }
    }
  }

  #remove(key: string, versionId: string | null, response: ServerResponse): void {
    if (versionId !== null && this.versions.get(versionId)?.isLocked) {
      refuse(response, 403, 'AccessDenied', 'Access Denied because object protected by object lock.');
      return;
    }
    if (versionId !== null) this.versions.delete(versionId);
    else this.objects.delete(key);
    if (versionId === null && this.dialect.versions) {
      const marker = `v${this.#nextVersion++}`;
      this.versions.set(marker, { key, isMarker: true });
      response.setHeader('x-amz-delete-marker', 'true');
      response.setHeader('x-amz-version-id', marker);
    }
    response.writeHead(204).end();
  }

  /** Of every key that begins with the prefix, two at a time. */
  #listVersions(query: URLSearchParams): string {
    const all = [...this.versions]
      .map(([id, { key, isMarker }]) => ({ id, key, tag: isMarker ? 'DeleteMarker' : 'Version' }))
      .filter(({ key }) => key.startsWith(query.get('prefix') ?? ''))
      .sort((a, b) => (a.key === b.key ? (a.id < b.id ? -1 : 1) : a.key < b.key ? -1 : 1));
    const after = query.get('version-id-marker');
    const from = after === null ? 0 : all.findIndex(({ id }) => id === after) + 1;
    const some = all.slice(from, from + 2);
    const last = some.at(-1);
    const more = from + 2 < all.length && last;
    return `<ListVersionsResult><IsTruncated>${more ? 'true' : 'false'}</IsTruncated>${
      more ? `<NextKeyMarker>${last.key}</NextKeyMarker><NextVersionIdMarker>${last.id}</NextVersionIdMarker>` : ''
    }${some.map(({ id, key, tag }) => `<${tag}><Key>${key}</Key><VersionId>${id}</VersionId></${tag}>`).join('')}</ListVersionsResult>`;
  }

  /** In the order of keys, and of ids within each. */
  #listUploads(query: URLSearchParams): string {
    const [prefix, afterKey, afterId] = ['prefix', 'key-marker', 'upload-id-marker'].map(
      (name) => query.get(name) ?? '',
    );
    const all = [...this.#uploads]
      .map(([id, { key }]) => ({ id, key }))
      .sort((a, b) => (a.key === b.key ? (a.id < b.id ? -1 : 1) : a.key < b.key ? -1 : 1))
      .filter(({ key }) => key.startsWith(prefix as string))
      .filter(({ key, id }) => key > (afterKey as string) || (key === afterKey && id > (afterId as string)));
    const page = all.slice(0, this.dialect.uploadsAtOnce ?? 1000);
    const last = page.at(-1);
    const next =
      page.length < all.length && last
        ? `<NextKeyMarker>${escaped(last.key)}</NextKeyMarker><NextUploadIdMarker>${last.id}</NextUploadIdMarker>`
        : '';
    const uploads = page.map(({ id, key }) => `<Upload><Key>${escaped(key)}</Key><UploadId>${id}</UploadId></Upload>`);
    const isTruncated = `<IsTruncated>${next !== ''}</IsTruncated>`;
    return `<ListMultipartUploadsResult>${next}${isTruncated}${uploads.join('')}</ListMultipartUploadsResult>`;
  }

  #complete(id: string, xml: string, response: ServerResponse): void {
    const upload = this.#uploads.get(id);
    if (!upload) {
      refuse(response, 404, 'NoSuchUpload', 'There is no such upload.');
      return;
    }
    const wanted = [...xml.matchAll(/<Part>(.*?)<\/Part>/gs)].map(([, part = '']) => ({
      number: Number(part.match(/<PartNumber>(\d+)</)?.[1]),
      etag: part.match(/<ETag>(?:&quot;|")?([0-9a-f]+)/)?.[1],
    }));
    const parts = wanted.map(({ number }) => upload.parts.get(number));
    if (parts.some((part, i) => !part || part.md5 !== wanted[i]?.etag)) {
      refuse(response, 400, 'InvalidPart', 'A part is not there, or has another ETag.');
      return;
    }
    const { minPartBytes = 0 } = this.dialect;
    if (parts.slice(0, -1).some((part) => (part?.data.length ?? 0) < minPartBytes)) {
      refuse(response, 400, 'EntityTooSmall', 'A part is too small.');
      return;
    }
    const hash = createHash('md5');
    for (const part of parts) hash.update(part?.md5 ?? '', 'hex');
    const md5 = `${hash.digest('hex')}-${parts.length}`;
    const data = Buffer.concat(parts.map((part) => part?.data ?? Buffer.alloc(0)));
    const tags = upload.tags === undefined ? {} : { tags: upload.tags };
    this.objects.set(upload.key, { data, type: upload.type, md5, parts: parts.length, ...tags });
    this.#uploads.delete(id);
    const told = this.dialect.emptyCompleteEtag ? '' : `"${md5}"`;
    response.end(`<CompleteMultipartUploadResult><ETag>${told}</ETag></CompleteMultipartUploadResult>`);
  }
}

type Refusal = [status: number, code: string, message: string, more?: string];

export function refuse(response: ServerResponse, status: number, code: string, message: string, more = ''): void {
  response.writeHead(status, { 'content-type': 'application/xml' });
  response.end(`<Error><Code>${code}</Code><Message>${message}</Message>${more}</Error>`);
}

function escaped(text: string): string {
  return text.replace(/[&<>]/g, (char) => `&#${char.codePointAt(0)};`);
}

function actionOf(method: string, query: URLSearchParams): Action {
  if (method === 'HEAD') return 'HeadObject';
  if (method === 'GET')
    return query.has('uploads') ? 'ListUploads' : query.has('versions') ? 'ListVersions' : 'GetObject';
  if (method === 'POST') return query.has('uploads') ? 'Create' : query.has('uploadId') ? 'Complete' : 'Other';
  if (method === 'DELETE') return query.has('uploadId') ? 'Abort' : 'Delete';
  if (method !== 'PUT') return 'Other';
  return query.has('partNumber') ? 'Part' : query.has('tagging') ? 'Tag' : 'PutObject';
}
