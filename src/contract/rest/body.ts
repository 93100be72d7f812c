/**
 * What all bodies of requests and replies share: the envelope, and the rule for channel names (contract §0.3, §0.4).
 */
import { z } from 'zod';
import { type ProblemName, problem } from '../problems.ts';
import { CHANNEL_NAME } from './channel-name.ts';
import { type Mode, uidSchema } from './fields.ts';
import { reasonOf } from './reason.ts';

/** Whether a channel name is allowed by contract §0.4 in the given mode; in web mode it is only a label. */
export function isChannelName(cname: string, mode: Mode | undefined = undefined): boolean {
  const bytes = Buffer.byteLength(cname);
  if (mode === 'web') return bytes > 0 && bytes <= 1024;
  return bytes > 0 && bytes < 64 && CHANNEL_NAME.test(cname);
}

/** `cname`, `uid` and an object `clientRequest` of the given schema. */
export function envelope<T extends z.ZodType>(clientRequest: T) {
  return z.object({ cname: z.string(), uid: uidSchema, clientRequest });
}

const namesSchema = envelope(z.looseObject({}));
/** The channel and uid that a body names, where it does. */
export type SaidNames = { cname?: string | undefined; uid?: string | undefined };

/** The members of every answer to a call on a resource. */
export const handleReplySchema = z.object({
  cname: z.string(),
  uid: z.string(),
  resourceId: z.string(),
  sid: z.string(),
});
export type HandleReply = z.infer<typeof handleReplySchema>;

/** An array or object without the members that are null: clients send null for what they do not set. */
function withoutNulls(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNulls);
  if (typeof value !== 'object' || value === null) return value;
  return Object.fromEntries(
    Object.entries(value)
      .filter(([, member]) => member !== null)
      .map(([name, member]) => [name, withoutNulls(member)]),
  );
}

/** The parsed body. Throws the named problem, by default `request-invalid`, with the reason in words. */
export function parseBody<T extends z.ZodType>(
  endpoint: string,
  schema: T,
  body: unknown,
  name: ProblemName = 'request-invalid',
): z.output<T> {
  const sent = withoutNulls(body);
  const parsed = schema.safeParse(sent);
  if (!parsed.success) throw problem(name, reasonOf(endpoint, parsed.error, sent));
  return parsed.data;
}

/**
 * `cname`, `uid` and the raw `clientRequest`, read before anything else is checked (contract §2.4). Throws
 * `request-invalid`.
 */
export function parseNames(
  endpoint: string,
  body: unknown,
): { cname: string; uid: string; clientRequest: Record<string, unknown> } {
  return parseBody(endpoint, namesSchema, body);
}
