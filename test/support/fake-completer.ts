/**
 * A process that completes a recording as its first argument says, for tests of who starts it.
 */
import { text } from 'node:stream/consumers';
import { NO_ROOM_EXIT } from '../../src/contract/line/complete.ts';

const mode = process.argv[2];
const work = await text(process.stdin);
if (mode === 'echo') process.stdout.write(`${work}\n`);
if (mode === 'fail') {
  process.stderr.write('no space left\n');
  process.exitCode = 1;
}
if (mode === 'full') {
  process.stderr.write('no space left\n');
  process.exitCode = NO_ROOM_EXIT;
}
if (mode === 'hang') for (;;);
