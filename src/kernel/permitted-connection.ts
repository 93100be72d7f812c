/**
 * A connection to a host whose addresses are judged first: the connection is made to the very address that was judged,
 * so a name that changes its address is judged anew each time.
 */
import type { LookupAddress } from 'node:dns';
import { lookup } from 'node:dns/promises';
import { isIP, connect as open, type Socket } from 'node:net';
import { Fault } from './fault.ts';

export type Destination = {
  host: string;
  port: number;
  /** Whether an address may be connected to. */
  permits(address: string): boolean;
  /** Resolves a name to addresses; by default the system's resolver. */
  resolve?: ((host: string) => Promise<LookupAddress[]>) | undefined;
  /** How long one address may take; another one of the same name may answer. */
  attemptMs: number;
  /** Gives up when it aborts; by default only when the times of all addresses are over. */
  signal?: AbortSignal | undefined;
};

const REFUSED = 'address-refused';

/** Whether no connection was made because none of the host's addresses is permitted. */
export function isAddressRefused(error: unknown): boolean {
  return error instanceof Fault && error.code === REFUSED;
}

/**
 * Connects to the first permitted address of a host that answers. Rejects with a Fault `address-refused` when no
 * address is permitted.
 */
export async function connectPermitted(destination: Destination): Promise<Socket> {
  const { host, port, permits, resolve = (name) => lookup(name, { all: true }), attemptMs, signal } = destination;
  const found = isIP(host) ? [{ address: host }] : await resolve(host);
  const permitted = found.filter(({ address }) => permits(address));
  if (permitted.length === 0)
    throw new Fault(REFUSED, `${host} is not public, and not among those allowed`, { blame: 'caller' });
  let failure: unknown;
  for (const { address } of permitted) {
    signal?.throwIfAborted();
    try {
      return await dial({ host: address, port, timeout: attemptMs }, signal);
    } catch (error) {
      failure = error;
    }
  }
  throw failure;
}

function dial(
  options: { host: string; port: number; timeout: number },
  signal: AbortSignal | undefined,
): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = open({ ...options, noDelay: true });
    const giveUp = () => socket.destroy(signal?.reason);
    const goOn = () => socket.destroy(new Error(`${options.host} does not answer`));
    signal?.addEventListener('abort', giveUp, { once: true });
    socket.once('close', () => signal?.removeEventListener('abort', giveUp));
    socket.once('timeout', goOn);
    // It stays: an unheard error would end the process. `close` tells that the connection is over.
    socket.on('error', reject);
    socket.once('connect', () => {
      signal?.removeEventListener('abort', giveUp);
      // An open connection may be silent for any length of time.
      socket.off('timeout', goOn).setTimeout(0);
      resolve(socket);
    });
  });
}
