/**
 * What a run keeps of the images that stand in a composite, for a later run that goes on from there: one that is
 * replaced stays until its successor is loaded.
 */
import { z } from 'zod';

export const shownImagesStateSchema = z.array(
  z.object({
    /** The user in whose place it stands; empty for the canvas. */
    place: z.string(),
    /** Stands for its address and the colour under it; the address may hold credentials. */
    key: z.string(),
    render: z.enum(['crop', 'fit']),
  }),
);
export type ShownImagesState = z.infer<typeof shownImagesStateSchema>;
