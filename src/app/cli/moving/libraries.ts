/**
 * The vendor's client libraries: which hosts each calls, how it looks names up, and how it is made to trust a
 * certificate. Their hosts are written into them, so a server of one's own is reached by names and certificates, not by
 * a base address.
 *
 * Read off the libraries' own source: the Node library's `domain.ts` and `resolver.ts`, the Go library's
 * `agora/domain`, the Python library's `core/domain.py`, the Java library's `core/RegionArea` and
 * `DefaultDomainDNSResolver`.
 */

export const REGIONS = ['us', 'eu', 'ap', 'cn'] as const;
export type Region = (typeof REGIONS)[number];

/** Files of the set-up, as absolute paths. */
type TrustFiles = { ca: string; bundle: string };

export type Library = {
  id: string;
  /** What its users call the library, and the version its hosts were read from. */
  name: string;
  version: string;
  /** Hosts by the region that its caller chooses; the library may call any of them. */
  hosts: Readonly<Record<Region, readonly string[]>>;
  /**
   * `dns`: it asks the name servers and never reads /etc/hosts; `system`: it asks the system, which reads /etc/hosts
   * first.
   */
  lookup: 'dns' | 'system';
  /** Lines for a shell, after which the library trusts the certificate. */
  trust(files: TrustFiles): string[];
};

const DOMAINS = ['agora.io', 'sd-rtn.com'];
const PREFIXES: Record<Region, readonly string[]> = {
  us: ['api-us-west-1', 'api-us-east-1'],
  eu: ['api-eu-west-1', 'api-eu-central-1'],
  ap: ['api-ap-southeast-1', 'api-ap-northeast-1'],
  cn: ['api-cn-east-1', 'api-cn-north-1'],
};

function hostsOf(prefixes: Record<Region, readonly string[]>): Record<Region, string[]> {
  const below = (region: Region) =>
    prefixes[region].flatMap((prefix) => DOMAINS.map((domain) => `${prefix}.${domain}`));
  return { us: below('us'), eu: below('eu'), ap: below('ap'), cn: below('cn') };
}

const quoted = (path: string) => (/^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", "'\\''")}'`);

export const LIBRARIES: readonly Library[] = [
  {
    id: 'node',
    name: 'agora-rest-client (Node)',
    version: '0.1.0',
    hosts: hostsOf({ ...PREFIXES, cn: ['api-cn-north-1', 'api-cn-east-2'] }),
    lookup: 'dns',
    trust: ({ ca }) => [`export NODE_EXTRA_CA_CERTS=${quoted(ca)}`],
  },
  {
    id: 'go',
    name: 'github.com/AgoraIO-Community/agora-rest-client-go',
    version: '0.8.0',
    hosts: hostsOf(PREFIXES),
    lookup: 'system',
    trust: ({ bundle }) => [`export SSL_CERT_FILE=${quoted(bundle)}`],
  },
  {
    id: 'python',
    name: 'agora_rest_client (Python)',
    version: '0.2.0',
    hosts: hostsOf(PREFIXES),
    lookup: 'system',
    trust: ({ bundle }) => [`export REQUESTS_CA_BUNDLE=${quoted(bundle)}`, `export SSL_CERT_FILE=${quoted(bundle)}`],
  },
  {
    id: 'java',
    name: 'io.agora:agora-rest-client-core (Java)',
    version: '0.3.0',
    hosts: hostsOf(PREFIXES),
    lookup: 'system',
    trust: ({ ca }) => [
      `keytool -importcert -noprompt -cacerts -storepass changeit -alias aircheck -file ${quoted(ca)}`,
    ],
  },
  {
    id: 'http',
    name: 'calls of your own to https://api.agora.io or https://api.sd-rtn.com',
    version: 'any',
    hosts: hostsOf({ us: ['api'], eu: ['api'], ap: ['api'], cn: ['api'] }),
    lookup: 'system',
    trust: ({ bundle }) => [`export SSL_CERT_FILE=${quoted(bundle)} CURL_CA_BUNDLE=${quoted(bundle)}`],
  },
];
