/**
 * What `aircheck serve` says on the terminal once it runs.
 */
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { buildRtcToken } from '../../channel/whip/token.ts';
import type { AircheckServer } from '../server.ts';

/** The server's address; after its first start also the credentials that it made, and a first call to try. */
export function greeting({
  url,
  config,
  madeCredentials,
}: Pick<AircheckServer, 'url' | 'config' | 'madeCredentials'>): string {
  const [app] = config.apps;
  const [customer] = config.customers;
  const page = new URLSearchParams({ appid: app?.appid ?? '', cname: 'demo', uid: '1' });
  // With a token for a day the first try works as it stands; later starts print no secrets.
  if (madeCredentials && app?.certificate) {
    const { appid, certificate } = app;
    page.set('token', buildRtcToken({ appId: appid, certificate, cname: 'demo', uid: '', lifeS: 86_400 }));
  }
  const kept = join(config.dataDir, 'credentials.json');
  const lines = [
    `Aircheck is at ${url}`,
    `Publish from a browser: ${url}/publish?${page}`,
    `Read and try the API: ${url}/docs`,
  ];
  if (madeCredentials && app && customer) {
    const body = JSON.stringify({ cname: 'demo', uid: '527841', clientRequest: {} });
    lines.push(
      '',
      `These credentials were made for you and are kept in ${kept}:`,
      `  App ID           ${app.appid}`,
      `  App Certificate  ${app.certificate ?? '(none: tokens are not required)'}`,
      `  Customer ID      ${customer.id}`,
      `  Customer Secret  ${customer.secret}`,
      '',
      'For the calls in the README and the guides:',
      `  export APP_ID=${app.appid} CUSTOMER_ID=${customer.id} CUSTOMER_SECRET=${customer.secret}`,
      '',
      'A first call:',
      `  curl -u ${customer.id}:${customer.secret} -H 'Content-Type: application/json' \\`,
      `    -d '${body}' ${url}/v1/apps/${app.appid}/cloud_recording/acquire`,
      ...(app.certificate ? ['', 'Publishers and start calls need a token:  npx aircheck token --channel demo'] : []),
    );
    // The start that made them may have ended before it could say so.
  } else if (existsSync(kept)) lines.push(`Credentials that were made for you are kept in ${kept}`);
  return `${lines.join('\n')}\n`;
}
