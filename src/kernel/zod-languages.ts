/**
 * Zod is loaded with its messages in 60 languages. We write them in English, and each process would hold the others as
 * long as it lives.
 */
import { registerHooks } from 'node:module';

/** Has Zod loaded with English alone. Called before anything that loads it. */
export function leaveOutLanguages(): void {
  registerHooks({
    resolve(specifier, context, next) {
      const isList = specifier === '../locales/index.js' && context.parentURL?.includes('/node_modules/zod/');
      return next(isList ? '../locales/en.js' : specifier, context);
    },
  });
}
