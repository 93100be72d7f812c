/** What opens the store of a recording that has ended, whose own keys the server has forgotten. */
import { z } from 'zod';

export const storeKeysSchema = z
  .object({
    accessKey: z.string().min(1),
    secretKey: z.string().min(1),
    stsToken: z.string().min(1).optional(),
  })
  .meta({
    description:
      'What opens the store of a recording that has ended, whose own keys the server has forgotten; not needed for vendor 1000.',
  });
export type StoreKeys = z.infer<typeof storeKeysSchema>;
