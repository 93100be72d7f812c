/**
 * Fetches an image that a caller named. Its server may be anybody's, so it gets limited time and may send a limited
 * number of bytes, and the guard judges each address that is connected to, also after redirects.
 */
import http from 'node:http';
import https from 'node:https';
import { type Clock, within } from '../../../kernel/clock.ts';
import type { EndpointGuard } from '../../../kernel/endpoint-guard.ts';
import { Fault, messageOf } from '../../../kernel/fault.ts';

/** The most bytes of an image (contract §1.2.3). */
export const MAX_IMAGE_BYTES = 6 * 1024 * 1024;
/** From the first connection to the last byte, including redirects. */
export const IMAGE_TIMEOUT_MS = 10_000;
const MAX_REDIRECTS = 5;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

export type ImageFetchOptions = { guard: EndpointGuard; clock: Clock; signal?: AbortSignal };

/**
 * The bytes at an http or https address, at most `MAX_IMAGE_BYTES`, whatever they are. Rejects with a Fault that names
 * only the host of an address, because the rest may hold credentials; it is `retryable` when the server, or the way to
 * it, may work later.
 */
export async function fetchImage(url: string, { guard, clock, signal }: ImageFetchOptions): Promise<Buffer> {
  const giveUp = new AbortController();
  const until = signal ? AbortSignal.any([signal, giveUp.signal]) : giveUp.signal;
  const agents = guard.agents({ keepAlive: false, maxSockets: 1 });
  try {
    return await within(clock, IMAGE_TIMEOUT_MS, follow(new URL(url), guard, agents, until), () =>
      refusal('image-timeout', `${hostOf(url)} did not send it within ${IMAGE_TIMEOUT_MS / 1000} s`, true),
    );
  } finally {
    giveUp.abort();
    agents.httpAgent.destroy();
    agents.httpsAgent.destroy();
  }
}

type Agents = ReturnType<EndpointGuard['agents']>;

async function follow(first: URL, guard: EndpointGuard, agents: Agents, signal: AbortSignal): Promise<Buffer> {
  let url = first;
  for (let redirects = 0; redirects <= MAX_REDIRECTS; redirects++) {
    guard.checkUrl(url.href);
    const response = await get(url, agents, signal);
    const { statusCode: status = 0, headers } = response;
    if (REDIRECTS.has(status) && headers.location !== undefined) {
      response.destroy();
      url = redirected(headers.location, url);
      continue;
    }
    if (status !== 200) {
      response.destroy();
      const mayRecover = status >= 500 || status === 429 || status === 408;
      throw refusal('image-status', `${url.host} answers with status ${status}`, mayRecover);
    }
    return await bodyOf(response, url.host);
  }
  throw refusal('image-redirects', `${first.host} redirects more than ${MAX_REDIRECTS} times`);
}

function get(url: URL, { httpAgent, httpsAgent }: Agents, signal: AbortSignal): Promise<http.IncomingMessage> {
  // A few compressed bytes could become very many.
  const headers = { accept: 'image/png, image/jpeg, image/bmp', 'accept-encoding': 'identity' };
  return new Promise((resolve, reject) => {
    const request =
      url.protocol === 'https:'
        ? https.request(url, { agent: httpsAgent, headers, signal })
        : http.request(url, { agent: httpAgent, headers, signal });
    request.on('response', resolve);
    request.on('error', (cause) => reject(unreachable(url.host, cause)));
    request.end();
  });
}

async function bodyOf(response: http.IncomingMessage, host: string): Promise<Buffer> {
  const tooLarge = () => refusal('image-too-large', `${host} sends more than ${MAX_IMAGE_BYTES} bytes`);
  const chunks: Buffer[] = [];
  let bytes = 0;
  try {
    if (Number(response.headers['content-length']) > MAX_IMAGE_BYTES) throw tooLarge();
    for await (const chunk of response as AsyncIterable<Buffer>) {
      bytes += chunk.length;
      if (bytes > MAX_IMAGE_BYTES) throw tooLarge();
      chunks.push(chunk);
    }
  } catch (error) {
    throw error instanceof Fault ? error : unreachable(host, error);
  } finally {
    response.destroy();
  }
  return Buffer.concat(chunks);
}

function redirected(location: string, from: URL): URL {
  const to = URL.parse(location, from.href) ?? undefined;
  if (to?.protocol !== 'http:' && to?.protocol !== 'https:')
    throw refusal('image-redirect', `${from.host} redirects to something else than an http or https address`);
  return to;
}

function unreachable(host: string, cause: unknown): Fault {
  // A refusal by the guard stays one.
  if (cause instanceof Fault) return cause;
  return new Fault('image-unreachable', `${host} did not send it: ${messageOf(cause)}`, {
    blame: 'destination',
    retryable: true,
    cause,
  });
}

function hostOf(url: string): string {
  return new URL(url).host;
}

function refusal(code: string, message: string, retryable = false): Fault {
  return new Fault(code, message, { blame: 'caller', retryable });
}
