/**
 * What the other end's system has not confirmed of a TCP connection. Writing ends as soon as our own system has taken
 * the bytes, which takes megabytes of them; how many it still holds, it tells in /proc.
 */
import { readFileSync } from 'node:fs';
import { isIPv4, type Socket } from 'node:net';
import { endianness } from 'node:os';
import { bytesOfAddress } from '../../kernel/address.ts';

/** @returns bytes; undefined for a connection that is over, or where the system does not tell */
export function unacknowledgedBytes({ remoteAddress, remotePort, localPort }: Socket): number | undefined {
  if (remoteAddress === undefined || remotePort === undefined || localPort === undefined) return undefined;
  let table: string;
  try {
    table = readFileSync(`/proc/self/net/${isIPv4(remoteAddress) ? 'tcp' : 'tcp6'}`, 'latin1');
  } catch {
    return undefined; // not Linux
  }
  return queueIn(table, { localPort, remoteAddress, remotePort });
}

/** What a table as of /proc/net/tcp or tcp6 says of a connection, in bytes. */
export function queueIn(
  table: string,
  { localPort, remoteAddress, remotePort }: { localPort: number; remoteAddress: string; remotePort: number },
): number | undefined {
  const port = (number: number) => number.toString(16).toUpperCase().padStart(4, '0');
  const remote = `${addressWords(remoteAddress)}:${port(remotePort)}`;
  // number: local address, remote address, state, what is to be sent and not confirmed : what is to be read
  const line = new RegExp(`^ *\\d+: [0-9A-F]+:${port(localPort)} ${remote} [0-9A-F]{2} ([0-9A-F]+):`, 'm').exec(table);
  return line ? Number.parseInt(line[1]!, 16) : undefined;
}

/** Four bytes at a time, each word as this machine would print its number. */
function addressWords(address: string): string {
  const bytes = bytesOfAddress(address);
  if (endianness() === 'LE') bytes.swap32();
  return bytes.toString('hex').toUpperCase();
}
