/**
 * Random identifiers in the shapes of contract §0.3.
 */
import { randomBytes } from 'node:crypto';

/** A recording id: 32 lowercase hex characters. */
export function newSid(): string {
  return randomBytes(16).toString('hex');
}

/** An opaque, URL-safe resource id: 240 base64url characters, no padding. */
export function newResourceId(): string {
  return randomBytes(180).toString('base64url');
}

/** An App ID, App Certificate or customer id: 32 lowercase hex characters. */
export function newHexId(): string {
  return randomBytes(16).toString('hex');
}
