/**
 * Ticket: lets a publisher into the node that it was redirected to. Browsers leave the Authorization header out of a
 * request that is redirected to another origin (Fetch, HTTP-redirect fetch), so the node that has checked the token
 * says so in the address, for this user and channel alone and for a short time.
 */
import { createHmac, timingSafeEqual } from 'node:crypto';

export type Admitted = { appid: string; cname: string; uid: string };

const GOOD_FOR_MS = 30_000;
const FORM = /^(\d{13})\.([0-9a-f]{64})$/;

/** @param nowMs by the database's clock */
export function issueTicket(who: Admitted, key: string, nowMs: number): string {
  const untilMs = Math.round(nowMs + GOOD_FOR_MS).toString();
  return `${untilMs}.${digestOf(who, key, untilMs)}`;
}

/** Whether a node with one of these keys let this user in, and not too long ago. @param nowMs as of issueTicket */
export function isAdmitted(who: Admitted, ticket: string, keys: readonly string[], nowMs: number): boolean {
  const [, untilMs = '', digest = ''] = FORM.exec(ticket) ?? [];
  if (digest === '' || Number(untilMs) < nowMs) return false;
  const given = Buffer.from(digest, 'hex');
  return keys.some((key) => timingSafeEqual(given, Buffer.from(digestOf(who, key, untilMs), 'hex')));
}

function digestOf({ appid, cname, uid }: Admitted, key: string, untilMs: string): string {
  return createHmac('sha256', key)
    .update(JSON.stringify(['ticket', untilMs, appid, cname, uid]))
    .digest('hex');
}
