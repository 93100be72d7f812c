/**
 * The work of a process that cuts a stretch out of a recording: which slices, and where in the recording they lie.
 * Handed to it as JSON on standard input.
 */
import { z } from 'zod';

const sliceSchema = z.object({
  path: z.string().min(1),
  /**
   * Where its first sample lies, microseconds of the recording as it plays; the cutter finds the exact place of those
   * that go on from the slice before by their own time stamps.
   */
  placeUs: z.number(),
  /** What lies from here on comes from the next slice; absent where that follows. */
  untilUs: z.number().optional(),
});

export const cutCommandSchema = z.object({
  /** The MP4; its folder exists. */
  output: z.string().min(1),
  /** Microseconds of the recording as it plays: without its holds. */
  fromUs: z.number(),
  toUs: z.number(),
  /** UTC of `fromUs`, Unix milliseconds. */
  startUtcMs: z.number(),
  /** Slices that follow each other: one row with everything, or one of picture and one of sound. */
  rows: z.array(z.array(sliceSchema).min(1)).min(1).max(2),
  /**
   * For slices whose own time counts holds, `placeUs` too: when the recording was on hold, in order, microseconds of
   * that time.
   */
  holds: z.array(z.object({ fromUs: z.number(), untilUs: z.number() })).default([]),
  /** How the recorder encodes the picture; absent where it passes pictures on. */
  coding: z.object({ fps: z.int().min(1), bitrateKbps: z.int().min(1) }).optional(),
  /** Anticlockwise degrees by which players turn the picture. */
  rotate: z.union([z.literal(0), z.literal(90), z.literal(180), z.literal(270)]).default(0),
});
export type CutCommand = z.infer<typeof cutCommandSchema>;
export type CutSlice = z.infer<typeof sliceSchema>;
