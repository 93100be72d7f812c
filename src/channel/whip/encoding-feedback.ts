/**
 * EncodingFeedback: what the sender of one encoding is asked for by RTCP: lost packets (NACK) and key frames (PLI). It
 * also knows how long the encoding's packets queue on the way. It writes the RTCP; the session sends it.
 */
import type { HostUs } from '../../kernel/time.ts';
import type { Packet } from '../../media/packet.ts';
import { type LossTally, NackGenerator } from '../../stages/rtp/nack.ts';
import { encodeNack, encodePictureLossIndication } from '../../stages/rtp/rtcp.ts';
import type { Encoding } from '../room/encoding.ts';
import { QueueDelay } from './bandwidth.ts';
import { KeyFrameRequests } from './key-frame-requests.ts';

/** A recorder waits 1.7 s for a missing packet; one that is asked for later than this would come too late. */
const NACK_OPTIONS = { maxAgeMs: 1600, maxTries: 10 };

/** Asked for every packet, which mostly wants nothing. */
const NOTHING: readonly Buffer[] = [];

/** Packets of all publishers, since the server began. */
export type ReceptionTally = LossTally & { received: number };

export class EncodingFeedback {
  readonly encoding: Encoding;
  readonly queueDelay = new QueueDelay();
  readonly #senderSsrc: number;
  readonly #keyFrames = new KeyFrameRequests();
  #ssrc: number | undefined;
  #keyFrameUs: HostUs | undefined;
  readonly #tally: ReceptionTally;
  #nack: NackGenerator;

  /**
   * @param senderSsrc ours, in the RTCP we send
   * @param tally where packets are counted
   */
  constructor(encoding: Encoding, senderSsrc: number, tally: ReceptionTally = { received: 0, lost: 0, recovered: 0 }) {
    this.encoding = encoding;
    this.#senderSsrc = senderSsrc;
    this.#tally = tally;
    this.#nack = new NackGenerator({ ...NACK_OPTIONS, tally });
  }

  /** Called for each packet after the encoding has taken it. */
  onPacket(packet: Packet): void {
    this.#tally.received++;
    if (packet.ssrc !== this.#ssrc) {
      this.#ssrc = packet.ssrc;
      this.#tally.lost += this.#nack.missing;
      this.#nack = new NackGenerator({ ...NACK_OPTIONS, tally: this.#tally });
    }
    this.#nack.onPacket(packet.sequence, packet.arrivalUs);
    this.queueDelay.onPacket(packet.timestamp, packet.arrivalUs, this.encoding.format.clockRate);
    if (this.encoding.keyFrameUs === this.#keyFrameUs) return;
    this.#keyFrameUs = this.encoding.keyFrameUs;
    if (this.#keyFrameUs !== undefined) this.#keyFrames.onKeyFrame();
  }

  /** Asks for a key frame as soon as the limit of requests allows. */
  wantKeyFrame(): void {
    this.#keyFrames.want();
  }

  /** The feedback that is due now. */
  due(nowUs: HostUs): readonly Buffer[] {
    const { ssrc } = this.encoding;
    const isQuiet = this.#nack.missing === 0 && !this.#keyFrames.wanted;
    if (isQuiet || ssrc === undefined) return NOTHING;
    const out: Buffer[] = [];
    if (this.#nack.missing > 0) {
      const lost = this.#nack.due(nowUs);
      if (lost.length > 0) out.push(encodeNack(this.#senderSsrc, ssrc, lost));
    }
    if (this.#keyFrames.due(nowUs)) out.push(encodePictureLossIndication(this.#senderSsrc, ssrc));
    return out;
  }
}
