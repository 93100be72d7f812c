/**
 * The REST API over fake ports on a real loopback port, for clients that mean to be taken at their bytes.
 */
import type { Recordings } from '../../src/session/recordings.ts';
import type { FakeWorld } from '../support/fake-ports.ts';
import { APP, type ApiOptions, IDLE_APP, makeApi, OTHER_APP } from '../support/rest-api.ts';
import type { ClientOptions } from './clients/calls.ts';

export { APP, IDLE_APP };
/** An app the customer may not use. */
export const FOREIGN_APP = OTHER_APP;

export type WireOptions = ApiOptions;
export type WireApi = AsyncDisposable & {
  world: FakeWorld;
  recordings: Recordings;
  /** How a client finds it; clients wait no time between their tries. */
  client: ClientOptions;
};

export async function listenApi(options: WireOptions = {}): Promise<WireApi> {
  const customers = [{ id: 'id', secret: 'se:cret', apps: [APP, IDLE_APP] }];
  const { world, recordings, http } = makeApi({ ...options, api: { customers, ...options.api } });
  const baseUrl = await http.listen({ host: '127.0.0.1', port: 0 });
  return {
    world,
    recordings,
    client: { baseUrl, appid: APP, customerId: 'id', customerSecret: 'se:cret', pause: async () => {} },
    [Symbol.asyncDispose]: () => http.close(),
  };
}
