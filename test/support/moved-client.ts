/**
 * One recording by a client that was written for the vendor's service and knows its hosts only: node moved-client.ts
 * <library> <region> <appid>. It looks for a host as the library does, and calls it over HTTPS. Prints one line of
 * JSON: the host, and `success` or the whole outcome of each call, or why there was no host.
 */
import { lookup, Resolver } from 'node:dns/promises';
import { LIBRARIES, type Region } from '../../src/app/cli/moving/libraries.ts';
import type { Handle, Outcome } from '../conformance/clients/calls.ts';
import { GoClient } from '../conformance/clients/go-client.ts';
import { NodeClient } from '../conformance/clients/node-client.ts';

const [libraryId, region, appid = ''] = process.argv.slice(2);
const CLIENTS = { node: NodeClient, go: GoClient };
const NAMES = { cname: `moved-${libraryId}-${region}`, uid: '9000' };

/** The first of the region's hosts that is known: the first prefix in both domains, as both libraries ask. */
async function hostOf(): Promise<string> {
  const library = LIBRARIES.find(({ id }) => id === libraryId);
  const candidates = library?.hosts[region as Region].slice(0, 2) ?? [];
  const resolver = new Resolver({ timeout: 2000, tries: 1 });
  return Promise.any(
    candidates.map(async (host) => {
      await (libraryId === 'node' ? resolver.resolve4(host) : lookup(host));
      return host;
    }),
  );
}

function textOf(outcome: Outcome, member: string): string {
  if (outcome.kind !== 'success') throw new Error(JSON.stringify(outcome));
  return String(outcome.body[member]);
}

async function record(host: string): Promise<string[]> {
  const account = { customerId: 'customer', customerSecret: 'secret' };
  const client = new CLIENTS[libraryId as keyof typeof CLIENTS]({ baseUrl: `https://${host}`, appid, ...account });
  const acquired = await client.acquire({ ...NAMES, mode: 'mix' });
  const resourceId = textOf(acquired, 'resourceId');
  const storage = { vendor: 1000, region: 0, bucket: 'moved', accessKey: '-', secretKey: '-' };
  const started = await client.start({ ...NAMES, mode: 'mix', resourceId, storage });
  const handle: Handle = { ...NAMES, mode: 'mix', resourceId, sid: textOf(started, 'sid') };
  const queried = await client.query(handle);
  const stopped = await client.stop(handle, true);
  return [acquired, started, queried, stopped].map((outcome) =>
    outcome.kind === 'success' ? 'success' : JSON.stringify(outcome),
  );
}

try {
  const host = await hostOf();
  console.log(JSON.stringify({ host, calls: await record(host) }));
} catch (error) {
  const why = error instanceof AggregateError ? error.errors.map(({ code }) => code) : [String(error)];
  console.log(JSON.stringify({ why }));
}
