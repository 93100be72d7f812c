/** One sending of a webhook: a signed POST that the receiver must answer with 200 in time (contract §3.1). */
import type { Clock } from '../kernel/clock.ts';
import { messageOf } from '../kernel/fault.ts';
import { signatureHeaders } from './signature.ts';

/** Where an app's events go. An empty list of event types means all of them. */
export type Webhook = { url: string; secret: string; events: readonly number[] };
export type Sent = { delivered: true } | { delivered: false; error: string };
export type Send = (webhook: Webhook, body: string, signal?: AbortSignal) => Promise<Sent>;

/**
 * How much of an answer is read: a receiver has nothing to tell us, but only a connection whose answer was read can be
 * used again.
 */
const READ_BYTES = 64 * 1024;
const READ_MS = 1_000;
/** How much of a refusal is kept for whoever looks for the reason. */
const QUOTED_CHARACTERS = 200;

export function createSender({ clock, timeoutMs }: { clock: Clock; timeoutMs: number }): Send {
  return async (webhook, body, signal) => {
    const timeout = new AbortController();
    const timer = clock.after(timeoutMs, () => timeout.abort());
    try {
      const { url, headers } = addressOf(webhook.url);
      const response = await fetch(url, {
        method: 'POST',
        headers: {
          ...headers,
          'Content-Type': 'application/json',
          'User-Agent': 'aircheck',
          ...signatureHeaders(webhook.secret, body),
        },
        body,
        // A redirected POST would become a GET, or would take the customer's events to somebody who was not configured.
        redirect: 'manual',
        signal: signal ? AbortSignal.any([timeout.signal, signal]) : timeout.signal,
      });
      const text = await readSome(response, clock);
      if (response.status === 200) return { delivered: true };
      return { delivered: false, error: `the receiver answered ${response.status} instead of 200${quote(text)}` };
    } catch (error) {
      return { delivered: false, error: wordsOf(error, timeout.signal.aborted, timeoutMs, signal) };
    } finally {
      timer.cancel();
    }
  };
}

/** fetch refuses addresses with a name and password; receivers get these as the header that they stand for. */
function addressOf(configured: string): { url: URL; headers: Record<string, string> } {
  const url = new URL(configured);
  if (!url.username && !url.password) return { url, headers: {} };
  const pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
  url.username = '';
  url.password = '';
  return { url, headers: { Authorization: `Basic ${Buffer.from(pair).toString('base64')}` } };
}

/** Reads an answer to its end, unless it gets too long or too slow; then the connection is given up. */
async function readSome(response: Response, clock: Clock): Promise<string> {
  const reader = response.body?.getReader();
  if (!reader) return '';
  const giveUp = () => void reader.cancel().catch(() => {});
  const timer = clock.after(READ_MS, giveUp);
  const chunks: Uint8Array[] = [];
  try {
    for (let bytes = 0; ; ) {
      const { done, value } = await reader.read();
      if (done) break;
      chunks.push(value);
      bytes += value.length;
      if (bytes > READ_BYTES) {
        giveUp();
        break;
      }
    }
  } catch {
    // The status has arrived, and only that counts.
  } finally {
    timer.cancel();
  }
  return Buffer.concat(chunks).toString('utf8');
}

function quote(text: string): string {
  const line = text
    .replace(/[\s\p{Cc}]+/gu, ' ')
    .trim()
    .slice(0, QUOTED_CHARACTERS);
  return line && `: ${line}`;
}

function wordsOf(error: unknown, timedOut: boolean, timeoutMs: number, signal: AbortSignal | undefined): string {
  if (timedOut) return `the receiver did not answer within ${timeoutMs / 1000} s`;
  if (signal?.aborted) return `the sending was broken off: ${messageOf(signal.reason)}`;
  const { cause } = error as { cause?: { code?: string; errors?: unknown[] } };
  // When a name has several addresses, each has failed; the first error says enough.
  const deepest = cause?.errors?.[0] ?? cause ?? error;
  return `the receiver cannot be reached: ${messageOf(deepest) || cause?.code || 'no answer'}`;
}
