/**
 * `aircheck health`: whether the server of these settings answers, for health checks of containers and units, which
 * have no other client for HTTP at hand.
 */
import { get as getHttp, type IncomingMessage } from 'node:http';
import { get as getHttps } from 'node:https';
import { text } from 'node:stream/consumers';
import { type Config, loadConfig } from '../../config/load.ts';
import { systemClock, within } from '../../kernel/clock.ts';
import { Fault, messageOf } from '../../kernel/fault.ts';
import { ownUrl } from './own-server.ts';

const LIMIT_MS = 5_000;

/** Prints what the server says. Throws a Fault when it says that it cannot work, or nothing. */
export async function health(
  config: Pick<Config, 'host' | 'port' | 'tlsCertFile'> = loadConfig(),
  say = (line: string) => void process.stdout.write(line),
): Promise<void> {
  const place = `${config.host}:${config.port}`;
  const fail = (why: string, cause?: unknown) =>
    new Fault('unhealthy', `the server at ${place} ${why}`, { blame: 'self', retryable: true, cause });
  const late = () => fail(`does not answer within ${LIMIT_MS / 1000} s`);
  const asking = ask(new URL('/healthz', ownUrl(config))).catch((cause: unknown) => {
    throw fail(`does not answer: ${messageOf(cause)}`, cause);
  });
  const { status, said } = await within(systemClock, LIMIT_MS, asking, late);
  if (status !== 200) throw fail(`answers ${status}: ${said}`);
  say(`${said}\n`);
}

async function ask(url: URL) {
  const response = await new Promise<IncomingMessage>((resolve, reject) => {
    // The certificate is for the name that clients use, which is not the one asked for here; nothing secret is sent.
    const request =
      url.protocol === 'https:'
        ? getHttps(url, { agent: false, rejectUnauthorized: false }, resolve)
        : getHttp(url, { agent: false }, resolve);
    request.once('error', reject);
  });
  return { status: response.statusCode ?? 0, said: (await text(response)).slice(0, 1000) };
}
