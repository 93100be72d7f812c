/** Signing in to the dashboard: what is sent, and what is answered. */
import { z } from 'zod';

const MAX_LENGTH = 1024;
const credential = (description: string) => z.string().min(1).max(MAX_LENGTH).meta({ description });

export const SIGN_IN_WORDS = `customerId and customerSecret must be texts of 1 to ${MAX_LENGTH} characters`;
export const signInSchema = z.object({
  customerId: credential('The id of a customer, as for the REST API.'),
  customerSecret: credential('The secret.'),
});

export const sessionReplySchema = z.object({
  customer: z.string().meta({ description: 'The id of the customer.' }),
  apps: z.array(z.string()).meta({ description: 'The App IDs that the customer may use.' }),
  operator: z.boolean().meta({ description: 'Whether the customer may use all apps, and see the server itself.' }),
  version: z.string().meta({ description: 'Of the server.' }),
});
export type SessionReply = z.infer<typeof sessionReplySchema>;
