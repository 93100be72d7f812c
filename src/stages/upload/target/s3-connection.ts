/**
 * S3Connection: signed requests to one bucket, and what came of them. It learns the bucket's region and address, and
 * how far its own clock is off, from the store's refusal, and asks again with those. Amazon's SDK does all this too and
 * costs two milliseconds of CPU a request, which is more than all else that a file of a recording takes.
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
import { type Credentials, queryText, signed, uriPath } from './s3-signature.ts';
import type { Part } from './source.ts';

/** A connection on which nothing moves for this long is given up. */
const IDLE_TIMEOUT_MS = 30_000;
/** The same while a store puts parts together. */
const PATIENT_TIMEOUT_MS = 15 * 60_000;
const MAX_SOCKETS = 16;
/** What an answer may have to say; stores say little. */
const MAX_ANSWER_BYTES = 1024 * 1024;
/** Pause before the one repetition of what failed in passing; the caller waits longer. */
const AGAIN_MS = 100;
/** Region, address and time of a store: more than these cannot be wrong. */
const LEARNT_AT_ONCE = 3;
/** A clock that is off by less is not what a store complains of. */
const SKEW_MS = 60_000;
/** What is signed in place of a body's SHA-256: its `Content-MD5` is signed too, and vouches for it. */
const UNSIGNED_PAYLOAD = 'UNSIGNED-PAYLOAD';
const SHA256_OF_NOTHING = 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855';

export type S3ConnectionOptions = {
  clock?: Clock;
  idleTimeoutMs?: number;
  /** Which addresses may be connected to; all of them without one. */
  guard?: EndpointGuard | undefined;
  /** Where the vendor's own address leads in a test. */
  endpoint?: string;
  /** Takes what a store does otherwise than asked, and does not matter enough to fail for. */
  warn?: (text: string) => void;
};

export type S3Request = {
  method: 'GET' | 'HEAD' | 'PUT' | 'POST' | 'DELETE';
  key: string;
  query?: Readonly<Record<string, string>>;
  /** Names in lower case. Those without a value are left out. */
  headers?: Readonly<Record<string, string | undefined>>;
  /** One without a SHA-256 is signed by its MD5 alone. */
  body?: Part;
  /** Waits minutes for the first word of the answer. */
  patient?: boolean;
  signal?: AbortSignal | undefined;
};
/** `repeated` when the same was asked before, and what became of that is not known. */
export type S3Answer = { headers: IncomingHttpHeaders; text: string; repeated: boolean };

/** What an answer says of the object it is about. */
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

  /** Throws an S3Error for what the store refuses, and the system's error when no answer comes. */
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

  close(): void {
    this.#agents.httpAgent.destroy();
    this.#agents.httpsAgent.destroy();
  }

  /**
   * Asks, again where the refusal says how it would have succeeded, and once more after what may have been a hiccup.
   */
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

  /** Resolves to an answer of success, whose body is still to be read. */
  async #exchange(request: S3Request): Promise<IncomingMessage> {
    const response = await this.#request(request);
    const { statusCode: status = 0, headers } = response;
    if (status >= 200 && status < 300) return response;
    throw new S3Error(status, headers, await textOf(response));
  }

  #request({ method, key, query = {}, headers, body, patient, signal }: S3Request): Promise<IncomingMessage> {
    const { endpoint, region } = this.#place;
    const { dialect } = s3AddressOf(this.#storage);
    const { bucket } = this.#storage;
    const url = new URL(endpoint);
    // A name with dots is none that a certificate for all buckets covers.
    const inHost = dialect.addressing === 'host' && /^[a-z0-9][a-z0-9-]{1,61}[a-z0-9]$/.test(bucket);
    if (inHost) url.hostname = `${bucket}.${url.hostname}`;
    const path = inHost ? uriPath(key) : uriPath(bucket, key);
    const given = Object.entries(headers ?? {}).filter((entry): entry is [string, string] => entry[1] !== undefined);
    const all = signed(
      {
        ...{ method, path, query, sha256: body ? (body.sha256 ?? UNSIGNED_PAYLOAD) : SHA256_OF_NOTHING },
        headers: {
          ...Object.fromEntries(given),
          host: url.host,
          // Buckets that keep objects locked insist on it, and everyone else checks it.
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
      // Stores may answer and close before they have heard all: what they said counts.
      sent.once('response', resolve).on('error', reject);
      sent.end(body?.data);
    });
  }

  /** Whether there was something to learn, be it that another request has learnt it meanwhile. */
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

/** The address that a redirect names, or that the vendor has for the region it named. */
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
