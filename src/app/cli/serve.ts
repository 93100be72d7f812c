/** `aircheck serve`: runs a server until SIGTERM or SIGINT, and prints its address on standard output. */
import { flushCompileCache } from 'node:module';
import { loadConfig, unknownVariables } from '../../config/load.ts';
import { messageOf } from '../../kernel/fault.ts';
import { compiledFolder } from '../compiled.ts';
import { makeDataDir } from '../credentials.ts';
import { takeGround } from '../ground.ts';
import { becomeSmall } from './small-process.ts';

/** Exit code after an uncaught error. */
const FAILED = 70;

export async function serve(): Promise<void> {
  // Whoever read our words may be gone when the server is told to end; that must not keep it from ending in order.
  for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {});
  const config = loadConfig();
  makeDataDir(config.dataDir);
  becomeSmall(compiledFolder(config.dataDir));
  for (const words of unknownVariables()) process.stderr.write(`aircheck: ${words}\n`);
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

  let signals = 0;
  const end = (signal: string) => {
    signals++;
    if (signals > 1) {
      process.stderr.write('aircheck: ended at once; the next start uploads what is left\n');
      process.exit(1);
    }
    process.stderr.write(`aircheck: ${signal}: finishing recordings; a second signal ends at once\n`);
    server.close().then(
      () => process.exit(failed ? FAILED : 0),
      (error) => {
        process.stderr.write(`aircheck: not ended cleanly: ${messageOf(error)}\n`);
        process.exit(1);
      },
    );
  };
  process.on('SIGTERM', end);
  process.on('SIGINT', end);
  // Node keeps compiled code as a process ends, and one that is killed would leave none. Where all is kept already this
  // does nothing.
  flushCompileCache();
  // Whoever reads the address may send a signal at once.
  process.stdout.write(greeting(server));
}
