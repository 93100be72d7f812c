import type dns from 'node:dns';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { EndpointGuard } from '../../../kernel/endpoint-guard.ts';
import { openS3 } from './s3.ts';

describe('a connection to a store', () => {
  async function listening() {
    const seen: string[] = [];
    const server = createServer((request, response) => {
      seen.push(request.url ?? '');
      response.setHeader('ETag', '"0"').end();
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    onTestFinished(() => {
      server.closeAllConnections();
      server.close();
    });
    return { seen, port: (server.address() as AddressInfo).port };
  }
  /** Answers with the next of these addresses each time. */
  const resolvesTo = (...addresses: string[]) =>
    ((_name: string, _options: unknown, done: (error: null, all: { address: string; family: number }[]) => void) =>
      done(null, [{ address: addresses.shift() ?? '', family: 4 }])) as unknown as typeof dns.lookup;
  const put = (guard: EndpointGuard, endpoint: string) => {
    const keys = { accessKey: 'a', secretKey: 's', fileNamePrefix: [] };
    const target = openS3({ vendor: 11, region: 0, bucket: 'b', ...keys, extensionParams: { endpoint } }, { guard });
    onTestFinished(() => target.close());
    return target.put('x', { data: Buffer.from('x') }, 'text/plain');
  };

  test('to a name that leads to a refused address is not made', async () => {
    const { port, seen } = await listening();
    const guard = new EndpointGuard({ networks: [], plainHttp: true }, resolvesTo('127.0.0.1', '127.0.0.1'));
    await expect(put(guard, `http://s3.example.com:${port}`)).rejects.toMatchObject({
      retryable: false,
      message: expect.stringMatching(/s3\.example\.com is 127\.0\.0\.1, which is a loopback address/),
    });
    expect(seen).toEqual([]);
  });

  test('is made by name and number where the operator allows it', async () => {
    const { port, seen } = await listening();
    const addresses = Array.from({ length: 9 }, () => '127.0.0.1');
    const guard = new EndpointGuard({ networks: ['loopback'], plainHttp: true }, resolvesTo(...addresses));
    await put(guard, `http://s3.example.com:${port}`).catch(() => {});
    await put(guard, `http://127.0.0.1:${port}`).catch(() => {});
    expect(seen.length).toBeGreaterThanOrEqual(2);
  });

  test('is not made to where a store redirects, when that is refused', async () => {
    const { port, seen } = await listening();
    const redirecting = createServer((_request, response) => {
      response.writeHead(307, { location: `http://10.255.255.1:${port}/b/x` }).end();
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => redirecting.once('listening', resolve));
    onTestFinished(() => void redirecting.close());
    const guard = new EndpointGuard({ networks: ['loopback'], plainHttp: true });
    const at = (redirecting.address() as AddressInfo).port;
    await expect(put(guard, `http://127.0.0.1:${at}`)).rejects.toThrow(/10\.255\.255\.1 is a private address/);
    expect(seen).toEqual([]);
  });
});
