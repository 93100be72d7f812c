/** `aircheck serve`: runs a server until a signal ends it, and prints its address on standard output. */
import { flushCompileCache } from 'node:module';
import { loadConfig, unknownVariables } from '../../config/load.ts';
import { systemClock } from '../../kernel/clock.ts';
import { messageOf } from '../../kernel/fault.ts';
import { compiledFolder } from '../compiled.ts';
import { makeDataDir } from '../credentials.ts';
import { takeGround } from '../ground.ts';
import { END_SIGNALS, EndSignals, type Wish } from './end-signals.ts';
import { becomeSmall } from './small-process.ts';

/** Exit code after an uncaught error. */
const FAILED = 70;

export async function serve(): Promise<void> {
  // Whoever read our words may be gone when the server is told to end; that must not keep it from ending in order.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
  const config = loadConfig();
  makeDataDir(config.dataDir);
  becomeSmall(compiledFolder(config.dataDir));
  const say = (words: string) => process.stderr.write(`aircheck: ${words}\n`);
  const signals = new EndSignals({ clock: systemClock, say, endNow: () => process.exit(1) });
  // Before anything that takes time: the first process of a container is given no signal that it does not listen for.
  for (const signal of END_SIGNALS) process.on(signal, () => signals.take(signal));
  for (const words of unknownVariables()) say(words);
  const ground = await takeGround(config);
  const [{ createServer }, { greeting }] = await Promise.all([import('../server.ts'), import('./greeting.ts')]);
  const server = await createServer(config, ground);

  // After an uncaught error the server cannot go on. Its recorders finish their files, and the next start goes on with
  // their recordings.
  let failed = false;
  const fail = (error: unknown) => {
    if (failed) return;
    failed = true;
    process.exitCode = FAILED;
    void server.fail(error).finally(() => process.exit(FAILED));
  };
  process.on('uncaughtException', fail);
  process.on('unhandledRejection', fail);

  const end = (wish: Wish) => {
    server[wish]().then(
      () => process.exit(failed ? FAILED : 0),
      (error) => {
        say(`not ended cleanly: ${messageOf(error)}`);
        process.exit(1);
      },
    );
  };
  // Node keeps compiled code as a process ends, and one that is killed would leave none. Where all is kept already this
  // does nothing.
  flushCompileCache();
  if (signals.started(end)) process.stdout.write(greeting(server));
}
