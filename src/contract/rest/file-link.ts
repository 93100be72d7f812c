/** The call for an address at which a file can be read without keys. Aircheck's own, not part of the contract. */
import { z } from 'zod';
import { parseBody } from './body.ts';
import { storeKeysSchema } from './store-keys.ts';

export const fileLinkRequestSchema = z.object({ keys: storeKeysSchema.optional() });
export type FileLinkRequest = z.infer<typeof fileLinkRequestSchema>;

export const fileLinkReplySchema = z.object({
  url: z.string().meta({ description: 'Whoever has it can read the file; a browser saves it.' }),
  expiresMs: z.int().meta({ description: 'Until when, Unix milliseconds.' }),
});
export type FileLinkReply = z.infer<typeof fileLinkReplySchema>;

/** Throws `request-invalid`. */
export function parseFileLink(body: unknown): FileLinkRequest {
  return parseBody('link', fileLinkRequestSchema, body ?? {});
}
