/**
 * To be imported before any schema is made: each would try whether it may make code of text, which the page's policy
 * forbids and a browser complains of.
 */
import { config } from 'zod';

config({ jitless: true });
