/**
 * ConsentRelay: stands between the server's media port and one publisher that does not answer consent checks (RFC
 * 7675). FFmpeg's WHIP client does not: its connection would be given up 30 s after it stood. The relay passes every
 * datagram on, both ways, except the server's checks, which it answers in the publisher's name while the publisher is
 * heard. It has a UDP port of its own: the one exception to "all publishers on one port", and only for those that need
 * it.
 */
import { createSocket, type RemoteInfo, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { isIPv6 } from 'node:net';
import { Fault } from '../../kernel/fault.ts';
import { isBindingRequest, isSignedWith, type TransportAddress, usernameOf, writeBindingSuccess } from './stun.ts';

export type IceCredentials = { iceUfrag: string; icePwd: string };

export type ConsentRelayOptions = {
  /** Address at which the publisher reaches the relay: an IPv4 or IPv6 one, or the wildcard of either. */
  host: string;
  /** The server's media port, as it is reached from `host`. */
  server: TransportAddress;
  local: IceCredentials;
  publisher: IceCredentials;
};

export type ConsentRelay = {
  /** UDP port that the publisher must send to. */
  readonly port: number;
  /** Where the publisher is, once one of its own Binding requests has shown it. */
  readonly publisherAddress: TransportAddress | undefined;
  /** Gives the port back. Calling it again does nothing. */
  close(): void;
};

/**
 * Buffer that is asked of the system for each direction: room for key frames that come while the event loop is busy.
 */
const BUFFER_BYTES = 1024 * 1024;

/** @throws Fault `rtc-port-unavailable` */
export async function openConsentRelay(options: ConsentRelayOptions): Promise<ConsentRelay> {
  const { host, server, local, publisher } = options;
  const username = `${local.iceUfrag}:${publisher.iceUfrag}`;
  const socket = await bind(host);
  let address: TransportAddress | undefined;
  let closed = false;
  /** Whether the publisher was heard since the server's last check: consent must not outlive the publisher. */
  let heard = false;

  const send = (datagram: Buffer, to: TransportAddress) => {
    // Datagrams may be lost, but must not pile up while they wait.
    if (!closed && socket.getSendQueueSize() < BUFFER_BYTES) socket.send(datagram, to.port, to.address);
  };
  const onServer = (datagram: Buffer, from: RemoteInfo) => {
    if (!isBindingRequest(datagram)) {
      if (address) send(datagram, address);
      return;
    }
    if (heard) send(writeBindingSuccess(datagram, from, publisher.icePwd), server);
    heard = false;
  };
  const onPublisher = (datagram: Buffer, from: RemoteInfo) => {
    const isKnown = address !== undefined && isFrom(from, address);
    if (isBindingRequest(datagram)) {
      if (usernameOf(datagram) !== username || !isSignedWith(datagram, local.icePwd)) return;
      if (!isKnown) address = { address: from.address, port: from.port };
    } else if (!isKnown) return;
    heard = true;
    send(datagram, server);
  };
  socket.on('message', (datagram, from) => {
    if (isFrom(from, server)) onServer(datagram, from);
    else onPublisher(datagram, from);
  });
  // The network complains about single datagrams here; that a publisher is gone shows by its silence.
  socket.on('error', () => {});

  return {
    port: socket.address().port,
    get publisherAddress() {
      return address;
    },
    close() {
      if (closed) return;
      closed = true;
      socket.close();
    },
  };
}

const CANDIDATE = /^(a=candidate:\S+ \d+ UDP \d+ (\S+)) (\d+) /gim;

/**
 * The candidates of a wildcard are the addresses of all interfaces; the media port is nearest at the loopback address.
 */
const LOOPBACK: Record<string, string> = { '0.0.0.0': '127.0.0.1', '::': '::1' };

/**
 * The options of the relay for an answer of the peer connection.
 * @param host that the media port was opened on
 * @throws Fault `answer-incomplete`
 */
export function relayOptionsOf(answer: string, host: string, publisher: IceCredentials): ConsentRelayOptions {
  const [candidate] = answer.matchAll(CANDIDATE);
  const iceUfrag = /^a=ice-ufrag:(\S+)/m.exec(answer)?.[1];
  const icePwd = /^a=ice-pwd:(\S+)/m.exec(answer)?.[1];
  if (!candidate || iceUfrag === undefined || icePwd === undefined)
    throw new Fault('answer-incomplete', 'the peer connection made an answer without a transport', { blame: 'self' });
  const [, , address = '', port] = candidate;
  const loopback = LOOPBACK[host];
  return {
    host: loopback ? host : address,
    server: { address: loopback ?? address, port: Number(port) },
    local: { iceUfrag, icePwd },
    publisher,
  };
}

/** The answer with another port in all its candidates. */
export function moveCandidates(answer: string, port: number): string {
  return answer.replace(CANDIDATE, `$1 ${port} `);
}

function isFrom(from: RemoteInfo, address: TransportAddress): boolean {
  return from.port === address.port && from.address === address.address;
}

async function bind(host: string): Promise<Socket> {
  const socket = createSocket({
    type: isIPv6(host) ? 'udp6' : 'udp4',
    recvBufferSize: BUFFER_BYTES,
    sendBufferSize: BUFFER_BYTES,
    // All addresses are numeric; the resolver would take a turn of the event loop for every datagram.
    lookup: (address, _options, callback) => callback(null, address, isIPv6(address) ? 6 : 4),
  });
  try {
    const listening = once(socket, 'listening');
    socket.bind(0, host);
    await listening;
    return socket;
  } catch (cause) {
    socket.close();
    throw new Fault('rtc-port-unavailable', `No UDP port of ${host} is free for this publisher.`, {
      blame: 'self',
      retryable: true,
      cause,
    });
  }
}
