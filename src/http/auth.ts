/** HTTP Basic authentication of customers, and which apps each of them may use (contract §5.1). */
import { createHash, timingSafeEqual } from 'node:crypto';
import type { FastifyRequest } from 'fastify';
import { problem } from '../contract/problems.ts';

export type CustomerAccount = {
  id: string;
  secret: string;
  /** App IDs it may use; all when absent. */
  apps: readonly string[] | undefined;
};

declare module 'fastify' {
  interface FastifyRequest {
    /** Who asks, once that is checked; absent in calls that another node carries. */
    customer?: CustomerAccount;
  }
}

/** How a browser that has signed in is known; undefined where the request is of none. */
export type SignedIn = (request: FastifyRequest) => Promise<CustomerAccount | undefined>;

/** The customer of an Authorization header. Throws `unauthorized` or `credentials-invalid`. */
export function authenticate(header: string | undefined, customers: readonly CustomerAccount[]): CustomerAccount {
  if (header === undefined || header.trim() === '') throw problem('unauthorized');
  // A client in production sends "Basic" and the credentials without a space in between.
  const encoded = /^\s*basic\s*([A-Za-z0-9+/_=-]+)\s*$/i.exec(header)?.[1];
  if (encoded === undefined) throw problem('credentials-invalid');
  const pair = Buffer.from(encoded, 'base64').toString('utf8');
  const colon = pair.indexOf(':');
  if (colon < 0) throw problem('credentials-invalid');
  return findCustomer({ id: pair.slice(0, colon), secret: pair.slice(colon + 1) }, customers);
}

/** The customer with this id and secret. Throws `credentials-invalid`. */
export function findCustomer(
  { id, secret }: { id: string; secret: string },
  customers: readonly CustomerAccount[],
): CustomerAccount {
  let found: CustomerAccount | undefined;
  // All ids are compared, each in constant time, so that the time tells nothing about which ids exist.
  for (const customer of customers) {
    const idFits = sameText(customer.id, id);
    const secretFits = sameText(customer.secret, secret);
    if (idFits && secretFits) found = customer;
  }
  if (!found) throw problem('credentials-invalid');
  return found;
}

function sameText(a: string, b: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

/**
 * Whose request it is: by its Authorization header, or without one by the session of its browser. Throws `session-over`
 * and what `authenticate` throws.
 */
async function callerOf(
  request: FastifyRequest,
  customers: readonly CustomerAccount[],
  signedIn: SignedIn | undefined,
): Promise<CustomerAccount> {
  const { authorization } = request.headers;
  const found = authorization === undefined ? await signedIn?.(request) : undefined;
  return found ?? authenticate(authorization, customers);
}

/**
 * Lets a request of an operator pass: of a customer who may use all apps. Throws `operator-needed` and what `callerOf`
 * throws.
 */
export async function authorizeOperator(
  request: FastifyRequest,
  customers: readonly CustomerAccount[],
  signedIn?: SignedIn,
): Promise<void> {
  if ((await callerOf(request, customers, signedIn)).apps !== undefined) throw problem('operator-needed');
}

/**
 * Lets a request pass when its credentials may use the app in its path. Throws `appid-invalid` and what `callerOf`
 * throws.
 */
export async function authorize(
  request: FastifyRequest,
  customers: readonly CustomerAccount[],
  isApp: (appid: string) => boolean,
  signedIn?: SignedIn,
): Promise<void> {
  const customer = await callerOf(request, customers, signedIn);
  const { appid } = request.params as { appid: string };
  if (!isApp(appid) || (customer.apps && !customer.apps.includes(appid))) throw problem('appid-invalid');
  request.customer = customer;
}
