/** OwnServer: asks the server whose settings these are, for the commands that look into one that runs. */
import { type Config, loadConfig } from '../../config/load.ts';
import { Fault, messageOf } from '../../kernel/fault.ts';
import { completeCredentials } from '../credentials.ts';
import { isAwayStatus } from './patience.ts';

type Send = (url: string, init: RequestInit) => Promise<Response>;

/** The settings and credentials of the server. Throws a Fault when there are none. */
export function ownConfig(): Config {
  return completeCredentials(loadConfig(), { make: false }).config;
}

/** The address at which the server of these settings answers on this machine. */
export function ownUrl({ host: listensAt, port, tlsCertFile }: Pick<Config, 'host' | 'port' | 'tlsCertFile'>): string {
  const host = /^(0\.0\.0\.0|::)$/.test(listensAt) ? '127.0.0.1' : listensAt;
  return `${tlsCertFile ? 'https' : 'http'}://${host.includes(':') ? `[${host}]` : host}:${port}`;
}

/** The Authorization header of a customer. */
export function authorizationOf({ id, secret }: { id: string; secret: string }): string {
  return `Basic ${Buffer.from(`${id}:${secret}`).toString('base64')}`;
}

/**
 * Throws a Fault, `server-unreachable`, when the server does not answer.
 * @param send as the platform's fetch
 */
export async function ask(url: string, init: RequestInit, send: Send = fetch): Promise<Response> {
  try {
    return await send(url, init);
  } catch (cause) {
    // fetch says only that it failed; its cause says why.
    const why = messageOf((cause as Error).cause ?? cause);
    const { origin } = new URL(url);
    throw new Fault(
      'server-unreachable',
      `the server at ${origin} does not answer: ${why}. Start it, or run this where its settings are, which say its address.`,
      { blame: 'caller', retryable: true, cause },
    );
  }
}

/**
 * Asks the server for JSON as its operator. Throws a Fault when it does not answer, or refuses.
 * @param send as the platform's fetch
 */
export async function askAsOperator(
  path: string,
  { method = 'GET', signal, send = fetch }: { method?: 'GET' | 'POST'; signal?: AbortSignal; send?: Send } = {},
): Promise<unknown> {
  const config = ownConfig();
  const operator = config.customers.find(({ apps }) => apps === undefined);
  if (!operator)
    throw new Fault('no-operator', 'no customer of these settings may use all apps, as an operator must', {
      blame: 'caller',
    });
  const init = { method, headers: { authorization: authorizationOf(operator) }, ...(signal && { signal }) };
  const answer = await ask(`${ownUrl(config)}${path}`, init, send);
  if (!answer.ok) throw await refused(answer);
  return answer.json();
}

/** Why a server refused the call: its credentials are not this command's, or it is no Aircheck server. */
export async function refused(answer: Response): Promise<Fault> {
  const words = (await answer.text().catch(() => '')).slice(0, 200);
  const hint = [400, 401, 403].includes(answer.status)
    ? ' Run this with the settings and the data folder of the server.'
    : answer.status >= 500
      ? ' Its log says why, and `aircheck doctor` whether its database answers.'
      : '';
  return new Fault(
    'server-refused',
    `the server at ${new URL(answer.url).origin} answered ${answer.status}: ${words}.${hint}`,
    { blame: 'caller', retryable: isAwayStatus(answer.status) },
  );
}
