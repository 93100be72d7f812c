/**
 * Overlays: what is drawn over the users' pictures of a composite, and which of them are drawn at all. An extension of
 * the contract.
 */
import { z } from 'zod';

export const CORNERS = ['top-left', 'top-right', 'bottom-left', 'bottom-right'] as const;
/** A corner of what it stands in. */
export type Corner = (typeof CORNERS)[number];

const cornerSchema = z.enum(CORNERS);
export const WATERMARK_PLACES = [...CORNERS, 'center'] as const;

const watermarkSchema = z.object({
  shown: z.discriminatedUnion('kind', [
    /** `image` is an address, which may hold credentials. */
    z.object({ kind: z.literal('image'), image: z.string() }),
    z.object({ kind: z.literal('text'), text: z.string() }),
  ]),
  place: z.enum(WATERMARK_PLACES),
  /** Its height, as a fraction of the canvas'; it is made smaller where it would be wider than the canvas. */
  size: z.number().gt(0).max(1),
  /** 1 hides what is under it. */
  opacity: z.number().gt(0).max(1),
});
export type Watermark = z.infer<typeof watermarkSchema>;

const clockSchema = z.object({
  /** Of the IANA database, as `Intl` has it. */
  timeZone: z.string(),
  /** As of `clockText`. */
  format: z.string(),
  corner: cornerSchema,
});
export type ClockOverlay = z.infer<typeof clockSchema>;

const speakerSchema = z.object({
  /** `#RRGGBB` of the border round who speaks; absent where there is none. */
  border: z
    .string()
    .regex(/^#[0-9a-fA-F]{6}$/)
    .optional(),
  /** `large` shows who speaks large and the others beside, `alone` nobody else; absent leaves users where they are. */
  layout: z.enum(['large', 'alone']).optional(),
});

export const overlaysSchema = z.object({
  /** `names` by uid. */
  nameLabels: z.object({ names: z.record(z.string(), z.string()), corner: cornerSchema }).optional(),
  watermark: watermarkSchema.optional(),
  clock: clockSchema.optional(),
  speaker: speakerSchema.optional(),
  /** Users who show no video have no place. */
  hidesWithoutVideo: z.boolean().optional(),
});
export type Overlays = z.infer<typeof overlaysSchema>;

/** Some of them anew; null takes one away, what is absent stays. */
export type OverlaysChange = { [K in keyof Overlays]?: Overlays[K] | null };

/** The overlays with a change made to them. */
export function withOverlays(overlays: Overlays | undefined, change: OverlaysChange): Overlays {
  const all = { ...overlays, ...change };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== null && value !== undefined));
}
