/**
 * Signature: shows that a request came from a node with the fleet's key, unchanged, for this node, and now (ADR 0026).
 * The key itself never crosses the network. Time is the database's, which is the same for all nodes.
 */
import { createHash, createHmac, randomBytes, timingSafeEqual } from 'node:crypto';
import type { IncomingHttpHeaders } from 'node:http';

export type SignedRequest = {
  method: string;
  /** Path and query. */
  url: string;
  headers: Readonly<IncomingHttpHeaders>;
};

/** Which protocol between nodes the request speaks. */
export const WIRE_HEADER = 'aircheck-wire';
/** The id of the node that the request is for. */
export const TO_HEADER = 'aircheck-to';
/** SHA-256 of the body, so that a signature can be checked before the body is read. */
export const DIGEST_HEADER = 'aircheck-body-digest';
/** The signature, as `time.nonce.digest`. */
export const SIGNATURE_HEADER = 'aircheck-signature';
/** The home of a channel that is full, whose recording the request's node is to make. */
export const PLACED_HEADER = 'aircheck-placed';
/** In an answer: the request is not taken for one of another node, for its `key` or for another reason (`request`). */
export const REFUSED_HEADER = 'aircheck-refused';
/** Why a signature does not hold that was made with a key which is not among ours, or of something else. */
export const OTHER_KEY = 'the signature is of another key, or the request was changed on its way';
/** Headers that decide what a request does. What a proxy between nodes adds does not matter. */
const SIGNED_HEADERS = [
  ...[WIRE_HEADER, TO_HEADER, DIGEST_HEADER],
  ...['authorization', 'content-encoding', 'content-type', 'if-match', 'x-request-id'],
] as const;
/** How much earlier or later than by its signature a request may come. */
const TOLERANCE_MS = 10_000;
const FORM = /^(\d{13})\.([0-9a-f]{24})\.([0-9a-f]{64})$/;

/** @param nowMs by the database's clock */
export function sign(request: SignedRequest, key: string, nowMs: number): string {
  const time = Math.round(nowMs).toString().padStart(13, '0');
  const nonce = randomBytes(12).toString('hex');
  return `${time}.${nonce}.${digestOf(request, key, time, nonce)}`;
}

/** Checks signatures. One that was accepted is not accepted again. */
export class Signatures {
  readonly #keys: readonly string[];
  /** Nonces of this span of time and of the one before. Only whoever has a key can make them more. */
  #seen = new Set<string>();
  #seenBefore = new Set<string>();
  #spanEndsMs = 0;

  /** @param keys all that are accepted */
  constructor(keys: readonly string[]) {
    this.#keys = keys;
  }

  /** Why the signature does not hold, in words; undefined when it does. @param nowMs by the database's clock */
  refusalOf(request: SignedRequest, signature: string | undefined, nowMs: number): string | undefined {
    const [, time = '', nonce = '', digest = ''] = FORM.exec(signature ?? '') ?? [];
    if (digest === '') return 'the request is not signed';
    const given = Buffer.from(digest, 'hex');
    const fits = this.#keys.some((key) =>
      timingSafeEqual(given, Buffer.from(digestOf(request, key, time, nonce), 'hex')),
    );
    if (!fits) return OTHER_KEY;
    if (Math.abs(nowMs - Number(time)) > TOLERANCE_MS) return 'the request is too old, or of the future';
    this.#turnPages(nowMs);
    if (this.#seen.has(nonce) || this.#seenBefore.has(nonce)) return 'the request was sent before';
    this.#seen.add(nonce);
    return undefined;
  }

  /** What is older than two spans would be refused for its age. */
  #turnPages(nowMs: number): void {
    if (nowMs < this.#spanEndsMs) return;
    this.#seenBefore = nowMs < this.#spanEndsMs + 2 * TOLERANCE_MS ? this.#seen : new Set();
    this.#seen = new Set();
    this.#spanEndsMs = nowMs + 2 * TOLERANCE_MS;
  }
}

function digestOf({ method, url, headers }: SignedRequest, key: string, time: string, nonce: string): string {
  const signed = SIGNED_HEADERS.map((name) => headers[name] ?? null);
  // Protocol 1 does not know it.
  const placed = headers[PLACED_HEADER];
  if (placed !== undefined) signed.push(placed);
  return createHmac('sha256', key)
    .update(JSON.stringify([time, nonce, method, url, signed]))
    .digest('hex');
}

/** The value of DIGEST_HEADER for a body. */
export function bodyDigest(body: Buffer | undefined): string {
  return body === undefined || body.length === 0 ? OF_NOTHING : sha256(body);
}

function sha256(bytes: Buffer | string): string {
  return createHash('sha256').update(bytes).digest('hex');
}
/** Most requests have no body. */
const OF_NOTHING = sha256('');
