/**
 * A peer without a network: notes what it is given to send, and the test hands in what a publisher would.
 */
import type { Peer, PeerOptions } from '../../src/channel/whip/peer.ts';
import { parseCompound } from '../../src/stages/rtp/rtcp.ts';

const LOCAL = [
  'v=0',
  'o=rtc 9 0 IN IP4 127.0.0.1',
  's=-',
  't=0 0',
  'm=audio 9 UDP/TLS/RTP/SAVPF 111',
  'a=mid:0',
  'a=setup:active',
  'a=ice-ufrag:XMkq',
  'a=ice-pwd:L0ndeoSYDvmGukcYTVX1wK',
  'a=fingerprint:sha-256 A8:92',
  'a=candidate:1 1 UDP 2114977791 127.0.0.1 45123 typ host',
  '',
].join('\r\n');

export class FakePeer implements Peer {
  readonly answer = LOCAL;
  readonly sent: Buffer[] = [];
  readonly candidates: string[] = [];
  readonly options: PeerOptions;
  closed = false;

  constructor(options: PeerOptions) {
    this.options = options;
  }
  send(datagram: Buffer): void {
    this.sent.push(datagram);
  }
  addCandidate(candidate: string): void {
    this.candidates.push(candidate);
  }
  remoteAddress(): string | undefined {
    return '192.0.2.1:5000';
  }
  close(): void {
    this.closed = true;
  }
  /** How many key frames it was asked for. */
  get keyFrameRequests(): number {
    return this.sent.flatMap((d) => parseCompound(d)).filter((p) => p.type === 'pictureLossIndication').length;
  }
}
