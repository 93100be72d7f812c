/**
 * acquire: a resource id for one start (contract §1.1).
 */
import { createHash } from 'node:crypto';
import { z } from 'zod';
import { problem } from '../problems.ts';
import { envelope, isChannelName, parseBody } from './body.ts';
import { oneOf } from './fields.ts';

const HOURS_WORDS = 'Acquire: invalid resourceExpiredHour value!';

const clientRequestSchema = z.object({
  scene: oneOf(0, 1, 2)
    .default(0)
    .meta({ description: '1 for web mode, otherwise 0. 2 (postponed transcoding) is taken for 0.' }),
  resourceExpiredHour: z
    .number(HOURS_WORDS)
    .int(HOURS_WORDS)
    .min(1, HOURS_WORDS)
    .max(720, HOURS_WORDS)
    .default(72)
    .meta({ description: 'Hours, from start on, that query, update, updateLayout and stop take the handle for.' }),
  startParameter: z
    .unknown()
    .optional()
    .meta({ description: 'What start will send as clientRequest. An invalid one is no error here.' }),
  excludeResourceIds: z.array(z.string()).optional(),
  regionAffinity: z.number().optional(),
  region: z.string().optional(),
});

export const acquireRequestSchema = envelope(clientRequestSchema);
export const acquireReplySchema = z.object({ cname: z.string(), uid: z.string(), resourceId: z.string() });

export type AcquireRequest = {
  cname: string;
  uid: string;
  scene: 0 | 1 | 2;
  resourceExpiredHour: number;
  /** Hash of the announced clientRequest of `start`; absent when none was announced. */
  startHash: string | undefined;
};
export type AcquireReply = z.infer<typeof acquireReplySchema>;

/** Reads an acquire body. Throws `request-invalid` or `channel-name-invalid`. */
export function parseAcquire(body: unknown): AcquireRequest {
  const { cname, uid, clientRequest } = parseBody('Acquire', acquireRequestSchema, body);
  if (!isChannelName(cname, clientRequest.scene === 1 ? 'web' : undefined)) throw problem('channel-name-invalid');
  const announced = clientRequest.startParameter;
  const empty = announced === undefined || (isObject(announced) && Object.keys(announced).length === 0);
  return {
    cname,
    uid,
    scene: clientRequest.scene,
    resourceExpiredHour: clientRequest.resourceExpiredHour,
    startHash: empty ? undefined : hashOf(announced),
  };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

/** Equal for two JSON values exactly when they are equal, whatever the order of their members. */
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
