/**
 * S3Connection: the SDK's clients for one bucket, set up for stores of all kinds. It learns the bucket's region and
 * address from the store's refusal, and signs again with those.
 */
import { S3Client, type S3ClientConfig } from '@aws-sdk/client-s3';
import { STORAGE_VENDORS, type StorageConfig } from '../../../contract/line/storage.ts';
import { s3AddressOf } from './dialects.ts';
import type { EndpointGuard } from './endpoint-guard.ts';
import { redirectTold, regionTold, statusOf } from './s3-faults.ts';

const CONNECT_TIMEOUT_MS = 10_000;
/** A connection on which nothing moves for this long is given up. */
const IDLE_TIMEOUT_MS = 30_000;
/** The same while a store puts parts together. */
const PATIENT_TIMEOUT_MS = 15 * 60_000;
const MAX_SOCKETS = 16;

export type S3ConnectionOptions = {
  connectTimeoutMs?: number;
  idleTimeoutMs?: number;
  /** Which addresses may be connected to; all of them without one. */
  guard?: EndpointGuard | undefined;
  /** Where the vendor's own address leads in a test. */
  endpoint?: string;
};

type Place = { endpoint: string; region: string };

export class S3Connection {
  #storage: StorageConfig;
  #options: S3ConnectionOptions;
  #place: Place;
  #clients: { quick: S3Client; patient: S3Client };
  #old: S3Client[] = [];

  constructor(storage: StorageConfig, options: S3ConnectionOptions) {
    const { endpoint, region } = s3AddressOf(storage);
    this.#storage = storage;
    this.#options = options;
    this.#place = { endpoint: options.endpoint ?? endpoint, region };
    this.#clients = this.#open();
  }

  get description(): string {
    const { dialect } = s3AddressOf(this.#storage);
    const { vendor, bucket } = this.#storage;
    const own = vendor === STORAGE_VENDORS.s3Compatible;
    return `bucket ${bucket} at ${own ? this.#place.endpoint : `${dialect.name}, ${this.#place.region}`}`;
  }

  /**
   * Runs `send`, and once more where the store's refusal said how it would have succeeded.
   * @param patient waits minutes for the first word of an answer
   */
  async use<T>(
    send: (client: S3Client) => Promise<T>,
    { patient, warn }: { patient: boolean; warn: (text: string) => void },
  ): Promise<T> {
    const pick = () => (patient ? this.#clients.patient : this.#clients.quick);
    const tried = this.#place;
    try {
      return await send(pick());
    } catch (error) {
      const learnt = this.#learn(error, tried);
      if (learnt === undefined) throw error;
      if (learnt !== '') warn(learnt);
      return send(pick());
    }
  }

  close(): void {
    for (const client of [this.#clients.quick, this.#clients.patient, ...this.#old.splice(0)]) client.destroy();
  }

  /** What was learnt, in words; empty when another request has learnt it meanwhile, undefined when there is nothing. */
  #learn(error: unknown, tried: Place): string | undefined {
    const status = statusOf(error);
    if (status !== 400 && status !== 301 && status !== 307 && status !== 308) return undefined;
    const region = regionTold(error);
    const location = redirectTold(error);
    if (region === undefined && location === undefined) return undefined;
    if (this.#place !== tried) return '';
    const next = { ...this.#place, ...(region && { region }), ...placeOf(this.#storage, region, location) };
    if (next.region === tried.region && next.endpoint === tried.endpoint) return undefined;
    this.#options.guard?.checkUrl(next.endpoint);
    const before = this.description;
    this.#place = next;
    // Others may be using the old ones; they end when this does.
    this.#old.push(this.#clients.quick, this.#clients.patient);
    this.#clients = this.#open();
    return `${before}: the store says the bucket is in region ${next.region} at ${next.endpoint}; that is used from now on`;
  }

  #open(): { quick: S3Client; patient: S3Client } {
    const { connectTimeoutMs = CONNECT_TIMEOUT_MS, idleTimeoutMs = IDLE_TIMEOUT_MS, guard } = this.#options;
    const { accessKey: accessKeyId, secretKey: secretAccessKey, stsToken } = this.#storage;
    const { dialect } = s3AddressOf(this.#storage);
    const sessionToken = dialect.sts ? stsToken : undefined;
    const client = (socketTimeout: number) => {
      const config: S3ClientConfig = {
        ...this.#place,
        forcePathStyle: dialect.addressing === 'path',
        credentials: { accessKeyId, secretAccessKey, ...(sessionToken === undefined ? {} : { sessionToken }) },
        // The second is for a clock that is off, which the SDK learns from the first.
        maxAttempts: 2,
        // Newer checksums are on by default in the SDK, and many S3-compatible stores refuse them.
        requestChecksumCalculation: 'WHEN_REQUIRED',
        responseChecksumValidation: 'WHEN_REQUIRED',
        // Servers that never say 100 would cost six seconds a request.
        expectContinueHeader: false,
        requestHandler: {
          connectionTimeout: connectTimeoutMs,
          socketTimeout,
          ...guard?.agents({ keepAlive: true, maxSockets: MAX_SOCKETS }),
        },
      };
      return new S3Client(config);
    };
    return { quick: client(idleTimeoutMs), patient: client(Math.max(PATIENT_TIMEOUT_MS, idleTimeoutMs)) };
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
