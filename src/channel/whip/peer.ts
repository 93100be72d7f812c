/**
 * Peer: the WebRTC end of one publisher (ICE, DTLS, SRTP), made with node-datachannel. RTP and RTCP go in and out
 * unchanged. All peers of a server share one UDP port, except those that need a ConsentRelay in front of it.
 */
import { initLogger, PeerConnection, type RtcConfig } from 'node-datachannel';
import { type Clock, within } from '../../kernel/clock.ts';
import { Fault, messageOf } from '../../kernel/fault.ts';
import {
  type ConsentRelay,
  type IceCredentials,
  moveCandidates,
  openConsentRelay,
  relayOptionsOf,
} from './consent-relay.ts';

export type PeerState = 'connected' | 'disconnected' | 'failed' | 'closed';

export type Peer = {
  /** The peer connection's own answer, complete with candidates. */
  answer: string;
  send(datagram: Buffer): void;
  /** Takes one remote candidate, the value of an `a=candidate:` line. A candidate that cannot be read is left out. */
  addCandidate(candidate: string): void;
  /** `address:port` that the publisher's media comes from, once it is connected. */
  remoteAddress(): string | undefined;
  /** Ends the connection. Calling it again does nothing. */
  close(): void;
};

export type PeerOptions = {
  /** Its name in logs. */
  name: string;
  /** An offer of one section, see `writeTransportOffer`. */
  offer: string;
  mid: string;
  /** For a publisher that answers no consent checks (RFC 7675): the credentials to answer them with in its place. */
  consentOf?: IceCredentials | undefined;
  onState(state: PeerState): void;
  onDatagram(datagram: Buffer): void;
};

/** Makes peers; a test puts its own here. */
export type PeerHost = { open(options: PeerOptions): Promise<Peer>; close(): void };

export type PeerHostOptions = {
  host: string;
  port: number;
  log: Log;
  clock: Clock;
  /** How long gathering our own candidates may take. */
  gatherTimeoutMs: number;
};

type Log = { warn(fields: object, message: string): void; debug(fields: object, message: string): void };

/** The library has one logger for the whole process, and setting it anew while its threads write to it is not safe. */
let libraryLog: Log | undefined;

function takeLibraryLog(log: Log): void {
  const isFirst = libraryLog === undefined;
  libraryLog = log;
  // What the library calls a warning or an error is mostly a publisher that went away; we throw faults of our own.
  if (isFirst) initLogger('Warning', (level, message) => libraryLog?.debug({ level }, message));
}

/**
 * Takes the UDP port and keeps it until `close`. The library's threads keep the process from ending by itself, and its
 * `cleanup` crashes now and then: end with `process.exit`.
 * @throws Fault `rtc-port-unavailable`
 */
export function openPeerHost(options: PeerHostOptions): PeerHost {
  const { host, port, log } = options;
  takeLibraryLog(log);
  const holder = holdPort(host, port);
  const open = new Set<Peer>();
  return {
    async open(peerOptions) {
      const peer = await openPeer(peerOptions, options, (closed) => open.delete(closed));
      open.add(peer);
      return peer;
    },
    close() {
      for (const peer of [...open]) peer.close();
      holder.close();
    },
  };
}

/**
 * The shared port is open as long as one peer connection uses it, so this one, which nobody ever answers, holds it. The
 * library's own IceUdpMuxListener cannot: packets that come in after its `stop` crash the process.
 */
function holdPort(host: string, port: number): PeerConnection {
  const holder = new PeerConnection('port', configOf(host, port));
  try {
    // The connection gathers candidates, and so opens the port, only when it has something to offer.
    holder.createDataChannel('port');
    return holder;
  } catch (cause) {
    holder.close();
    throw new Fault(
      'rtc-port-unavailable',
      `Cannot receive media on UDP ${host}:${port}: the port is in use, or the address is not one of this machine. ` +
        'Set AIRCHECK_RTC_HOST and AIRCHECK_RTC_PORT.',
      { blame: 'self', cause },
    );
  }
}

function configOf(host: string, port: number): RtcConfig {
  return {
    iceServers: [],
    bindAddress: host,
    enableIceUdpMux: true,
    portRangeBegin: port,
    portRangeEnd: port,
  };
}

async function openPeer(
  options: PeerOptions,
  { host, port, clock, gatherTimeoutMs }: PeerHostOptions,
  onClose: (peer: Peer) => void,
): Promise<Peer> {
  const connection = new PeerConnection(options.name, configOf(host, port));
  let closed = false;
  let peer: Peer | undefined;
  let track: ReturnType<PeerConnection['addTrack']> | undefined;
  let relay: ConsentRelay | undefined;
  const close = () => {
    if (closed) return;
    closed = true;
    if (peer) onClose(peer);
    track?.close();
    connection.close();
    relay?.close();
  };
  connection.onStateChange((state) => {
    if (closed) return;
    if (state === 'connected' || state === 'disconnected' || state === 'failed' || state === 'closed')
      options.onState(state);
  });
  connection.onTrack((incoming) => {
    track = incoming;
    incoming.onMessage((message) => {
      if (!closed) options.onDatagram(message);
    });
  });
  const gathered = new Promise<void>((resolve) => {
    connection.onGatheringStateChange((state) => {
      if (state === 'complete') resolve();
    });
  });
  try {
    connection.setRemoteDescription(options.offer, 'offer');
  } catch (cause) {
    close();
    throw new Fault('sdp-invalid', `The offer cannot be used: ${messageOf(cause)}.`, { blame: 'caller', cause });
  }
  try {
    await within(clock, gatherTimeoutMs, gathered, () => gatheringTookTooLong(gatherTimeoutMs));
  } catch (error) {
    close();
    throw error;
  }
  let answer = connection.localDescription()?.sdp;
  if (answer === undefined) {
    close();
    throw new Fault('answer-incomplete', 'the peer connection gave no answer', { blame: 'self' });
  }
  if (options.consentOf) {
    try {
      relay = await openConsentRelay(relayOptionsOf(answer, host, options.consentOf));
    } catch (error) {
      close();
      throw error;
    }
    answer = moveCandidates(answer, relay.port);
  }
  peer = {
    answer,
    send(datagram) {
      if (!closed && track?.isOpen()) track.sendMessageBinary(datagram);
    },
    addCandidate(candidate) {
      if (closed) return;
      try {
        connection.addRemoteCandidate(`candidate:${candidate}`, options.mid);
      } catch {
        // The candidate is of a kind we do not know. The others are enough, or the connection fails and says so.
      }
    },
    remoteAddress() {
      if (closed) return undefined;
      const remote = relay ? relay.publisherAddress : connection.getSelectedCandidatePair()?.remote;
      return remote ? `${remote.address}:${remote.port}` : undefined;
    },
    close,
  };
  return peer;
}

function gatheringTookTooLong(limitMs: number): Fault {
  return new Fault('ice-gathering-timeout', `The server found no address of its own within ${limitMs} ms; try again.`, {
    blame: 'self',
    retryable: true,
  });
}
