/**
 * updateLayout: another layout for a running composite recording. It replaces the whole old one: what is not sent goes
 * back to its default (contract §1.4).
 */
import { z } from 'zod';
import { envelope, parseBody } from './body.ts';
import { checkRegions, layoutMembers } from './layout.ts';

export const updateLayoutRequestSchema = envelope(z.object(layoutMembers).superRefine(checkRegions));
export type UpdateLayoutRequest = z.output<typeof updateLayoutRequestSchema>;

/** Reads an updateLayout body. Throws `layout-invalid` with the reason. */
export function parseUpdateLayout(body: unknown): UpdateLayoutRequest {
  return parseBody('updateLayout', updateLayoutRequestSchema, body, 'layout-invalid');
}
