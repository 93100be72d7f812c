/**
 * EndpointGuard: which addresses a customer's storageConfig may make this server connect to. Without it a caller could have
 * the server knock at doors that only it can reach: its own loopback, its network, the metadata address of its cloud. The check
 * is made at each connection, on the address that is really connected to, so neither a name that resolves anew nor a redirect
 * gets around it.
 */
import dns from 'node:dns';
import http from 'node:http';
import https from 'node:https';
import { BlockList, isIP, type LookupFunction, type TcpNetConnectOpts } from 'node:net';
import type { Duplex } from 'node:stream';
import { Fault } from '../../../kernel/fault.ts';

/** Kinds of addresses that are no public internet (RFC 6890 and the metadata addresses of clouds). */
const RANGES = {
  loopback: ['127.0.0.0/8', '::1/128'],
  private: ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', 'fc00::/7'],
  'link-local': ['169.254.0.0/16', 'fe80::/10'],
  metadata: ['169.254.169.254/32', '169.254.170.2/32', '100.100.100.200/32', 'fd00:ec2::254/128'],
  reserved: ['0.0.0.0/8', '192.0.0.0/24', '198.18.0.0/15', '224.0.0.0/4', '240.0.0.0/4', '::/128', 'ff00::/8'],
} as const;
export type NetworkName = keyof typeof RANGES;
const NAMES = Object.keys(RANGES) as NetworkName[];

export type EndpointGuardOptions = {
  /** What the operator lets callers name: kinds of addresses, and ranges as `10.1.0.0/16`. `metadata` is never within another. */
  networks: readonly string[];
  /** Whether plain http may leave those networks. */
  plainHttp: boolean;
};

/** Whether a word names networks as EndpointGuardOptions has them. */
export function isNetwork(word: string): boolean {
  if ((NAMES as string[]).includes(word)) return true;
  const [address = '', bits = ''] = word.split('/');
  const version = isIP(address);
  return version !== 0 && /^\d{1,3}$/.test(bits) && Number(bits) <= (version === 4 ? 32 : 128);
}

function listOf(ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const [address = '', bits = ''] = range.split('/');
    list.addSubnet(address, Number(bits), isIP(address) === 4 ? 'ipv4' : 'ipv6');
  }
  return list;
}
const has = (list: BlockList, address: string) => list.check(address, isIP(address) === 4 ? 'ipv4' : 'ipv6');
const KINDS = Object.fromEntries(NAMES.map((name) => [name, listOf(RANGES[name])])) as Record<NetworkName, BlockList>;

/** An IPv4 address inside an IPv6 one (mapped, 6to4, NAT64) is what is really meant. */
function plainAddress(address: string): string {
  const bare = address.replace(/^\[|\]$/g, '').replace(/%.*$/, '');
  if (isIP(bare) !== 6) return bare;
  // The URL parser writes an IPv6 address in its one canonical form.
  const canonical = new URL(`http://[${bare}]/`).hostname.slice(1, -1);
  const words = canonical.match(/^(?:::ffff:|64:ff9b::|::)([0-9a-f]{1,4}):([0-9a-f]{1,4})$/);
  const sixToFour = canonical.match(/^2002:([0-9a-f]{1,4}):([0-9a-f]{1,4}):/);
  const [, high, low] = words ?? sixToFour ?? [];
  if (high === undefined || low === undefined) return canonical;
  const number = Number.parseInt(high, 16) * 65536 + Number.parseInt(low, 16);
  return [24, 16, 8, 0].map((shift) => (number >>> shift) & 255).join('.');
}

export class EndpointGuard {
  readonly #allowed: BlockList;
  readonly #metadata: boolean;
  readonly #plainHttp: boolean;
  readonly #lookup: typeof dns.lookup;

  /** @param lookup resolves names; a test brings its own */
  constructor({ networks, plainHttp }: EndpointGuardOptions, lookup: typeof dns.lookup = dns.lookup) {
    const words = networks.filter((word) => word !== 'metadata');
    this.#allowed = listOf(words.flatMap((word) => RANGES[word as NetworkName] ?? [word]));
    this.#metadata = networks.includes('metadata');
    this.#plainHttp = plainHttp;
    this.#lookup = lookup;
  }

  /** Why no connection to the address may be made; undefined when one may. */
  refusalOf(address: string): string | undefined {
    const plain = plainAddress(address);
    if (has(KINDS.metadata, plain)) return this.#metadata ? undefined : 'is a metadata address of clouds';
    const kind = NAMES.find((name) => has(KINDS[name], plain));
    if (kind === undefined || has(this.#allowed, plain)) return undefined;
    return `is a ${kind} address, which this server's operator has not allowed (storageNetworks)`;
  }

  /** Throws a Fault for an endpoint that is refused whatever its name resolves to. */
  checkUrl(endpoint: string): void {
    const { protocol, hostname } = new URL(endpoint);
    const bare = plainAddress(hostname);
    const literal = isIP(bare) ? this.refusalOf(bare) : undefined;
    if (literal) throw refused(`${hostname} ${literal}`);
    if (protocol === 'http:' && !this.#plainHttp && !this.#isOwnNetwork(bare))
      throw refused(`${endpoint} is plain http, which this server's operator has not allowed (storagePlainHttp)`);
  }

  /** Agents that check each connection they make. */
  agents(options: { keepAlive: boolean; maxSockets: number }): { httpAgent: http.Agent; httpsAgent: https.Agent } {
    const guarded = (connect: TcpNetConnectOpts): TcpNetConnectOpts => {
      const literal = connect.host !== undefined && isIP(connect.host) ? this.refusalOf(connect.host) : undefined;
      if (literal) throw refused(`${connect.host} ${literal}`);
      return { ...connect, lookup: this.lookup };
    };
    class GuardedHttp extends http.Agent {
      override createConnection(connect: TcpNetConnectOpts, done?: (error: Error | null, socket: Duplex) => void) {
        return super.createConnection(guarded(connect), done);
      }
    }
    class GuardedHttps extends https.Agent {
      override createConnection(connect: TcpNetConnectOpts, done?: (error: Error | null, socket: Duplex) => void) {
        return super.createConnection(guarded(connect), done);
      }
    }
    return { httpAgent: new GuardedHttp(options), httpsAgent: new GuardedHttps(options) };
  }

  /** As dns.lookup, and fails when one of the addresses is refused. */
  readonly lookup: LookupFunction = (hostname, options, callback) => {
    this.#lookup(hostname, { ...options, all: true }, (error, addresses) => {
      if (error) {
        callback(error, '', 0);
        return;
      }
      for (const { address } of addresses) {
        const why = this.refusalOf(address);
        if (why) {
          callback(refused(`${hostname} is ${address}, which ${why}`), '', 0);
          return;
        }
      }
      if (options.all) callback(null, addresses);
      else callback(null, addresses[0]?.address ?? '', addresses[0]?.family ?? 0);
    });
  };

  /** A name is looked up only when it is connected to; `localhost` is known without. */
  #isOwnNetwork(host: string): boolean {
    const address = /^localhost\.?$/i.test(host) ? '127.0.0.1' : host;
    return isIP(address) !== 0 && has(this.#allowed, plainAddress(address));
  }
}

function refused(message: string): Fault {
  return new Fault('endpoint-refused', message, { blame: 'caller' });
}
