#!/usr/bin/env node
/**
 * The command line. A server and what it starts are found by their first word, and load neither the commands that
 * people type nor the library that reads those: each of these processes would hold them as long as it lives.
 */
import { leaveOutLanguages } from '../../kernel/zod-languages.ts';
import { explained } from './explained.ts';

leaveOutLanguages();
await explained(async () => {
  const [, , word = '', ...words] = process.argv;
  if (word === 'serve' && words.length === 0) {
    const { serve } = await import('./serve.ts');
    return serve();
  }
  const { CHILDREN } = await import('./children.ts');
  const child = CHILDREN.get(word);
  if (child) return child(...words);
  const { runCommand } = await import('./commands.ts');
  await runCommand();
});
