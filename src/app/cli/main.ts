#!/usr/bin/env node
/**
 * The command line. A server and what it starts are found by their first word, and load neither the commands that
 * people type nor the library that reads those: each of these processes would hold them as long as it lives.
 */
import { Fault, messageOf } from '../../kernel/fault.ts';
import { leaveOutLanguages } from '../../kernel/zod-languages.ts';

leaveOutLanguages();
try {
  const [, , word = '', ...words] = process.argv;
  if (word === 'serve' && words.length === 0) {
    const { serve } = await import('./serve.ts');
    await serve();
  } else {
    const { CHILDREN } = await import('./children.ts');
    const child = CHILDREN.get(word);
    if (child) await child(...words);
    else {
      const { runCommand } = await import('./commands.ts');
      await runCommand();
    }
  }
} catch (error) {
  // A Fault is written for whoever typed the command; any other error is shown with its stack.
  const text = error instanceof Fault || !(error instanceof Error) ? messageOf(error) : (error.stack ?? error.message);
  process.stderr.write(`aircheck: ${text}\n`);
  process.exit(1);
}
