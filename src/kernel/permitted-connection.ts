/**
 * A connection to a host whose addresses are judged before: the one that is connected to is the one that was judged, so
 * a name that changes its address is judged anew each time.
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
  /** Where a name leads; the system's resolver when left out. */
  resolve?: ((host: string) => Promise<LookupAddress[]>) | undefined;
  /** How long one address may take: another one of the same name may answer. */
  attemptMs: number;
  /** Gives up when it aborts; left out: never before the addresses' own times are over. */
  signal?: AbortSignal | undefined;
};

const REFUSED = 'address-refused';

/** Whether a connection was not made because none of the host's addresses is permitted. */
export function isAddressRefused(error: unknown): boolean {
  return error instanceof Fault && error.code === REFUSED;
}

/**
 * Connects to the first address of a host that answers, of those that are permitted. Rejects with a Fault
 * `address-refused` when there is none such.
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
    // Also later: one that nobody hears of would end the process. That the connection is over is told by `close`.
    socket.on('error', reject);
    socket.once('connect', () => {
      signal?.removeEventListener('abort', giveUp);
      // An open connection may be silent for as long as it likes.
      socket.off('timeout', goOn).setTimeout(0);
      resolve(socket);
    });
  });
}
