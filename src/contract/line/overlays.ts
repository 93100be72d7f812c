/**
 * Overlays: what is drawn over the users' pictures of a composite, and which users are shown at all. An extension of
 * the contract.
 */
import { z } from 'zod';

export const CORNERS = ['top-left', 'top-right', 'bottom-left', 'bottom-right'] as const;
/** A corner of the place or canvas that something stands in. */
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
  /** The height as a fraction of the canvas's; the overlay is made smaller where it would be wider than the canvas. */
  size: z.number().gt(0).max(1),
  /** 1 hides what is beneath. */
  opacity: z.number().gt(0).max(1),
});
export type Watermark = z.infer<typeof watermarkSchema>;

const clockSchema = z.object({
  /** A time zone of the IANA database, as `Intl` takes it. */
  timeZone: z.string(),
  /** As `clockText` takes it. */
  format: z.string(),
  corner: cornerSchema,
});
export type ClockOverlay = z.infer<typeof clockSchema>;

const speakerSchema = z.object({
  /** `#RRGGBB` of the border round the active speaker; absent when there is none. */
  border: z
    .string()
    .regex(/^#[0-9a-fA-F]{6}$/)
    .optional(),
  /**
   * `large` shows the active speaker large and the others beside, `alone` shows nobody else; absent leaves users where
   * they are.
   */
  layout: z.enum(['large', 'alone']).optional(),
});

export const overlaysSchema = z.object({
  /** `names` are by uid. */
  nameLabels: z.object({ names: z.record(z.string(), z.string()), corner: cornerSchema }).optional(),
  watermark: watermarkSchema.optional(),
  clock: clockSchema.optional(),
  speaker: speakerSchema.optional(),
  /** Users who show no video get no place. */
  hidesWithoutVideo: z.boolean().optional(),
});
export type Overlays = z.infer<typeof overlaysSchema>;

/** New values for some overlays; null removes one, and absent ones stay. */
export type OverlaysChange = { [K in keyof Overlays]?: Overlays[K] | null };

/** The overlays after a change. */
export function withOverlays(overlays: Overlays | undefined, change: OverlaysChange): Overlays {
  const all = { ...overlays, ...change };
  return Object.fromEntries(Object.entries(all).filter(([, value]) => value !== null && value !== undefined));
}
