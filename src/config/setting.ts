/** How a setting is made: its schema, and what the reference and the error messages say about it. */
import { z } from 'zod';
import { AllowedAddresses } from '../kernel/address.ts';

type About = {
  description: string;
  /** The allowed values, in words; also the text of the error about a bad value. */
  allowed: string;
  /** The default, in words, when the schema's own is empty or is worked out at start. */
  otherwise?: string;
  /** A secret's value is never repeated in an error. */
  secret?: boolean;
};
const about = new Map<z.ZodType, About>();

export function setting<T extends z.ZodType>(schema: T, words: About): T {
  about.set(schema, words);
  return schema;
}
/** What the reference and the error texts say about a setting. */
export function aboutSetting(schema: z.ZodType): About {
  const words = about.get(schema);
  if (!words) throw new TypeError('every setting is made by `setting`');
  return words;
}

export const text = () => z.string().trim();
/** A web address, or nothing. */
export const urlText = () => text().regex(/^(https?:\/\/[^\s]+)?$/);
/** A whole number, also when it is written as text, as in the environment. */
export const whole = (min: number, max: number, otherwise: number) =>
  z
    .preprocess(
      (value) => (typeof value === 'string' && value.trim() !== '' ? Number(value) : value),
      z.int().min(min).max(max),
    )
    .default(otherwise);
export const flag = (otherwise: boolean) =>
  z
    .preprocess((value) => {
      const word = typeof value === 'string' ? value.trim().toLowerCase() : value;
      return word === 'true' || word === '1' ? true : word === 'false' || word === '0' ? false : value;
    }, z.boolean())
    .default(otherwise);

export const wholeWords = (min: number, max: number) => `a whole number from ${min} to ${max}`;
export const flagWords = 'true or false';

/** A list, or one text with commas, as in the environment. */
export const words = (value: unknown) =>
  typeof value === 'string'
    ? value
        .split(',')
        .map((part) => part.trim())
        .filter((part) => part !== '')
    : value;
const isNetwork = (word: string) => {
  try {
    return word === 'loopback' || word === 'private' || new AllowedAddresses([word]) !== undefined;
  } catch {
    return false;
  }
};
export const networkList = () =>
  z.preprocess((value) => (value === 'none' ? [] : words(value)), z.array(z.string().refine(isNetwork))).optional();
export const pageNetworkList = () =>
  z
    .preprocess(
      (value) => (value === 'none' ? [] : words(value)),
      z.array(z.string().refine((word) => word !== 'private' && isNetwork(word))),
    )
    .default([]);
