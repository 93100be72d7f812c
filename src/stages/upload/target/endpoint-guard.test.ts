import type dns from 'node:dns';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { describe, expect, onTestFinished, test } from 'vitest';
import { EndpointGuard } from './endpoint-guard.ts';
import { openS3 } from './s3.ts';

const strict = new EndpointGuard({ networks: [], plainHttp: false });

describe('an address', () => {
  test.each([
    ['127.9.9.9', 'loopback'],
    ['::ffff:127.0.0.1', 'loopback'],
    ['10.1.2.3', 'private'],
    ['fe80::1%eth0', 'linkLocal'],
    ['169.254.169.254', 'linkLocal'],
    ['fd00:ec2::254', 'private'],
    ['0.0.0.0', 'reserved'],
  ])('%s is refused as %s', (address, kind) => {
    expect(strict.refusalOf(address)).toContain(kind);
  });

  test('that is public is not', () => {
    for (const address of ['8.8.8.8', '2606:4700::1111']) expect(strict.refusalOf(address)).toBeUndefined();
  });

  test('of a network that the operator allows is not, but for the metadata within', () => {
    const guard = new EndpointGuard({ networks: ['loopback', 'private', '198.18.1.0/24'], plainHttp: false });
    for (const address of ['127.0.0.1', '::1', '10.1.9.9', '198.18.1.1'])
      expect(guard.refusalOf(address)).toBeUndefined();
    for (const address of ['198.18.2.1', '169.254.169.254', '100.100.100.200', 'fd00:ec2::254'])
      expect(guard.refusalOf(address)).toBeDefined();
    const named = new EndpointGuard({ networks: ['169.254.169.254'], plainHttp: false });
    expect(named.refusalOf('169.254.169.254')).toBeUndefined();
    expect(() => new EndpointGuard({ networks: ['lan'], plainHttp: false })).toThrow(/neither an IP address/);
  });
});

test('plain http stays within the networks that are allowed', () => {
  expect(() => strict.checkUrl('https://s3.example.com')).not.toThrow();
  expect(() => strict.checkUrl('http://s3.example.com')).toThrow(/plain http/);
  expect(() => strict.checkUrl('https://[::ffff:10.0.0.1]:9000')).toThrow(/private/);
  // The number of an address is an address too.
  expect(() => strict.checkUrl('https://2130706433/')).toThrow(/loopback/);
  const own = new EndpointGuard({ networks: ['loopback'], plainHttp: false });
  for (const endpoint of ['http://127.0.0.1:9000', 'http://localhost:9000', 'http://[::1]:9000'])
    expect(() => own.checkUrl(endpoint)).not.toThrow();
  expect(() => own.checkUrl('http://8.8.8.8')).toThrow(/plain http/);
});

describe('a connection', () => {
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
