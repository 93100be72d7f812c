import { describe, expect, test } from 'vitest';
import { EndpointGuard } from './endpoint-guard.ts';

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
