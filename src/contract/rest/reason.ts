/**
 * How a failed check becomes the one `reason` that callers of the real service know (contract §2.3), followed by what
 * is to be changed.
 */
import type { z } from 'zod';

type Issue = z.ZodError['issues'][number];

/** How Zod's own texts begin; our texts say what is allowed, and go to the caller unchanged. */
const ZODS_OWN = /^(Invalid|Too (big|small)|Unrecognized|Expected)/;
/** What Zod's types are called in JSON. */
const KINDS: Record<string, string> = {
  string: 'a string',
  number: 'a number',
  int: 'a whole number',
  boolean: 'true or false',
  array: 'a list',
  object: 'an object',
  record: 'an object',
};

/**
 * The first failed check of `body` as a `reason`.
 * @param endpoint the word that precedes it: `start`, `stop`, `Acquire`
 */
export function reasonOf(endpoint: string, error: z.ZodError, body: unknown): string {
  const issue = error.issues[0];
  if (!issue) return 'api body validate failed!';
  const { field, parent, place } = placeOf(issue.path);
  const rule = ruleOf(issue, valueAt(body, issue.path) === undefined);
  if (parent === 'body') return `api body validate failed! ${field} ${rule}`;
  // A layout value out of range gets the same text as one of the wrong type, as in the real service.
  if (isZods(issue) || parent === 'layoutConfig')
    return `${endpoint}: ${field} type mismatch or missing under ${parent}! ${said(place, rule)}`;
  if (rule.startsWith(`${endpoint}:`)) return rule;
  // An entry of a list, or of an object by uid, has no name of its own.
  const name = place.includes('[') || /^\d+$/.test(field) ? place : field;
  return `${endpoint}: ${rule.includes(name) ? rule : said(name, rule)}`;
}

/** A member in words: its name, that of its holder, and both with the numbers of entries of lists. */
function placeOf(path: readonly PropertyKey[]): { field: string; parent: string; place: string } {
  const at = path.findLastIndex((part) => typeof part === 'string');
  const holder = path.findLastIndex((part, index) => typeof part === 'string' && index < at);
  const place = path
    .slice(Math.max(0, holder))
    .map((part, index) => (typeof part === 'number' ? `[${part}]` : `${index > 0 ? '.' : ''}${String(part)}`));
  return { field: nameAt(path, at), parent: nameAt(path, holder), place: place.join('') };
}

function nameAt(path: readonly PropertyKey[], index: number): string {
  return index < 0 ? 'body' : String(path[index]);
}

function valueAt(body: unknown, path: readonly PropertyKey[]): unknown {
  let value = body;
  for (const part of path) {
    if (typeof value !== 'object' || value === null) return undefined;
    value = (value as Record<PropertyKey, unknown>)[part];
  }
  return value;
}

function isZods({ message }: Issue): boolean {
  return ZODS_OWN.test(message);
}

/** What the value must be, in words; never the value itself, which may be a secret. */
function ruleOf(issue: Issue, isMissing: boolean): string {
  if (!isZods(issue)) return issue.message;
  if (isMissing) return 'is missing';
  switch (issue.code) {
    case 'invalid_type':
      return `must be ${KINDS[issue.expected] ?? issue.expected}`;
    case 'invalid_value': {
      const allowed = issue.values.map((value) => JSON.stringify(value)).join(', ');
      // Whoever sent "1" for 1 would not see the difference in a list of numbers.
      if (issue.values.every((value) => typeof value === 'number')) return `must be a number: ${allowed}`;
      return issue.values.length === 1 ? `must be ${allowed}` : `must be one of ${allowed}`;
    }
    case 'too_big':
      return sizeRule('most', issue.origin, issue.maximum);
    case 'too_small':
      return sizeRule('least', issue.origin, issue.minimum);
    default:
      return 'is not valid';
  }
}

function sizeRule(bound: 'most' | 'least', origin: string, limit: number | bigint): string {
  if (origin === 'string') return `must have at ${bound} ${limit} characters`;
  if (origin === 'array') return `must have at ${bound} ${limit} entries`;
  return `must be at ${bound} ${limit}`;
}

function said(place: string, rule: string): string {
  return /^(must|may|is)\b/.test(rule) ? `${place} ${rule}` : `${place}: ${rule}`;
}
