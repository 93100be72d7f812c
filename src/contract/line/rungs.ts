/**
 * The rungs of what a recording takes from its picture when the machine cannot keep up (ADR 0023), from the whole
 * picture down. docs/guide/composite.md says what each is.
 */
import { z } from 'zod';

export const RUNG_NAMES = [
  'full',
  'fastCoding',
  'fastestCoding',
  'halfRate',
  'thirdRate',
  'lessDetail',
  'oneASecond',
] as const;

export const rungSchema = z.enum(RUNG_NAMES);
export type RungName = z.infer<typeof rungSchema>;
