/**
 * Rules of nftables that keep one user from networks that are closed to its page, when the page uses this machine's
 * network instead of one of its own. All TCP goes through the egress proxy; UDP, which the proxy cannot carry, goes out
 * directly.
 */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { isIPv6 } from 'node:net';
import { text } from 'node:stream/consumers';
import { SPECIAL_RANGES } from '../../../kernel/address.ts';
import { Fault } from '../../../kernel/fault.ts';
import type { PageUser } from './programs.ts';

/** Debian's path, which is not in the search path of users without rights. */
const NFT = '/usr/sbin/nft';
/** User numbers from here on are given to nobody by any distribution or systemd (systemd's UIDS-GIDS page). */
const FIRST_UID = 0x7000_0000;
/** IPv6 addresses that stand for IPv4 ones; to judge them they would have to be unwrapped. */
const WRAPPING_RANGES = ['::/96', '::ffff:0:0/96', '::ffff:0:0:0/96', '64:ff9b::/96', '2002::/16'];

/**
 * The user for the page of a recorder; the page of another running recorder never has the same one.
 * @param pid of the recorder
 */
export function userOf(pid: number): NonNullable<PageUser> {
  return { uid: FIRST_UID + pid, gid: FIRST_UID + pid };
}

export type UserRules = {
  uid: number;
  /** Port of the egress proxy at 127.0.0.1. */
  proxyPort: number;
  /** Addresses and ranges that may be reached besides public ones. */
  networks: readonly string[];
};

/** Resolves once the rules are in force. Rejects with a Fault `page-rules-refused`. */
export async function setUserRules({ uid, proxyPort, networks }: UserRules): Promise<void> {
  const judge = (verdict: string, ranges: readonly string[]) => {
    const [six, four] = [
      ranges.filter((range) => isIPv6(addressOf(range))),
      ranges.filter((r) => !isIPv6(addressOf(r))),
    ];
    const rule = (family: string, of: readonly string[]) =>
      of.length === 0 ? [] : [`${family} daddr { ${of.join(', ')} } ${verdict}`];
    return [...rule('ip', four), ...rule('ip6', six)];
  };
  // The machine's own packets have no user, as its refusals of connections: they match no `skuid`, equal or not.
  const output = ['type filter hook output priority filter; policy accept;', `meta skuid ${uid} jump page`];
  const page = [
    `ip daddr 127.0.0.1 tcp dport ${proxyPort} accept`,
    'meta l4proto != udp reject',
    ...judge('accept', networks),
    ...judge('reject', [...SPECIAL_RANGES, ...WRAPPING_RANGES]),
  ];
  const chain = (name: string, rules: readonly string[]) => `  chain ${name} {\n    ${rules.join('\n    ')}\n  }\n`;
  const table = `table inet ${tableOf(uid)} {\n${chain('page', page)}${chain('output', output)}}`;
  await nft(`${removalOf(uid)}\n${table}`);
}

/** Removes the rules of a user, if there are any. Rejects with a Fault `page-rules-refused`. */
export async function removeUserRules(uid: number): Promise<void> {
  await nft(removalOf(uid));
}

/** Rejects with a Fault `page-rules-refused` when such rules cannot be made. */
export async function probeUserRules(): Promise<void> {
  // No recorder has pid 0, so its user is nobody's.
  const { uid } = userOf(0);
  await setUserRules({ uid, proxyPort: 1, networks: [] });
  await removeUserRules(uid);
}

function tableOf(uid: number): string {
  return `aircheck_page_${uid}`;
}

/** Adds the table before deleting it, because a missing table cannot be deleted. */
function removalOf(uid: number): string {
  return `add table inet ${tableOf(uid)}\ndelete table inet ${tableOf(uid)}`;
}

function addressOf(range: string): string {
  return range.split('/')[0] ?? '';
}

async function nft(script: string): Promise<void> {
  const refused = (why: string) =>
    new Fault('page-rules-refused', `pages cannot be kept from this machine’s networks by nftables: ${why}`, {
      blame: 'self',
    });
  const child = spawn(NFT, ['-f', '-'], { stdio: ['pipe', 'ignore', 'pipe'] });
  try {
    // When it ends early it leaves the rest unread, and tells why.
    child.stdin.on('error', () => {});
    child.stdin.end(script);
    const [words, [code]] = await Promise.all([text(child.stderr), once(child, 'close')]);
    if (code !== 0) throw refused(words.trim().split('\n')[0] || `exit code ${code}`);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'ENOENT') throw error;
    throw refused('it is not there (apt-get install --no-install-recommends nftables)');
  }
}
