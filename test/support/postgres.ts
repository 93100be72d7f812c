/**
 * A Postgres of the test's own: Debian's, in a temporary folder, on a free port, as an unprivileged user, here or on a
 * machine of its own. It can hang, be stopped and come back.
 */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { appendFileSync, chownSync, existsSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Client } from 'pg';
import { childrenOf } from './processes.ts';
import { freeTcpPort, type Host } from './server-process.ts';
import { until } from './test-server.ts';

const INSTALLED = '/usr/lib/postgresql';
const USER = 'aircheck';

type PostgresOptions = { maxConnections?: number /** Where it runs. */; machine?: Host | undefined };

export class PostgresServer {
  readonly url: string;
  readonly #dir: string;
  readonly #port: number;
  readonly #options: Required<PostgresOptions>;
  #process: ChildProcess | undefined;

  /** Makes an empty database. Rejects with an Error that says why there is none. */
  static async start({ maxConnections = 100, machine }: PostgresOptions = {}): Promise<PostgresServer> {
    const dir = mkdtempSync(join(tmpdir(), 'aircheck-postgres-'));
    const as = account();
    if (as) chownSync(dir, as.uid, as.gid);
    const server = new PostgresServer(dir, await freeTcpPort(), { maxConnections, machine });
    try {
      const made = spawnSync(program('initdb'), ['-D', join(dir, 'db'), '-U', USER, '-A', 'trust', '-E', 'UTF8'], {
        ...as,
        cwd: dir,
        encoding: 'utf8',
      });
      if (made.status !== 0) throw new Error(`initdb: ${made.error?.message ?? made.stderr}`);
      if (machine) appendFileSync(join(dir, 'db', 'pg_hba.conf'), 'host all all 0.0.0.0/0 trust\n');
      await server.resume();
    } catch (error) {
      await server.close();
      throw error;
    }
    return server;
  }

  private constructor(dir: string, port: number, options: Required<PostgresOptions>) {
    this.#options = options;
    this.#dir = dir;
    this.#port = port;
    this.url = `postgres://${USER}@${options.machine?.address ?? '127.0.0.1'}:${port}/postgres`;
  }

  /** Of the process that all its others are children of. */
  get pid(): number {
    return this.#process?.pid ?? 0;
  }

  /** Answers nothing from now on, and breaks no connection off, until `resume`. */
  hang(): void {
    this.#signal('SIGSTOP');
  }

  /** Ends at once, as after a crash, until `resume`. */
  async crash(): Promise<void> {
    const gone = this.#process;
    this.#process = undefined;
    if (!gone) return;
    const exited = once(gone, 'exit');
    // Postgres ends its own processes without writing a checkpoint.
    gone.kill('SIGQUIT');
    await exited;
  }

  /** Goes on, or begins again on the same data. Resolves once it answers. */
  async resume(): Promise<void> {
    if (this.#process) this.#signal('SIGCONT');
    else {
      const { machine, maxConnections } = this.#options;
      const settings = [`listen_addresses=${machine?.address ?? '127.0.0.1'}`, `max_connections=${maxConnections}`];
      const options = ['-D', join(this.#dir, 'db'), '-p', String(this.#port), '-k', this.#dir];
      const command = [program('postgres'), ...options, ...settings.flatMap((setting) => ['-c', setting])];
      const as = account();
      // Only root may enter a machine; it gives that up there.
      const given = machine && as ? ['setpriv', `--reuid=${as.uid}`, `--regid=${as.gid}`, '--clear-groups', '--'] : [];
      const [first, ...rest] = [...(machine?.enter ?? []), ...given, ...command];
      this.#process = spawn(first as string, rest, { ...(!machine && as), cwd: this.#dir, stdio: 'ignore' });
    }
    await until('Postgres answers', () => this.rows('select 1').catch(() => undefined), 30_000);
  }

  async rows(sql: string): Promise<Record<string, unknown>[]> {
    const client = new Client({ connectionString: this.url, connectionTimeoutMillis: 5000 });
    client.on('error', () => {}); // it may end before the client does
    await client.connect();
    try {
      return (await client.query(sql)).rows;
    } finally {
      await client.end();
    }
  }

  async close(): Promise<void> {
    if (this.#process) this.#signal('SIGCONT');
    await this.crash();
    rmSync(this.#dir, { recursive: true, force: true });
  }

  #signal(name: NodeJS.Signals): void {
    const pid = this.#process?.pid;
    if (pid === undefined) return;
    // The one that takes new connections first: it must not replace a worker that stands still.
    for (const each of [pid, ...childrenOf(pid)])
      try {
        process.kill(each, name);
      } catch (error) {
        // One of a connection that was closed may have ended since it was listed.
        if ((error as NodeJS.ErrnoException).code !== 'ESRCH') throw error;
      }
  }
}

/** Whom to run it as: Postgres refuses to run as root. */
function account(): { uid: number; gid: number } | undefined {
  if (process.getuid?.() !== 0) return undefined;
  const id = (what: string) => Number(spawnSync('id', [what, 'postgres'], { encoding: 'utf8' }).stdout);
  return { uid: id('-u'), gid: id('-g') };
}

/** Debian keeps the programs out of the path, in a folder per version. */
function program(name: string): string {
  const versions = existsSync(INSTALLED) ? readdirSync(INSTALLED).sort((a, b) => Number(b) - Number(a)) : [];
  const found = versions.map((version) => join(INSTALLED, version, 'bin', name)).find((path) => existsSync(path));
  return found ?? name;
}
