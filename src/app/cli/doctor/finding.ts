/** Findings of `aircheck doctor`: what was looked at, what was found, and what to do about it. */
import { messageOf } from '../../../kernel/fault.ts';

export const AREAS = [
  'packages',
  'ports',
  'clock',
  'disk',
  'database',
  'fleet',
  'stores',
  'webhooks',
  'pages',
] as const;
export type Area = (typeof AREAS)[number];

/**
 * `problem`: nothing can be recorded, or not for long. `warning`: something should be seen to, but recordings are made.
 */
export type Level = 'ok' | 'warning' | 'problem';

export type Finding = {
  area: Area;
  level: Level;
  text: string;
  /** What to do about it; absent where all is well. */
  advice?: string;
};

/** What an examination found, without its area. */
export type Found = Omit<Finding, 'area'>;

export const fine = (text: string): Found => ({ level: 'ok', text });
export const warning = (text: string, advice: string): Found => ({ level: 'warning', text, advice });
export const problem = (text: string, advice: string): Found => ({ level: 'problem', text, advice });

/** Examines one area. An examination that fails itself is a problem, and keeps none of the others from their turn. */
export async function examine(area: Area, look: () => Promise<Found[]> | Found[]): Promise<Finding[]> {
  try {
    return (await look()).map((found) => ({ area, ...found }));
  } catch (error) {
    const advice = 'Look at the message; it names what could not be examined.';
    return [{ area, ...problem(messageOf(error), advice) }];
  }
}
