/** Reading webhooks: whether one is from the server that has the secret, and what it says. */
import type { Notice } from './types.ts';

export type WebhookDelivery = {
  /** The bytes of the body as they came, before any parsing. */
  body: string | Uint8Array;
  /** The header `Agora-Signature-V2`. */
  signature: string | null | undefined;
  /** The secret that the server signs the app's webhooks with. */
  secret: string;
};

/**
 * The notice of a webhook whose signature is right. Rejects with a TypeError when it is not: answer 401 then, and take
 * nothing of it for true. Tell notices that come twice by `noticeId`.
 */
export async function readWebhook({ body, signature, secret }: WebhookDelivery): Promise<Notice> {
  const text = new TextEncoder();
  const bytes = new Uint8Array(typeof body === 'string' ? text.encode(body) : body);
  const given = bytesOf(signature);
  const algorithm = { name: 'HMAC', hash: 'SHA-256' };
  if (secret === '') throw new TypeError('the secret is empty: no signature can be checked with it');
  const key = await crypto.subtle.importKey('raw', text.encode(secret), algorithm, false, ['verify']);
  // Compares in constant time.
  if (!given || !(await crypto.subtle.verify('HMAC', key, given, bytes)))
    throw new TypeError('the signature is not that of the body');
  const notice: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  if (!isNotice(notice)) throw new TypeError('the body is signed, and is no notice');
  return notice;
}

/** 32 bytes in hexadecimal digits; undefined for anything else. */
function bytesOf(signature: string | null | undefined): Uint8Array<ArrayBuffer> | undefined {
  if (!signature || !/^[0-9a-f]{64}$/i.test(signature)) return undefined;
  return Uint8Array.from(signature.match(/../g) ?? [], (digits) => Number.parseInt(digits, 16));
}

function isNotice(value: unknown): value is Notice {
  if (typeof value !== 'object' || value === null) return false;
  const { noticeId, eventType, payload } = value as Record<string, unknown>;
  return (
    typeof noticeId === 'string' &&
    Number.isInteger(eventType) &&
    typeof payload === 'object' &&
    payload !== null &&
    typeof (payload as Record<string, unknown>)['details'] === 'object'
  );
}
