/**
 * The kinds of field that request bodies are made of. Our texts say what is allowed and go to the caller unchanged; for
 * a wrong type Zod's own text stands, which `reasonOf` turns into the documented one (contract §2.3).
 */
import { z } from 'zod';

export const MODES = ['individual', 'mix', 'web'] as const;
export type Mode = (typeof MODES)[number];

const MAX_UID = 4_294_967_295;

export function isUid(text: string): boolean {
  return /^[1-9]\d{0,9}$/.test(text) && Number(text) <= MAX_UID;
}

const UID_WORDS = 'must be a string holding a whole number from 1 to 4294967295';

export const uidSchema = z
  .string()
  .refine(isUid, UID_WORDS)
  .meta({ description: 'A decimal whole number from 1 to 4294967295, as text.', examples: ['527841'] });

/** A uid, or `""`, which client libraries send for none. */
export const uidOrNoneSchema = z.union([z.literal(''), uidSchema], UID_WORDS);

/** One of some whole numbers. */
export const oneOf = <const T extends readonly number[]>(...values: T) =>
  z.literal(values, {
    error: (issue) => (typeof issue.input === 'number' ? `must be one of ${values.join(', ')}` : undefined),
  });

/** A whole number in a range; 720.0 is one. */
export const whole = (min: number, max: number) => {
  const words = `must be a whole number from ${min} to ${max}`;
  return z.number().int(words).min(min, words).max(max, words);
};

export const FRACTION_WORDS = 'must be a number from 0 to 1';

/**
 * A part of the canvas's width or height. Client libraries send 32-bit floats, which may lie just outside the range
 * (contract §6.15).
 */
export const fraction = () =>
  z
    .number()
    .min(-1e-6, FRACTION_WORDS)
    .max(1 + 1e-6, FRACTION_WORDS);

/** `#RRGGBB` */
export const colorSchema = z.string().regex(/^#[0-9a-fA-F]{6}$/, 'must be "#RRGGBB"');

export const HTTP_URL_WORDS = 'must be an http:// or https:// address';

/** The address of an image or page. */
export const httpUrlSchema = z
  .string()
  .max(8192)
  .refine((text) => /^https?:$/.test(URL.parse(text)?.protocol ?? ''), HTTP_URL_WORDS);

const UID_LIST_WORDS = 'must list uids (strings holding whole numbers from 1 to 4294967295), or be ["#allstream#"]';

/** Some users, or `["#allstream#"]` for all of them. */
export const uidListSchema = z
  .array(z.string())
  .max(32, 'may name at most 32 users')
  .refine((uids) => uids.every(isUid) || (uids.length === 1 && uids[0] === '#allstream#'), UID_LIST_WORDS)
  .meta({ description: 'Up to 32 uids, or ["#allstream#"] for all users.', examples: [['123', '456']] });

/** A moment of an answer, Unix milliseconds. */
export const unixMs = (description: string) => z.int().meta({ description: `${description} Unix milliseconds.` });
