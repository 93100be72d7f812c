/**
 * S3Connection: signed requests to one bucket, and their answers. From the store's refusal it learns the bucket's
 * region and address, and how far its own clock is off, and asks again with those. Amazon's SDK does all this too but
 * costs two milliseconds of CPU a request, more than everything else that a recording's file takes.
 */
import { createWriteStream } from 'node:fs';
import http, { type IncomingHttpHeaders, type IncomingMessage } from 'node:http';
import https from 'node:https';
import { pipeline } from 'node:stream/promises';
import { STORAGE_VENDORS, type StorageConfig } from '../../../contract/line/storage.ts';
import { type Clock, sleep, systemClock } from '../../../kernel/clock.ts';
import type { EndpointGuard } from '../../../kernel/endpoint-guard.ts';
import { s3AddressOf } from './dialects.ts';
import type { Told } from './evidence.ts';
import { isPassing, S3Error } from './s3-faults.ts';
import { type Credentials, queryText, signed, signedQuery, UNSIGNED_PAYLOAD, uriPath } from './s3-signature.ts';
import type { Part } from './source.ts';

/** A connection on which nothing moves for this long is given up. */
const IDLE_TIMEOUT_MS = 30_000;
/** The same while a store puts parts together. */
const PATIENT_TIMEOUT_MS = 15 * 60_000;
const MAX_SOCKETS = 16;
/** Size limit of an answer; stores answer with little. */
const MAX_ANSWER_BYTES = 1024 * 1024;
/** Pause before a passing failure is repeated once; the caller waits longer. */
const AGAIN_MS = 100;
/** How often a request may be repeated after learning: region, address and time can each be wrong once. */
const LEARNT_AT_ONCE = 3;
/** Stores do not complain of a clock that is off by less. */
const SKEW_MS = 60_000;
const SHA256_OF_NOTHING = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

export type S3ConnectionOptions = {
  clock?: Clock;
  idleTimeoutMs?: number;
  /** Which addresses may be connected to; without it, all of them. */
  guard?: EndpointGuard | undefined;
  /** Replaces the vendor's own address in a test. */
  endpoint?: string;
  /** Told when a store does something else than it was asked, but nothing that is worth failing for. */
  warn?: (text: string) => void;
};

export type S3Request = {
  method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';
  key: string;
  query?: Readonly<Record<string, string>>;
  /** Names in lower case. Headers without a value are left out. */
  headers?: Readonly<Record<string, string | undefined>>;
  /** A part without a SHA-256 is signed only by its MD5. */
  body?: Part;
  /** Waits minutes for the beginning of the answer. */
  patient?: boolean;
  signal?: AbortSignal | undefined;
};
/** `repeated` when the same was asked before and the outcome of that is unknown. */
export type S3Answer = { headers: IncomingHttpHeaders; text: string; repeated: boolean };

/** What an answer tells of its object. */
export function toldBy({ headers }: Pick<S3Answer, 'headers'>): Told {
  const encryption = headers['x-amz-server-side-encryption'];
  return { etag: headers.etag, encryption: typeof encryption === 'string' ? encryption : undefined };
}

type Place = { endpoint: string; region: string };

export class S3Connection {
  #storage: StorageConfig;
  #options: S3ConnectionOptions;
  #clock: Clock;
  #credentials: Credentials;
  #place: Place;
  /** How far the store's clock is ahead of ours. */
  #skewMs = 0;
  #agents: { httpAgent: http.Agent; httpsAgent: https.Agent };

