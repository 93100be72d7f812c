/**
 * How users are placed on the canvas of a composite recording: the members that start has under `transcodingConfig` and
 * updateLayout at its top level (contract §1.2.3, §1.4).
 */
import { z } from 'zod';
import {
  colorSchema,
  FRACTION_WORDS,
  fraction,
  HTTP_URL_WORDS,
  httpUrlSchema,
  oneOf,
  uidOrNoneSchema,
  uidSchema,
} from './fields.ts';

const layoutRegionSchema = z
  .object({
    uid: uidOrNoneSchema.optional(),
    x_axis: fraction(),
    y_axis: fraction(),
    width: fraction(),
    height: fraction(),
    alpha: z.number().min(0, FRACTION_WORDS).max(1, FRACTION_WORDS).default(1),
    render_mode: oneOf(0, 1).default(0),
  })
  // Client libraries send float32, whose sums may pass 1 by some 1e-7 (contract §6.15).
  .refine((region) => region.x_axis + region.width <= 1 + 1e-6, {
    path: ['width'],
    message: 'x_axis + width is over 1',
  })
  .refine((region) => region.y_axis + region.height <= 1 + 1e-6, {
    path: ['height'],
    message: 'y_axis + height is over 1',
  });

const backgroundSchema = z.object({
  uid: uidSchema,
  image_url: httpUrlSchema,
  render_mode: oneOf(0, 1).default(0),
});

/** Client libraries send `""` for an address that they do not set. */
const imageUrlSchema = z.union([z.literal(''), httpUrlSchema], HTTP_URL_WORDS);

export const layoutMembers = {
  mixedVideoLayout: oneOf(0, 1, 2, 3).default(0),
  maxResolutionUid: uidOrNoneSchema.optional(),
  backgroundColor: z.union([z.literal(''), colorSchema], 'must be "#RRGGBB"').default('#000000'),
  backgroundImage: imageUrlSchema.optional(),
  defaultUserBackgroundImage: imageUrlSchema.optional(),
  layoutConfig: z.array(layoutRegionSchema).max(17, 'may have at most 17 entries').optional(),
  backgroundConfig: z.array(backgroundSchema).max(17, 'may have at most 17 entries').optional(),
};
const layoutSchema = z.object(layoutMembers);
export type LayoutMembers = z.output<typeof layoutSchema>;

/** Layout 3 needs regions. For `superRefine`. */
export function checkRegions(config: LayoutMembers, context: z.RefinementCtx): void {
  if (config.mixedVideoLayout === 3 && !config.layoutConfig?.length)
    context.addIssue({
      code: 'custom',
      path: ['layoutConfig'],
      message: 'layoutConfig is required when mixedVideoLayout is 3',
    });
}
