/** The signatures of a webhook (contract §3.1), made over exactly the bytes that are sent. */
import { createHmac } from 'node:crypto';

/** `Agora-Signature` is HMAC-SHA1 and `Agora-Signature-V2` HMAC-SHA256, both in lowercase hexadecimal digits. */
export function signatureHeaders(secret: string, body: string | Uint8Array): Record<string, string> {
  return {
    'Agora-Signature': createHmac('sha1', secret).update(body).digest('hex'),
    'Agora-Signature-V2': createHmac('sha256', secret).update(body).digest('hex'),
  };
}
