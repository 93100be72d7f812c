/**
 * Commands of every day, and those that make files, as they are typed, against the routes of a server in this process.
 */
import { Command } from 'commander';
import { vi } from 'vitest';
import { addEverydayCommands } from '../../src/app/cli/everyday/commands.ts';
import { addMakingCommands } from '../../src/app/cli/making-commands.ts';
import type { RecordingApi } from '../../src/http/api.ts';
import { APP, buildApi, closeApi, listenApi } from './rest-api.ts';

export class TypedCommands {
  readonly #origin: string;
  #printed = '';

  /** Opens the routes of `api`, and keeps what commands print from now on. */
  static async open(api: Partial<RecordingApi>): Promise<TypedCommands> {
    buildApi({ api });
    return new TypedCommands(await listenApi());
  }

  private constructor(origin: string) {
    this.#origin = origin;
    vi.spyOn(process.stdout, 'write').mockImplementation((text) => {
      this.#printed += text;
      return true;
    });
    vi.spyOn(process.stderr, 'write').mockReturnValue(true);
  }

  /** What the command typed last has printed. */
  get printed(): string {
    return this.#printed;
  }

  /** Resolves to what the command prints. Rejects with its Fault, or commander's error for words that it refuses. */
  async type(...words: string[]): Promise<string> {
    const program = new Command().exitOverride();
    addEverydayCommands(program);
    addMakingCommands(program);
    for (const command of program.commands) command.exitOverride();
    this.#printed = '';
    const access = ['--server', this.#origin, '--app', APP, '--customer', 'id:se:cret'];
    await program.parseAsync([...words, ...access], { from: 'user' });
    return this.#printed;
  }

  async close(): Promise<void> {
    vi.restoreAllMocks();
    process.exitCode = 0;
    await closeApi();
  }
}
