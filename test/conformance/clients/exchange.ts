/**
 * One HTTP call with exactly the bytes it is given: fetch refuses a body with GET, which one library sends.
 */
import { request as requestHttp } from 'node:http';
import { request as requestHttps } from 'node:https';

export type Sent = {
  method: 'GET' | 'POST';
  url: string;
  headers: Record<string, string>;
  body?: string;
  /** In chunks instead of with a length. */
  chunked?: boolean;
  signal?: AbortSignal;
};
export type Answered = { status: number; rawBody: string; headers: Record<string, string> };

/** Rejects when there is no answer: no connection, or `signal` fired. */
export function exchange({ method, url, headers, body, chunked = false, signal }: Sent): Promise<Answered> {
  const { promise, resolve, reject } = Promise.withResolvers<Answered>();
  const length = body === undefined || chunked ? {} : { 'content-length': String(Buffer.byteLength(body)) };
  const coding = body !== undefined && chunked ? { 'transfer-encoding': 'chunked' } : {};
  const request = url.startsWith('https:') ? requestHttps : requestHttp;
  const call = request(
    url,
    // A connection of its own: none is left open when a test ends.
    { method, headers: { ...headers, ...length, ...coding }, agent: false, ...(signal && { signal }) },
    (response) => {
      const chunks: Buffer[] = [];
      response.on('data', (chunk: Buffer) => chunks.push(chunk));
      response.on('error', reject);
      response.on('end', () => {
        const named = Object.entries(response.headers).map(([name, value]) => [name, String(value)]);
        resolve({
          status: response.statusCode ?? 0,
          rawBody: Buffer.concat(chunks).toString('utf8'),
          headers: Object.fromEntries(named),
        });
      });
    },
  );
  call.on('error', reject);
  call.end(body);
  return promise;
}

export function basicAuth(id: string, secret: string): string {
  return `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`;
}