  constructor(storage: StorageConfig, options: S3ConnectionOptions) {
    const { endpoint, region, dialect } = s3AddressOf(storage);
    const { accessKey, secretKey, stsToken } = storage;
    this.#storage = storage;
    this.#credentials = { accessKey, secretKey, sessionToken: dialect.sts ? stsToken : undefined };
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#place = { endpoint: options.endpoint ?? endpoint, region };
    const kept = { keepAlive: true, maxSockets: MAX_SOCKETS };
    this.#agents = options.guard?.agents(kept) ?? {
      httpAgent: new http.Agent(kept),
      httpsAgent: new https.Agent(kept),
    };
  }

  get description(): string {
    const { dialect } = s3AddressOf(this.#storage);
    const { vendor, bucket } = this.#storage;
    const own = vendor === STORAGE_VENDORS.s3Compatible;
    return `bucket ${bucket} at ${own ? this.#place.endpoint : `${dialect.name}, ${this.#place.region}`}`;
  }

  /** Throws an S3Error when the store refuses, and the system's error when no answer comes. */
  async send(request: S3Request): Promise<S3Answer> {
    const { response, repeated } = await this.#ask(request);
    return { headers: response.headers, text: await textOf(response), repeated };
  }

  /** Writes the body of the answer to a new file. Throws as `send` does. */
  async download(request: S3Request, path: string): Promise<void> {
    const { signal } = request;
    const { response } = await this.#ask(request);
    await pipeline(response, createWriteStream(path, { flags: 'wx', mode: 0o600 }), ...(signal ? [{ signal }] : []));
  }

  /** Asks as `send` does, and lets go of the answer's body. Throws as it does. */
  async touch(request: S3Request): Promise<void> {
    const { response } = await this.#ask(request);
    response.destroy();
  }

  /**
   * An address with which anybody may read an object for `lifeS` seconds, where the store is by what was learnt so far.
   * A browser saves what it leads to as `fileName`.
   */
  linkTo(key: string, { lifeS, fileName }: { lifeS: number; fileName: string }): string {
    const { url, path } = this.#addressOf(key);
    const query = { 'response-content-disposition': `attachment; filename="${fileName}"` };
    const nowMs = this.#clock.nowMs() + this.#skewMs;
    const request = { path, query, host: url.host };
    return `${url.origin}${path}?${signedQuery(request, this.#credentials, this.#place.region, nowMs, lifeS)}`;
  }

  close(): void {
    this.#agents.httpAgent.destroy();
    this.#agents.httpsAgent.destroy();
  }

  /** Asks; asks again when the refusal tells how to succeed, and once more after what may have been a hiccup. */
  async #ask(request: S3Request): Promise<{ response: IncomingMessage; repeated: boolean }> {
    for (let learnt = 0, hiccups = 0; ; ) {
      const tried = this.#place;
      try {
        return { response: await this.#exchange(request), repeated: hiccups > 0 };
      } catch (error) {
        request.signal?.throwIfAborted();
        if (learnt < LEARNT_AT_ONCE && this.#learn(error, tried)) {
          learnt++;
          continue;
        }
        if (hiccups++ > 0 || !isPassing(error)) throw error;
        await sleep(this.#clock, AGAIN_MS, request.signal);
      }
    }
  }

  /** Resolves to a successful answer, whose body is still to be read. */
  async #exchange(request: S3Request): Promise<IncomingMessage> {
    const response = await this.#request(request);
    const { statusCode: status = 0, headers } = response;
    if (status >= 200 && status < 300) return response;
    throw new S3Error(status, headers, await textOf(response));
  }

  /** The host of the bucket, and where in it the object is. */
  #addressOf(key: string): { url: URL; path: string } {
    const { dialect } = s3AddressOf(this.#storage);
    const { bucket } = this.#storage;
    const url = new URL(this.#place.endpoint);
    // A certificate for all buckets does not cover a name with dots.
    const inHost = dialect.addressing === 'host' && /^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/.test(bucket);
    if (inHost) url.hostname = `${bucket}.${url.hostname}`;
    return { url, path: inHost ? uriPath(key) : uriPath(bucket, key) };
  }

  #request({ method, key, query = {}, headers, body, patient, signal }: S3Request): Promise<IncomingMessage> {
    const { region } = this.#place;
    const { url, path } = this.#addressOf(key);
    const given = Object.entries(headers ?? {}).filter((entry): entry is [string, string] => entry[1] !== undefined);
    const all = signed(
      {
        ...{ method, path, query, sha256: body ? (body.sha256 ?? UNSIGNED_PAYLOAD) : SHA256_OF_NOTHING },
        headers: {
          ...Object.fromEntries(given),
          host: url.host,
          // Buckets that lock objects require it, and all others check it.
          ...(body && { 'content-md5': Buffer.from(body.md5, 'hex').toString('base64') }),
        },
      },
      this.#credentials,
      region,
      this.#clock.nowMs() + this.#skewMs,
    );
    const isSecure = url.protocol === 'https:';
    const { idleTimeoutMs = IDLE_TIMEOUT_MS } = this.#options;
    const timeout = patient ? Math.max(PATIENT_TIMEOUT_MS, idleTimeoutMs) : idleTimeoutMs;
    const search = queryText(query);
    return new Promise((resolve, reject) => {
      const sent = (isSecure ? https : http).request({
        agent: isSecure ? this.#agents.httpsAgent : this.#agents.httpAgent,
        hostname: url.hostname.replace(/^\[|\]$/g, ''),
        port: url.port,
        ...{ method, timeout, path: search ? `${path}?${search}` : path },
        headers: {
          ...all,
          ...(method === 'PUT' || method === 'POST' ? { 'content-length': body?.data.length ?? 0 } : {}),
        },
        ...(signal && { signal }),
      });
      sent.once('timeout', () => sent.destroy(silence(timeout)));
      // Stores may answer and close before they have read everything: their answer counts.
      sent.once('response', resolve).on('error', reject);
      sent.end(body?.data);
    });
  }

  /** Whether something was learnt, here or meanwhile by another request. */
  #learn(error: unknown, tried: Place): boolean {
    if (!(error instanceof S3Error)) return false;
    if (error.code === 'RequestTimeTooSkewed') {
      const skewMs = error.dateMs === undefined ? 0 : error.dateMs - this.#clock.nowMs();
      if (Math.abs(skewMs - this.#skewMs) < SKEW_MS) return false;
      this.#skewMs = skewMs;
      return true;
    }
    const { region, location } = error;
    if (region === undefined && location === undefined) return false;
    if (this.#place !== tried) return true;
    const next = { ...this.#place, ...(region && { region }), ...placeOf(this.#storage, region, location) };
    if (next.region === tried.region && next.endpoint === tried.endpoint) return false;
    this.#options.guard?.checkUrl(next.endpoint);
    const before = this.description;
    this.#place = next;
    this.#options.warn?.(
      `${before}: the store says the bucket is in region ${next.region} at ${next.endpoint}; that is used from now on`,
    );
    return true;
  }
}

/** The address that a redirect names, or the vendor's address for the region that it named. */
function placeOf(storage: StorageConfig, region: string | undefined, location: string | undefined): Partial<Place> {
  const { dialect } = s3AddressOf(storage);
  if (location !== undefined && URL.canParse(location)) {
    const url = new URL(location);
    const inHost = `${storage.bucket}.`;
    if (url.hostname.startsWith(inHost)) url.hostname = url.hostname.slice(inHost.length);
    return { endpoint: url.origin };
  }
  if (region === undefined || storage.vendor === STORAGE_VENDORS.s3Compatible) return {};
  return { endpoint: dialect.endpoint(region) };
}

async function textOf(response: IncomingMessage): Promise<string> {
  const chunks: Buffer[] = [];
  let bytes = 0;
  for await (const chunk of response as AsyncIterable<Buffer>) {
    bytes += chunk.length;
    if (bytes <= MAX_ANSWER_BYTES) chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function silence(timeoutMs: number): Error {
  const message = `nothing moved on the connection for ${timeoutMs / 1000} s`;
  return Object.assign(new Error(message), { code: 'ETIMEDOUT' });
}
