/**
 * The calls that let a recording be watched while it is recorded. Aircheck's own, not part of the contract.
 */
import { z } from 'zod';
import { problem } from '../problems.ts';
import { parseBody } from './body.ts';
import { isUid } from './fields.ts';

const MOST_S = 86_400;

export const watchRequestSchema = z.object({
  seconds: z
    .int()
    .min(10)
    .max(MOST_S)
    .optional()
    .meta({ description: 'How long the token is good for; `watchTokenS` when left out.' }),
});
export type WatchRequest = z.infer<typeof watchRequestSchema>;

const kindSchema = z.enum(['audio', 'video']);
const urlMeta = { description: 'Path and query of a playlist of low-latency HLS on this server.' };

export const watchReplySchema = z.object({
  sid: z.string(),
  token: z.string().meta({ description: 'Opens this recording, to whoever has it, and nothing else.' }),
  expiresMs: z.int().meta({ description: 'When the token is good no longer, Unix milliseconds.' }),
  url: z
    .string()
    .nullable()
    .meta({ ...urlMeta, description: `${urlMeta.description} null where every user is recorded alone.` }),
  users: z
    .array(z.object({ uid: z.string(), kinds: z.array(kindSchema), url: z.string().meta(urlMeta) }))
    .meta({ description: 'Who can be watched where every user is recorded alone; empty elsewhere.' }),
});
export type WatchReply = z.infer<typeof watchReplySchema>;

const numberText = z
  .string()
  .regex(/^\d{1,9}$/)
  .transform(Number);

/** Query of a playlist (RFC 8216bis §6.2.5). Other directives of its kind are ignored, as they must be. */
const liveQuerySchema = z.object({
  token: z.string().optional(),
  uid: z.string().refine(isUid).optional(),
  kind: kindSchema.optional(),
  _HLS_msn: numberText.optional(),
  _HLS_part: numberText.optional(),
  _HLS_skip: z.string().optional(),
});

/** Which playlist is asked for, and the version of it that a player waits for. */
export type LiveWish = {
  uid?: string | undefined;
  kind?: z.infer<typeof kindSchema> | undefined;
  segment?: number | undefined;
  part?: number | undefined;
  /** What the player knows may be left out. */
  skips: boolean;
};

const ALLOWED = {
  token: 'a token as the watch call gave it',
  uid: 'the uid of a user',
  kind: 'audio or video',
  _HLS_msn: 'the number of a segment',
  _HLS_part: 'the number of a part, from 0 on',
  _HLS_skip: 'YES',
};

/** Throws `request-invalid`. */
export function parseWatch(body: unknown): WatchRequest {
  return parseBody('watch', watchRequestSchema, body ?? {});
}

/** Throws `request-invalid`, also for a part of no slice (§6.2.5.2). */
export function parseLiveQuery(query: unknown): LiveWish {
  const parsed = liveQuerySchema.safeParse(query);
  if (!parsed.success) {
    const names = [...new Set(parsed.error.issues.map(({ path }) => String(path[0]) as keyof typeof ALLOWED))];
    throw problem('request-invalid', `watch: ${names.map((name) => `${name} must be ${ALLOWED[name]}`).join('; ')}!`);
  }
  const { uid, kind, _HLS_msn: segment, _HLS_part: part, _HLS_skip: skip } = parsed.data;
  if (part !== undefined && segment === undefined)
    throw problem('request-invalid', 'watch: _HLS_part needs _HLS_msn beside it!');
  return { uid, kind, segment, part, skips: skip === 'YES' || skip === 'v2' };
}
