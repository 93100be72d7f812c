/**
 * Which of the vendor's host names must lead to this server, for which of its libraries, and which settings the server
 * and the libraries need. Pure.
 */
import { isIPv4 } from 'node:net';
import { join } from 'node:path';
import { Fault } from '../../../kernel/fault.ts';
import { LIBRARIES, type Library, REGIONS, type Region } from './libraries.ts';

/** Where the files lie that were made; absolute paths. */
export type MadeFiles = { ca: string; bundle: string; cert: string; key: string; ends: string };

export type Moving = {
  address: string;
  libraries: {
    id: string;
    name: string;
    version: string;
    lookup: Library['lookup'];
    hosts: string[];
    trust: string[];
  }[];
  /** The hosts of all libraries. */
  hosts: string[];
  /** The same names for several programs; each is a list of lines. */
  names: { hostsFile: string[]; dnsmasq: string[]; unbound: string[] };
  /** Variables for `aircheck serve`. */
  settings: Record<string, string>;
  /** Absent when no certificate was wanted. */
  certificate?: MadeFiles;
};

export type MovingChoice = {
  /** IPv4 address of the server. */
  address: string;
  /** Ids of libraries, separated by commas; all when absent. */
  library?: string;
  /** Regions, likewise. */
  region?: string;
};

/**
 * Throws a Fault for an unknown library or region, and for an address that the libraries cannot use.
 * @param folder absolute
 */
export function planOf(words: MovingChoice, folder: string): Moving {
  const { address } = words;
  // The Node library asks for IPv4 addresses only.
  if (!isIPv4(address)) throw refuse(`"${address}" is not an IPv4 address; the libraries ask the name servers for one`);
  const chosen = (given: string | undefined) => given?.split(',').map((part) => part.trim());
  const ids = chosen(words.library) ?? LIBRARIES.map(({ id }) => id);
  const regions = chosen(words.region) ?? [...REGIONS];
  checkNames(
    'library',
    ids,
    LIBRARIES.map(({ id }) => id),
  );
  checkNames('region', regions, REGIONS);
  const files = filesIn(folder);
  const libraries = LIBRARIES.filter(({ id }) => ids.includes(id)).map((library) => ({
    id: library.id,
    name: library.name,
    version: library.version,
    lookup: library.lookup,
    hosts: unique(regions.flatMap((region) => [...library.hosts[region as Region]])),
    trust: library.trust(files),
  }));
  const hosts = unique(libraries.flatMap((library) => library.hosts)).sort();
  return {
    address,
    libraries,
    hosts,
    names: {
      hostsFile: [`${address} ${hosts.join(' ')}`],
      // `local` keeps dnsmasq from passing on questions for other kinds of address.
      dnsmasq: hosts.flatMap((host) => [`local=/${host}/`, `host-record=${host},${address}`]),
      unbound: hosts.flatMap((host) => [`local-zone: "${host}." static`, `local-data: "${host}. A ${address}"`]),
    },
    settings: {
      AIRCHECK_HOST: address,
      AIRCHECK_PORT: '443',
      AIRCHECK_TLS_CERT_FILE: files.cert,
      AIRCHECK_TLS_KEY_FILE: files.key,
    },
  };
}

export function filesIn(folder: string): Omit<MadeFiles, 'ends'> {
  const at = (name: string) => join(folder, name);
  return { ca: at('ca.pem'), bundle: at('bundle.pem'), cert: at('server.pem'), key: at('server-key.pem') };
}

function checkNames(what: string, given: readonly string[], known: readonly string[]): void {
  const unknown = given.find((name) => !known.includes(name));
  if (unknown !== undefined) throw refuse(`"${unknown}" is no ${what}; known are ${known.join(', ')}`);
}

function unique(texts: readonly string[]): string[] {
  return [...new Set(texts)];
}

export function refuse(words: string): Fault {
  return new Fault('moving-refused', words, { blame: 'caller' });
}
