/**
 * Which network an IP address belongs to, and what may be connected to: the one rule for stores, images and pages that
 * callers name. Private addresses lead into the operator's own network, link-local ones to a cloud's metadata service.
 */
import { BlockList, isIP, isIPv4 } from 'node:net';

export type AddressKind = 'public' | 'loopback' | 'private' | 'linkLocal' | 'reserved';

/** IANA's special-purpose registries (RFC 6890 and its successors). */
const RANGES: [AddressKind, string[]][] = [
  ['loopback', ['127.0.0.0/8', '::1/128']],
  ['linkLocal', ['169.254.0.0/16', 'fe80::/10']],
  // The shared space of carriers (RFC 6598) and unique local addresses are as private as those of RFC 1918.
  [
    'private',
    ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', 'fc00::/7', 'fec0::/10', '64:ff9b:1::/48'],
  ],
  [
    'reserved',
    [
      '0.0.0.0/8',
      '192.0.0.0/24',
      '192.0.2.0/24',
      '192.88.99.0/24',
      '198.18.0.0/15',
      '198.51.100.0/24',
      '203.0.113.0/24',
      '224.0.0.0/4',
      '240.0.0.0/4',
      '::/128',
      '100::/64',
      '2001::/23',
      '2001:db8::/32',
      '3fff::/20',
      'ff00::/8',
    ],
  ],
];

/** Everything that is not public, except IPv6 addresses that wrap an IPv4 address of these. */
export const SPECIAL_RANGES: readonly string[] = RANGES.flatMap(([, ranges]) => ranges);

const LISTS = RANGES.map(([kind, ranges]) => {
  const list = new BlockList();
  for (const range of ranges) {
    const [address = '', bits = ''] = range.split('/');
    list.addSubnet(address, Number(bits), isIPv4(address) ? 'ipv4' : 'ipv6');
  }
  return { kind, list };
});

/**
 * The kind of an IPv4 or IPv6 address in text form. An IPv6 address that wraps an IPv4 address is judged by that one.
 * Throws a TypeError for other text.
 */
export function addressKind(address: string): AddressKind {
  const bare = address.replace(/%.*$/, '');
  const version = isIP(bare);
  if (version === 0) throw new TypeError(`${address} is no IP address`);
  const wrapped = version === 6 ? wrappedIpv4(bare) : undefined;
  if (wrapped !== undefined) return addressKind(wrapped);
  return LISTS.find(({ list }) => list.check(bare, version === 4 ? 'ipv4' : 'ipv6'))?.kind ?? 'public';
}

/** The IPv4 address inside a mapped (RFC 4291), translated (RFC 6052) or 6to4 (RFC 3056) one. */
function wrappedIpv4(address: string): string | undefined {
  const words = wordsOf(address);
  const dotted = (high: number, low: number) => [high >> 8, high & 0xff, low >> 8, low & 0xff].join('.');
  const begins = (...prefix: number[]) => prefix.every((word, i) => words[i] === word);
  const last = dotted(words[6] ?? 0, words[7] ?? 0);
  if (begins(0, 0, 0, 0, 0, 0xffff) || begins(0, 0, 0, 0, 0xffff, 0) || begins(0x64, 0xff9b, 0, 0, 0, 0)) return last;
  // Addresses of the form ::a.b.c.d are obsolete, but still reach their host on some systems.
  if (begins(0, 0, 0, 0, 0, 0) && ((words[6] ?? 0) !== 0 || (words[7] ?? 0) > 1)) return last;
  return begins(0x2002) ? dotted(words[1] ?? 0, words[2] ?? 0) : undefined;
}

/** The 4 or 16 bytes of an IP address in text form, in network order. Throws a TypeError for other text. */
export function bytesOfAddress(address: string): Buffer {
  const bare = address.replace(/%.*$/, '');
  if (isIPv4(bare)) return Buffer.from(bare.split('.').map(Number));
  if (isIP(bare) === 0) throw new TypeError(`${address} is no IP address`);
  const bytes = Buffer.alloc(16);
  for (const [n, word] of wordsOf(bare).entries()) bytes.writeUInt16BE(word, 2 * n);
  return bytes;
}

/** The eight 16-bit words of an IPv6 address. */
function wordsOf(address: string): number[] {
  const hex = address.replace(/(\d+)\.(\d+)\.(\d+)\.(\d+)$/, (_, ...bytes: string[]) => {
    const [a = 0, b = 0, c = 0, d = 0] = bytes.slice(0, 4).map(Number);
    return `${(a * 256 + b).toString(16)}:${(c * 256 + d).toString(16)}`;
  });
  const [head = '', tail] = hex.split('::');
  const parse = (part: string) => (part === '' ? [] : part.split(':').map((word) => Number.parseInt(word, 16)));
  const [first, rest] = [parse(head), tail === undefined ? [] : parse(tail)];
  return [...first, ...new Array<number>(8 - first.length - rest.length).fill(0), ...rest];
}

/** Addresses that may be connected to besides public ones: single ones, or ranges such as `10.1.0.0/16`. */
export class AllowedAddresses {
  readonly #list = new BlockList();

  /** Throws a TypeError for a text that is neither an address nor a range. */
  constructor(ranges: readonly string[] = []) {
    for (const range of ranges) {
      const [address = '', bits] = range.split('/');
      const version = isIP(address);
      const most = version === 4 ? 32 : 128;
      const length = bits === undefined ? most : Number(bits);
      if (version === 0 || !/^\d*$/.test(bits ?? '') || bits === '' || length > most)
        throw new TypeError(`"${range}" is neither an IP address nor a range of them`);
      this.#list.addSubnet(address, length, version === 4 ? 'ipv4' : 'ipv6');
    }
  }

  /** Whether `address` is public or allowed. False for a text that is no address. */
  permits(address: string): boolean {
    const bare = address.replace(/%.*$/, '');
    const version = isIP(bare);
    if (version === 0) return false;
    return addressKind(bare) === 'public' || this.#list.check(bare, version === 4 ? 'ipv4' : 'ipv6');
  }
}
