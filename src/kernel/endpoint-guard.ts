/**
 * EndpointGuard: which addresses a caller's request (its storageConfig, the addresses of its images) may make this
 * server connect to. Without it a caller could reach through the server what only the server can reach: its loopback,
 * its network, the metadata address of its cloud. Each connection is checked, by the address that is really connected
 * to, so that neither a name that resolves anew nor a redirect gets around it.
 */
import dns from 'node:dns';
import http from 'node:http';
import https from 'node:https';
import { BlockList, isIP, type LookupFunction, type TcpNetConnectOpts } from 'node:net';
import type { Duplex } from 'node:stream';
import { AllowedAddresses, addressKind } from './address.ts';
import { Fault } from './fault.ts';

/** Kinds of addresses that an operator can allow as a whole; others can be allowed as ranges. */
const ALLOWABLE = ['loopback', 'private'] as const;

/**
 * Where clouds answer what only the machine itself should know. These addresses lie within `private` but are not
 * allowed with it.
 */
const METADATA = new BlockList();
METADATA.addAddress('100.100.100.200');
METADATA.addAddress('fd00:ec2::254', 'ipv6');

export type EndpointGuardOptions = {
  /** What callers may name: `loopback`, `private`, and ranges such as `10.1.0.0/16`. */
  networks: readonly string[];
  /** Whether plain http may be used beyond those networks. */
  plainHttp: boolean;
  /** The setting that `networks` come from, for messages; by default that of stores. */
  setting?: string;
};

export class EndpointGuard {
  readonly #kinds: ReadonlySet<string>;
  readonly #ranges: readonly string[];
  readonly #allowed: AllowedAddresses;
  readonly #plainHttp: boolean;
  readonly #setting: string;
  readonly #lookup: typeof dns.lookup;

  /**
   * Throws a TypeError for a malformed network.
   * @param lookup resolves names; a test brings its own
   */
  constructor(options: EndpointGuardOptions, lookup: typeof dns.lookup = dns.lookup) {
    const { networks, plainHttp, setting = 'storageNetworks' } = options;
    this.#kinds = new Set(networks.filter((word) => (ALLOWABLE as readonly string[]).includes(word)));
    this.#ranges = networks.filter((word) => !this.#kinds.has(word));
    this.#allowed = new AllowedAddresses(this.#ranges);
    this.#plainHttp = plainHttp;
    this.#setting = setting;
    this.#lookup = lookup;
  }

  /** Why no connection to the address may be made; undefined when one may. */
  refusalOf(address: string): string | undefined {
    const kind = addressKind(address);
    const isMetadata = METADATA.check(address.replace(/%.*$/, ''), isIP(address) === 4 ? 'ipv4' : 'ipv6');
    if (this.#allowed.permits(address) || (this.#kinds.has(kind) && !isMetadata)) return undefined;
    return `is a ${kind} address, which this server's operator has not allowed (${this.#setting})`;
  }

  /** Throws a Fault for an endpoint that is refused whatever its name resolves to. */
  checkUrl(endpoint: string): void {
    const { protocol, hostname } = new URL(endpoint);
    const host = hostname.replace(/^\[|\]$/g, '');
    const literal = isIP(host) ? this.refusalOf(host) : undefined;
    if (literal) throw refused(`${host} ${literal}`);
    if (protocol === 'http:' && !this.#plainHttp && !this.#isOwnNetwork(host))
      throw refused(`${endpoint} is plain http, which this server's operator has not allowed (storagePlainHttp)`);
  }

  /** Agents that check each of their connections. */
  agents(options: { keepAlive: boolean; maxSockets: number }): { httpAgent: http.Agent; httpsAgent: https.Agent } {
    const guarded = (connect: TcpNetConnectOpts): TcpNetConnectOpts => {
      const { host } = connect;
      const literal = host !== undefined && isIP(host) ? this.refusalOf(host) : undefined;
      if (literal) throw refused(`${host} ${literal}`);
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

  /** Works as dns.lookup does, and fails when one of the addresses is refused. */
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

  /** A name is looked up only when it is connected to; only `localhost` is known before. */
  #isOwnNetwork(host: string): boolean {
    const address = /^localhost\.?$/i.test(host) ? '127.0.0.1' : host;
    return isIP(address) !== 0 && addressKind(address) !== 'public' && this.refusalOf(address) === undefined;
  }
}

function refused(message: string): Fault {
  return new Fault('endpoint-refused', message, { blame: 'caller' });
}
