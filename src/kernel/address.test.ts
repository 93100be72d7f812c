import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AllowedAddresses, addressKind } from './address.ts';

describe('what an address is for', () => {
  test.each([
    ['127.0.0.1', 'loopback'],
    ['127.255.255.254', 'loopback'],
    ['::1', 'loopback'],
    ['::ffff:127.0.0.1', 'loopback'],
    ['::ffff:7f00:1', 'loopback'],
    ['::127.0.0.1', 'loopback'],
    ['64:ff9b::7f00:1', 'loopback'],
    ['2002:7f00:1::', 'loopback'],
    ['169.254.169.254', 'linkLocal'],
    ['::ffff:169.254.169.254', 'linkLocal'],
    ['fe80::1%eth0', 'linkLocal'],
    ['10.0.0.1', 'private'],
    ['172.31.255.255', 'private'],
    ['172.32.0.0', 'public'],
    ['192.168.1.1', 'private'],
    ['100.100.100.200', 'private'],
    ['fd00:ec2::254', 'private'],
    ['0.0.0.0', 'reserved'],
    ['::', 'reserved'],
    ['255.255.255.255', 'reserved'],
    ['224.0.0.1', 'reserved'],
    ['ff02::1', 'reserved'],
    ['2001:db8::1', 'reserved'],
    ['8.8.8.8', 'public'],
    ['2606:4700::1111', 'public'],
    ['::ffff:8.8.8.8', 'public'],
  ] as const)('%s is %s', (address, kind) => {
    expect(addressKind(address)).toBe(kind);
  });

  test('an IPv4 address is the same however it is wrapped', () => {
    fc.assert(
      fc.property(fc.ipV4(), (address) => {
        const [a = 0, b = 0, c = 0, d = 0] = address.split('.').map(Number);
        const words = `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
        for (const wrapped of [`::ffff:${address}`, `::ffff:${words}`, `64:ff9b::${words}`, `2002:${words}::1`])
          expect(addressKind(wrapped)).toBe(addressKind(address));
      }),
    );
  });

  test('what is no address is refused', () => {
    for (const text of ['', 'localhost', '1.2.3', '127.1', '0x7f000001', '[::1]'])
      expect(() => addressKind(text)).toThrow(TypeError);
  });
});

describe('what may be connected to', () => {
  test('public addresses, and those that are allowed', () => {
    const allowed = new AllowedAddresses(['10.1.0.0/16', '127.0.0.1', 'fd00::/8']);
    for (const address of ['1.1.1.1', '10.1.2.3', '127.0.0.1', 'fd12::1']) expect(allowed.permits(address)).toBe(true);
    for (const address of ['10.2.0.1', '127.0.0.2', '::1', 'fe80::1', '169.254.169.254', 'nowhere'])
      expect(allowed.permits(address)).toBe(false);
  });

  test.each(['10.0.0.0/33', '10.0.0.0/', 'host', '10.0.0.0/x', 'fd00::/129'])('refuses the range %s', (range) => {
    expect(() => new AllowedAddresses([range])).toThrow(/neither an IP address nor a range/);
  });
});
