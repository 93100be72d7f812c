/**
 * acquire: a resource id for one start (contract §1.1).
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { problem } from '../problems.ts';
import { envelope, isChannelName, parseBody } from './body.ts';

const clientRequestSchema = z.object({
  scene: z.union([z.literal(0), z.literal(1), z.literal(2)], 'must be 0, 1 or 2').default(0),
  /** Hours that query and stop take the resource id for, from the start on. Checked apart, as it has a text of its own. */
  resourceExpiredHour: z.unknown().optional(),
  /** What `start` will send; an invalid one is no error here. */
  startParameter: z.unknown().optional(),
  excludeResourceIds: z.array(z.string()).optional(),
  regionAffinity: z.number().optional(),
  region: z.string().optional(),
});
const acquireSchema = envelope(clientRequestSchema);

export type AcquireRequest = {
  cname: string;
  uid: string;
  scene: 0 | 1 | 2;
  resourceExpiredHour: number;
  /** Hash of the announced clientRequest of `start`; absent when none was announced. */
  startHash: string | undefined;
};
export type AcquireReply = { cname: string; uid: string; resourceId: string };

/** Reads an acquire body. Throws `request-invalid` or `channel-name-invalid`. */
export function parseAcquire(body: unknown): AcquireRequest {
  const { cname, uid, clientRequest } = parseBody('Acquire', acquireSchema, body);
  if (!isChannelName(cname, clientRequest.scene === 1 ? 'web' : undefined)) throw problem('channel-name-invalid');
  const hours = clientRequest.resourceExpiredHour ?? 72;
  if (typeof hours !== 'number' || !Number.isInteger(hours) || hours < 1 || hours > 720)
    throw problem('request-invalid', 'Acquire: invalid resourceExpiredHour value!');
  const announced = clientRequest.startParameter;
  const empty = announced === undefined || (isObject(announced) && Object.keys(announced).length === 0);
  return {
    cname,
    uid,
    scene: clientRequest.scene,
    resourceExpiredHour: hours,
    startHash: empty ? undefined : hashOf(announced),
  };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** The same for two JSON values exactly when they are equal, whatever the order of their members. */
export function hashOf(value: unknown): string {
  return createHash('sha256').update(canonical(value)).digest('hex');
}

function canonical(value: unknown): string {
  if (Array.isArray(value)) return `[${value.map(canonical).join(',')}]`;
  if (!isObject(value)) return JSON.stringify(value) ?? 'null';
  const members = Object.entries(value).filter(([, member]) => member !== undefined && member !== null);
  members.sort(([a], [b]) => (a < b ? -1 : 1));
  return `{${members.map(([name, member]) => `${JSON.stringify(name)}:${canonical(member)}`).join(',')}}`;
}
