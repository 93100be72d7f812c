/**
 * What all bodies of requests and replies share: the envelope, the rule for channel names (contract §0.3, §0.4), and
 * how a failed check becomes the one `reason` that callers of the real service know (contract §2.3).
 */
import { z } from 'zod';
import { type ProblemName, problem } from '../problems.ts';
import { type Mode, uidSchema } from './fields.ts';

/** Whether a channel name is allowed by contract §0.4 in the given mode; in web mode it is only a label. */
export function isChannelName(cname: string, mode: Mode | undefined = undefined): boolean {
  const bytes = Buffer.byteLength(cname);
  if (mode === 'web') return bytes > 0 && bytes <= 1024;
  return bytes > 0 && bytes < 64 && /^[a-zA-Z0-9 !#$%&()+\-:;<=.>?@[\]^_{}|~,]+$/.test(cname);
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

/** A member in words: its last name, and the name of its holder. */
function placeOf(path: readonly PropertyKey[]): { field: string; parent: string } {
  const names = path.filter((part) => typeof part === 'string');
  return { field: names.at(-1) ?? 'body', parent: names.at(-2) ?? 'body' };
}

/** How Zod's own texts begin; our texts say what is allowed, and go to the caller unchanged. */
const ZODS_OWN = /^(Invalid|Too (big|small)|Unrecognized|Expected)/;

/** The first failed check as a `reason`. `endpoint` is the word that precedes it: `start`, `stop`, `Acquire`. */
function reasonOf(endpoint: string, error: z.ZodError): string {
  const issue = error.issues[0];
  if (!issue) return 'api body validate failed!';
  const { field, parent } = placeOf(issue.path);
  if (parent === 'body') {
    const words = ZODS_OWN.test(issue.message) ? 'is missing or of the wrong type' : issue.message;
    return `api body validate failed! ${field} ${words}`;
  }
  // A layout value out of range gets the same text as one of the wrong type, as in the real service.
  if (ZODS_OWN.test(issue.message) || parent === 'layoutConfig')
    return `${endpoint}: ${field} type mismatch or missing under ${parent}!`;
  if (issue.message.startsWith(`${endpoint}:`)) return issue.message;
  return issue.message.includes(field) ? `${endpoint}: ${issue.message}` : `${endpoint}: ${field} ${issue.message}`;
}

/** The parsed body. Throws the named problem, by default `request-invalid`, with the reason in words. */
export function parseBody<T extends z.ZodType>(
  endpoint: string,
  schema: T,
  body: unknown,
  name: ProblemName = 'request-invalid',
): z.output<T> {
  const parsed = schema.safeParse(withoutNulls(body));
  if (!parsed.success) throw problem(name, reasonOf(endpoint, parsed.error));
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
