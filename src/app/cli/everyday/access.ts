/**
 * How the commands for every day reach a server: the one of these settings, or another that is named; and what to do
 * next when it refuses.
 */
import { buildRtcToken } from '../../../channel/whip/token.ts';
import { AircheckClient, AircheckError, type Remark } from '../../../client/index.ts';
import { type Config, loadConfig } from '../../../config/load.ts';
import { CHANNEL_NAME_WORDS } from '../../../contract/rest/channel-name.ts';
import { Fault } from '../../../kernel/fault.ts';
import { completeCredentials } from '../../credentials.ts';
import { ownUrl } from '../own-server.ts';
import { Patience } from '../patience.ts';

/** The options that all of them have. */
export type AccessWords = { server?: string; app?: string; customer?: string; json?: boolean };

export type Access = {
  client: AircheckClient;
  /** Has calls of the client made again that follow what the server has begun. */
  patience: Patience;
  /** Origin of the server. */
  url: string;
  appid: string;
  /** Who asks. */
  customer: { id: string; secret: string };
  /** Settings of the server, where they are at hand. */
  config: Config | undefined;
  /** A token of the app for who publishes or records; undefined where none is needed, or none can be made. */
  tokenFor(cname: string, uid: string): string | undefined;
};

const TOKEN_LIFE_S = 86_400;

/** A person at a terminal waits no longer for a server that is away. */
const DEADLINE_MS = 8_000;

/** Throws a Fault that says which option is missing. */
export function openAccess(words: AccessWords): Access {
  const given = loadConfig();
  const isElsewhere = words.server !== undefined;
  // A server elsewhere has its own credentials; what this data folder has are those of this machine's.
  const config = isElsewhere ? given : completed(given);
  const url = words.server === undefined ? ownUrl(config) : originOf(words.server);
  const customer = words.customer === undefined ? config.customers[0] : customerOf(words.customer);
  const apps = config.apps.map(({ appid }) => appid);
  const appid = words.app ?? (apps.length === 1 ? apps[0] : undefined);
  if (customer === undefined)
    throw missing('give --customer <id>:<secret>, or set AIRCHECK_CUSTOMER_ID and AIRCHECK_CUSTOMER_SECRET');
  if (appid === undefined)
    throw missing(
      apps.length === 0
        ? 'give --app <appid>, or set AIRCHECK_APP_ID'
        : `several apps are configured; name one with --app: ${apps.join(', ')}`,
    );
  const certificate = config.apps.find((app) => app.appid === appid)?.certificate;
  const patience = new Patience();
  return {
    client: new AircheckClient({
      ...{ url, appId: appid, customerId: customer.id, customerSecret: customer.secret },
      ...{ deadlineMs: DEADLINE_MS, fetch: patience.fetch },
      onRemark: (remark) => (remark.kind === 'retry' && patience.isWaiting ? patience.tell() : warnOf(remark)),
    }),
    patience,
    ...{ url, appid, customer, config: isElsewhere ? undefined : config },
    tokenFor: (cname, uid) =>
      certificate === undefined
        ? undefined
        : buildRtcToken({ appId: appid, certificate, cname, uid, lifeS: TOKEN_LIFE_S }),
  };
}

function completed(given: Config): Config {
  try {
    return completeCredentials(given, { make: false }).config;
  } catch (error) {
    if (!(error instanceof Fault) || error.code !== 'no-credentials') throw error;
    throw missing(`${error.message}, or give --server, --app and --customer of one that runs elsewhere`);
  }
}

function missing(words: string): Fault {
  return new Fault('access-missing', words, { blame: 'caller' });
}

function originOf(text: string): string {
  const url = URL.parse(text);
  if (!url || !/^https?:$/.test(url.protocol) || url.username !== '')
    throw missing(`--server is ${text}; it is an address as https://record.example.com`);
  return text.replace(/\/+$/, '');
}

function customerOf(text: string): { id: string; secret: string } {
  const colon = text.indexOf(':');
  if (colon < 1 || colon === text.length - 1) throw missing('--customer is <id>:<secret>');
  return { id: text.slice(0, colon), secret: text.slice(colon + 1) };
}

/** Tells remarks on standard error. */
function warnOf(remark: Remark): void {
  const line =
    remark.kind === 'retry'
      ? `${remark.why}; tried again in ${(remark.afterMs / 1000).toFixed(0)} s`
      : `${remark.call}: the server finds ${remark.count} of the request doubtful${remark.store === undefined ? '' : `; the store says: ${remark.store}`}. \`aircheck show <sid>\` names what`;
  process.stderr.write(`aircheck: warning: ${line}\n`);
}

/** Does the work; what a server refuses becomes a Fault that says what to do next. */
export async function explaining<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof AircheckError)) throw error;
    const next = nextStep(error);
    const why = next === undefined ? error.message : `${error.message}.\n  ${next}`;
    throw new Fault('server-refused', why, { blame: 'caller', cause: error });
  }
}

/** What helps against an answer, for whoever typed the command. */
export function nextStep({ status, code, message, isGone }: AircheckError): string | undefined {
  if (status === undefined)
    return 'Start it with `aircheck serve`, run this where its settings are, or name it with --server.';
  if (status === 401)
    return 'Run this with the settings and data folder of the server, or give --customer <id>:<secret>.';
  if (status === 403) return 'Use a customer who may use all apps: one without `apps` in the settings.';
  if (status === 429) return 'Wait a second; rateLimitPerS sets how many calls there may be.';
  if (message.includes('appid is invalid'))
    return 'Give --app with an App ID of the server that this customer may use.';
  if (message.includes('invalid_channel_name')) return `The name of a channel has ${CHANNEL_NAME_WORDS}`;
  if (message.includes('no such event')) return '`aircheck events` lists those that there are.';
  if (isGone) return '`aircheck recordings` lists those that there are.';
  if (status === 400 && code === 53)
    return 'It is being recorded under this uid already: `aircheck recordings`, or another --uid.';
  if (status === 400 && code === 406) return 'Stop another recording first: `aircheck recordings --state running`.';
  if (status === 500 && code === 501) return 'The server ends or drains: `aircheck nodes`, `aircheck drain --undo`.';
  if (status === 500 && code === 502)
    return 'The log of the server says why; `aircheck doctor` looks for what is missing.';
  if (status >= 500) return 'Look into the log of the server, and try again.';
  return undefined;
}
