/** Whether what lies outside answers: the database, the stores that the settings name, and receivers of webhooks. */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { Config } from '../../../config/load.ts';
import { type Clock, within } from '../../../kernel/clock.ts';
import { messageOf } from '../../../kernel/fault.ts';
import { MIGRATIONS } from '../../../store/migrations.ts';
import { openBackup } from '../../backup.ts';
import { type Found, fine, problem, warning } from './finding.ts';
import { wordsOfSkew } from './machine.ts';

/** Each start of a recording waits for a few of these, one after another. */
const SLOW_DATABASE_MS = 20;
const ROUNDS = 9;
/** A server has 10 in its pool and one for its lease. */
const CONNECTIONS = 11;

/** @param isServing whether a server runs on this data folder: an embedded database is its alone */
export async function examineDatabase(
  { databaseUrl, dataDir }: Pick<Config, 'databaseUrl' | 'dataDir'>,
  isServing: boolean,
  clock: Clock,
): Promise<Found[]> {
  if (!databaseUrl) {
    const folder = join(dataDir, 'db');
    const { isDatabase } = await import('../../../store/pglite.ts');
    if (isServing) return [fine(`the server that runs has the embedded database in ${folder} open`)];
    const text = isDatabase(folder) ? 'lies' : 'is made at the first start';
    return [fine(`an embedded database ${text} in ${folder}`)];
  }
  const { openPostgres } = await import('../../../store/postgres.ts');
  const database = openPostgres(databaseUrl);
  try {
    return await examinePostgres(database, clock);
  } catch (error) {
    const why = messageOf(error) || String((error as { code?: unknown }).code ?? 'no answer');
    return [
      problem(
        `${database.description} cannot be used: ${why}`,
        'See AIRCHECK_DATABASE_URL: host, port, user, password, sslmode; and pg_hba.conf of the server.',
      ),
    ];
  } finally {
    await database.close();
  }
}

async function examinePostgres(
  database: Awaited<ReturnType<typeof import('../../../store/postgres.ts').openPostgres>>,
  clock: Clock,
): Promise<Found[]> {
  const [row] = await database.query(
    `select current_setting('server_version') as version, pg_is_in_recovery() as standby,
       current_setting('max_connections')::integer as connections,
       has_schema_privilege(current_schema(), 'create') as may_create, to_regclass('migrations') is not null as migrated`,
  );
  const { version, standby, connections, may_create: mayCreate, migrated } = row ?? {};
  const found: Found[] = [fine(`${database.description} answers, version ${version}`)];
  if (standby)
    found.push(problem('it is a standby, which takes no writes', 'Set AIRCHECK_DATABASE_URL to the primary.'));
  if (!mayCreate)
    found.push(
      problem('this user may not make tables there', 'As the database’s owner: grant create on schema public to …'),
    );
  const [count] = migrated ? await database.query('select count(*) as steps from migrations') : [];
  if (Number(count?.['steps'] ?? 0) > MIGRATIONS.length)
    found.push(problem('its tables are of a newer version', 'Install that version again, or restore a backup.'));
  if (Number(connections) < 3 * CONNECTIONS)
    found.push(
      warning(
        `it takes ${connections} connections, and each server needs ${CONNECTIONS}`,
        'Raise max_connections, or put a pooler in session mode between.',
      ),
    );
  found.push(...(await timeDatabase(database, clock)));
  return found;
}

async function timeDatabase(
  database: { query(sql: string): Promise<Record<string, unknown>[]> },
  clock: Clock,
): Promise<Found[]> {
  const rounds: { tookMs: number; skewMs: number }[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const [beganUs, beganMs] = [clock.monoUs(), clock.nowMs()];
    const [row] = await database.query('select extract(epoch from clock_timestamp()) * 1000 as now_ms');
    const tookMs = (clock.monoUs() - beganUs) / 1000;
    rounds.push({ tookMs, skewMs: Number(row?.['now_ms']) - (beganMs + tookMs / 2) });
  }
  const { tookMs, skewMs } = rounds.toSorted((a, b) => a.tookMs - b.tookMs)[Math.floor(ROUNDS / 2)]!;
  const text = `it answers in ${tookMs.toFixed(1)} ms`;
  return [
    tookMs > SLOW_DATABASE_MS
      ? warning(text, 'Put the server nearer to its database: calls wait for several answers, one after another.')
      : fine(text),
    wordsOfSkew('the database’s clock', skewMs),
  ];
}

/** The stores of customers come with their calls, so only the operator's own can be tried. */
export async function examineStores(config: Config, clock: Clock): Promise<Found[]> {
  const where = config.backupStorage ? `bucket ${config.backupStorage.bucket}` : config.backupDir;
  const backup = await openBackup(config);
  try {
    const fault = await backup.test(`aircheck-doctor-${randomBytes(6).toString('hex')}`, clock);
    if (!fault) return [fine(`the backup store (${where}) takes files; \`aircheck store test\` tries a customer’s`)];
    return [
      warning(
        `the backup store (${where}) takes no files: ${fault.message}`,
        'Mend backupStorage or backupDir. Until then files of a store that is away wait on the spool.',
      ),
    ];
  } finally {
    await backup.close();
  }
}

type WebhookSettings = Pick<Config, 'apps' | 'defaultNotifications' | 'notifyTimeoutS'>;

/** Asks each receiver for its address's headers: an event that never happened would be taken for a true one. */
export async function examineWebhooks(config: WebhookSettings, clock: Clock): Promise<Found[]> {
  const all = [config.defaultNotifications, ...config.apps.map(({ notifications }) => notifications)];
  const urls = new Set(all.flatMap((each) => (each ? [each.url] : [])));
  if (urls.size === 0) return [fine('no app has webhooks; events can be read at …/aircheck/events')];
  const found: Found[] = [];
  for (const url of urls) found.push(...(await tryReceiver(url, config.notifyTimeoutS * 1000, clock)));
  return found;
}

async function tryReceiver(configured: string, timeoutMs: number, clock: Clock): Promise<Found[]> {
  const url = new URL(configured);
  // A name and a password in the address are nobody's business here, and fetch refuses them.
  [url.username, url.password] = ['', ''];
  const place = `${url.origin}${url.pathname}`;
  const advice = 'Events wait and are sent again for notifyRetryHours. See whether a firewall or a name is in the way.';
  const over = new AbortController();
  const late = () => {
    over.abort();
    return new Error(`no answer within ${timeoutMs / 1000} s`);
  };
  try {
    const asking = fetch(url, { method: 'HEAD', redirect: 'manual', signal: over.signal });
    const { status, headers } = await within(clock, timeoutMs, asking, late);
    const told = Date.parse(headers.get('date') ?? '');
    // The header has whole seconds.
    const skew = Number.isNaN(told) ? [] : [wordsOfSkew(`the clock of ${url.host}`, told + 500 - clock.nowMs())];
    if (status >= 300 && status < 400)
      return [
        warning(
          `${place} answers with a redirect (${status}), which webhooks do not follow`,
          'Name its final address.',
        ),
      ];
    if (status >= 500) return [warning(`${place} answers ${status}`, advice), ...skew];
    return [fine(`${place} answers`), ...skew];
  } catch (error) {
    const { cause } = error as { cause?: unknown };
    return [warning(`${place} cannot be reached: ${messageOf(cause ?? error)}`, advice)];
  }
}
