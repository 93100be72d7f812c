/**
 * Sessions: how a browser that has signed in is known (ADR 0030). It holds a random token in a cookie that no script
 * reads; the database holds what the token is checked by.
 */
import { createHash, randomBytes, timingSafeEqual } from 'node:crypto';
import type { FastifyReply, FastifyRequest } from 'fastify';
import { problem } from '../../contract/problems.ts';
import type { SessionTables } from '../../store/session-tables.ts';
import type { CustomerAccount } from '../auth.ts';
import { DASHBOARD_HEADER } from '../errors.ts';

/** How long a sign-in lasts, whatever is done meanwhile. */
const LIFE_S = 12 * 3600;
const TOKEN = /^[\w-]{43}$/;

export type SessionsOptions = {
  tables: Pick<SessionTables, 'add' | 'find' | 'remove'>;
  customers: readonly CustomerAccount[];
};

export class Sessions {
  readonly #options: SessionsOptions;

  constructor(options: SessionsOptions) {
    this.#options = options;
  }

  /** Signs a browser in: the answer gets the cookie. A session that the browser had is over. */
  async begin(request: FastifyRequest, reply: FastifyReply, customer: CustomerAccount): Promise<void> {
    const { tables } = this.#options;
    const former = tokenOf(request);
    if (former !== undefined) await tables.remove(hashOf(former));
    const token = randomBytes(32).toString('base64url');
    await tables.add({ tokenHash: hashOf(token), customer: customer.id, proof: proofOf(token, customer) }, LIFE_S);
    reply.header('set-cookie', cookie(request, token));
  }

  /** Signs a browser out, here and at all nodes. */
  async end(request: FastifyRequest, reply: FastifyReply): Promise<void> {
    requireDashboard(request);
    const token = tokenOf(request);
    if (token !== undefined) await this.#options.tables.remove(hashOf(token));
    reply.header('set-cookie', `${cookie(request, '')}; Max-Age=0`);
  }

  /**
   * The customer whose browser sent the request. Undefined where it is no browser's that has ever signed in. Throws
   * `session-over`, also where another site may have had the browser send it.
   */
  async customerOf(request: FastifyRequest): Promise<CustomerAccount | undefined> {
    const token = tokenOf(request);
    if (token === undefined) {
      // A browser would ask its user for credentials of its own accord, if it was answered as other clients are.
      if (request.headers[DASHBOARD_HEADER] !== undefined) throw problem('session-over');
      return undefined;
    }
    if (request.method !== 'GET') requireDashboard(request);
    const session = await this.#options.tables.find(hashOf(token));
    const customer = session && this.#options.customers.find(({ id }) => id === session.customer);
    // Of a customer whose secret has been changed every session is over.
    if (!customer || !sameText(session.proof, proofOf(token, customer))) throw problem('session-over');
    return customer;
  }
}

/** Throws `session-over` unless the dashboard itself sent the request. */
export function requireDashboard({ headers }: FastifyRequest): void {
  const site = headers['sec-fetch-site'];
  const isOurs = headers[DASHBOARD_HEADER] !== undefined && (site === undefined || site === 'same-origin');
  if (!isOurs) throw problem('session-over');
}

/**
 * Whether the browser speaks TLS, as far as it is known: a proxy says it for its client. Who says it wrongly gets a
 * cookie that is of no use.
 */
function isSecure({ protocol, headers }: FastifyRequest): boolean {
  const forwarded = headers['x-forwarded-proto'];
  return protocol === 'https' || (typeof forwarded === 'string' && /^\s*https\s*(,|$)/i.test(forwarded));
}

/** Browsers take `__Host-` only with Secure, from this very host, for all its paths (RFC 6265bis §4.1.3.2). */
function nameOf(request: FastifyRequest): string {
  return isSecure(request) ? '__Host-aircheck' : 'aircheck';
}

/** Without Max-Age: the browser keeps it until it is closed, and the server says when it is over. */
function cookie(request: FastifyRequest, token: string): string {
  const secure = isSecure(request) ? '; Secure' : '';
  return `${nameOf(request)}=${token}; Path=/; HttpOnly; SameSite=Strict${secure}`;
}

function tokenOf(request: FastifyRequest): string | undefined {
  const name = nameOf(request);
  for (const pair of (request.headers.cookie ?? '').split(';')) {
    const equals = pair.indexOf('=');
    if (pair.slice(0, equals).trim() !== name) continue;
    const token = pair.slice(equals + 1).trim();
    if (TOKEN.test(token)) return token;
  }
  return undefined;
}

function hashOf(text: string): string {
  return createHash('sha256').update(text).digest('hex');
}

/** The token has 256 bits that are nowhere else, so that this tells nothing of the secret. */
function proofOf(token: string, { id, secret }: CustomerAccount): string {
  return hashOf(JSON.stringify([token, id, secret]));
}

function sameText(a: string, b: string): boolean {
  return a.length === b.length && timingSafeEqual(Buffer.from(a), Buffer.from(b));
}
