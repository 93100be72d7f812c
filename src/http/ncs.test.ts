import { networkInterfaces } from 'node:os';
import { describe, expect, test } from 'vitest';
import { AUTHORIZATION, buildEdge } from '../../test/support/edge-server.ts';
import { basic } from '../../test/support/rest-api.ts';
import { machineAddresses } from './ncs.ts';

const hosts = (...addresses: string[]) => ({
  data: { service: { hosts: addresses.map((primaryIP) => ({ primaryIP })) } },
});

describe('GET …/ncs/ip', () => {
  test.each(['/v1', '/v2', '/cn/v1', '/na/v2'])('%s tells the addresses it was given', async (prefix) => {
    const app = buildEdge({}, { notifySourceIps: ['192.0.2.1', '2001:db8::1'] });
    const answer = await app.inject({ url: `${prefix}/ncs/ip`, headers: { authorization: AUTHORIZATION } });
    expect(answer.statusCode).toBe(200);
    expect(answer.json()).toEqual(hosts('192.0.2.1', '2001:db8::1'));
  });

  test('tells those of this machine when it was given none', async () => {
    const answer = await buildEdge().inject({ url: '/v1/ncs/ip', headers: { authorization: AUTHORIZATION } });
    expect(answer.json()).toEqual(hosts(...machineAddresses(networkInterfaces())));
    expect(answer.json().data.service.hosts.length).toBeGreaterThan(0);
  });

  test.each([
    [undefined, 401, 'Unauthorized'],
    [basic('id:wrong'), 401, 'Invalid authentication credentials'],
  ])('with %s is %i', async (authorization, status, message) => {
    const headers = authorization === undefined ? {} : { authorization };
    const answer = await buildEdge().inject({ url: '/v2/ncs/ip', headers });
    expect(answer.statusCode).toBe(status);
    expect(answer.json()).toEqual({ message });
  });

  test('a customer of a single app may ask, and there is no other method', async () => {
    const headers = { authorization: basic('limited:x') };
    expect((await buildEdge().inject({ url: '/v2/ncs/ip', headers })).statusCode).toBe(200);
    for (const method of ['POST', 'HEAD'] as const)
      expect((await buildEdge().inject({ method, url: '/v2/ncs/ip', headers })).statusCode).toBe(404);
  });
});

test('addresses that nobody else sees are left out, unless there are no others', () => {
  const address = (text: string, internal: boolean) => ({ address: text, internal }) as never;
  expect(
    machineAddresses({
      lo: [address('127.0.0.1', true), address('::1', true)],
      a: [address('192.0.2.7', false), address('fe80::1', false), address('2001:db8::7', false)],
      b: [address('169.254.3.4', false), address('192.0.2.7', false)],
    }),
  ).toEqual(['192.0.2.7', '2001:db8::7']);
  expect(machineAddresses({ lo: [address('127.0.0.1', true)] })).toEqual(['127.0.0.1']);
});
