/** What a process says when it fails. */
import { Fault, messageOf } from '../../kernel/fault.ts';
import { stackOf } from '../../kernel/stack.ts';

/** Runs a command. When it fails, this says why on standard error and ends the process with exit code 1. */
export async function explained(run: () => Promise<void>): Promise<void> {
  try {
    await run();
  } catch (error) {
    // A Fault is written for whoever typed the command; any other error is shown with its stack.
    const text = error instanceof Fault ? messageOf(error) : stackOf(error);
    process.stderr.write(`aircheck: ${text}\n`);
    process.exit(1);
  }
}
