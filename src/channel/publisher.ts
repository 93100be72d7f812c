/**
 * Publisher: one WHIP session's media. Sorts datagrams to tracks, answers with RTCP (reports, NACK, PLI, transport-wide
 * feedback or REMB), and tells when the sender has vanished. Knows no WebRTC: a Peer sends for it, and hands it what came in.
 */
import type { Clock } from '../kernel/clock.ts';
import { Fault } from '../kernel/fault.ts';
import { US } from '../kernel/time.ts';
import type { Packet } from '../media/packet.ts';
import { isRtcp, parsePacket } from '../stages/rtp/parse-packet.ts';
import {
  encodeReceiverReport,
  encodeRemb,
  encodeSourceDescription,
  parseCompound,
  type ReportBlock,
  type RtcpPacket,
} from '../stages/rtp/rtcp.ts';
import { BandwidthEstimate, LossRatio } from './bandwidth.ts';
import type { IncomingStream } from './incoming-stream.ts';
import { IncomingTrack } from './incoming-track.ts';
import type { Section } from './offer.ts';
import { unwrapRetransmission } from './retransmission.ts';
import { TransportFeedbackCollector } from './transport-feedback.ts';

/** Our SSRC in all RTCP. We send no media, so one number serves for every session. */
const SENDER_SSRC = 1;
const RTCP_PERIOD_US = 500_000;
/** Nothing heard for this long means gone, unless the publisher had said goodbye to what it sent. */
export const SILENCE_US = 10_000_000;

export type PublisherListener = {
  onRtp(stream: IncomingStream, datagram: Buffer, arrivalUs: number): void;
  onRtcp(stream: IncomingStream, datagram: Buffer, arrivalUs: number): void;
};

export type PublisherOptions = {
  clock: Clock;
  sections: readonly Section[];
  send(datagram: Buffer): void;
  listener: PublisherListener;
};

export class Publisher {
  readonly tracks: readonly IncomingTrack[];
  readonly #streams: readonly IncomingStream[];
  readonly #clock: Clock;
  readonly #send: (datagram: Buffer) => void;
  readonly #listener: PublisherListener;
  /** Agreed extension of transport-wide feedback, one for the bundle (RFC 9143 §9.3). */
  readonly #sequenceId: number | undefined;
  readonly #transportFeedback = new TransportFeedbackCollector(SENDER_SSRC);
  /** What REMB is told of: the picture, which is nearly all of the traffic, or the sound where there is none. */
  readonly #heaviest: IncomingTrack | undefined;
  readonly #sendsRemb: boolean;
  readonly #estimate = new BandwidthEstimate();
  readonly #loss = new LossRatio();
  #received = { sinceUs: 0, bytes: 0 };
  #lastHeardUs: number;
  #saidGoodbye = false;
  #rtcpDueUs = 0;
  #rtcpRounds = 0;
  #strays = 0;

  constructor(options: PublisherOptions) {
    this.#clock = options.clock;
    this.#send = options.send;
    this.#listener = options.listener;
    this.#lastHeardUs = options.clock.monoUs();
    this.tracks = options.sections.map((section) => new IncomingTrack(section, SENDER_SSRC));
    this.#streams = this.tracks.flatMap((track) => track.streams);
    const { sections } = options;
    const heaviest = sections.find((section) => section.format.kind === 'video') ?? sections[0];
    this.#heaviest = heaviest && this.tracks[sections.indexOf(heaviest)];
    this.#sequenceId = sections.find((section) => section.transportSequenceId !== undefined)?.transportSequenceId;
    this.#sendsRemb = this.#sequenceId === undefined;
  }

  /** Datagrams that were neither RTP of an agreed payload type and layer nor RTCP. */
  get strays(): number {
    return this.#strays;
  }

  /** True when nothing was heard for so long that the publisher must be gone. */
  isSilent(nowUs: number): boolean {
    return !this.#saidGoodbye && nowUs - this.#lastHeardUs > SILENCE_US;
  }

  /** Takes one datagram, RTP or RTCP, decrypted. What makes no sense is counted and dropped. */
  onDatagram(datagram: Buffer): void {
    const arrivalUs = this.#clock.monoUs();
    this.#lastHeardUs = arrivalUs;
    try {
      if (isRtcp(datagram)) this.#onRtcp(datagram, arrivalUs);
      else this.#onRtp(datagram, arrivalUs);
    } catch (error) {
      if (!(error instanceof Fault) || error.blame !== 'channel') throw error;
      this.#strays++;
    }
  }

  /** Asks for a key frame of one stream, or of all. */
  wantKeyFrame(stream?: IncomingStream): void {
    for (const one of stream ? [stream] : this.#streams) {
      one.wantKeyFrame();
      this.#sendFeedback(one, this.#clock.monoUs());
    }
  }

  /** Sends what is due; to be called about every 20 ms. */
  tick(): void {
    const nowUs = this.#clock.monoUs();
    for (const stream of this.#streams) this.#sendFeedback(stream, nowUs);
    const about = this.#heaviest?.streams.find(({ ssrc }) => ssrc !== undefined)?.ssrc ?? 0;
    for (const feedback of this.#transportFeedback.due(nowUs, about)) this.#send(compound([], feedback));
    if (nowUs < this.#rtcpDueUs) return;
    this.#rtcpDueUs = nowUs + RTCP_PERIOD_US;
    this.#sendReports(nowUs);
  }

  #onRtp(datagram: Buffer, arrivalUs: number): void {
    const packet = parsePacket(datagram, arrivalUs);
    // Time before the first packet, or of a pause, is not time it sent in.
    if (this.#received.bytes === 0) this.#received.sinceUs = arrivalUs;
    this.#received.bytes += datagram.length;
    // Whatever carries a number is told of, padding and repeated packets too: the sender counts them all.
    const number = this.#sequenceId === undefined ? undefined : packet.extensions?.get(this.#sequenceId);
    if (number) this.#transportFeedback.onPacket(number, arrivalUs);
    this.#sort(datagram, packet);
  }

  #sort(datagram: Buffer, packet: Packet): void {
    const track = this.tracks.find((t) => t.format.payloadType === packet.payloadType);
    if (!track) {
      this.#onRepeated(datagram, packet);
      return;
    }
    const stream = track.streamOf(packet);
    if (!stream) {
      this.#strays++;
      return;
    }
    this.#saidGoodbye = false;
    track.noteExtensions(packet);
    stream.onPacket(packet, datagram);
    // The key frame that the publisher began with was lost, or went out before we could hear it.
    if (stream.format.kind === 'video' && stream.awaitsStart) stream.wantKeyFrame();
    // Losses are asked for at once when a packet shows them, not at the next tick.
    this.#sendFeedback(stream, packet.arrivalUs);
    this.#listener.onRtp(stream, datagram, packet.arrivalUs);
  }

  #onRepeated(datagram: Buffer, packet: Packet): void {
    const stream = this.tracks.find((t) => t.rtxPayloadType === packet.payloadType)?.repairedBy(packet);
    if (stream?.ssrc === undefined) {
      this.#strays++;
      return;
    }
    const original = unwrapRetransmission(datagram, packet, {
      payloadType: stream.format.payloadType,
      ssrc: stream.ssrc,
    });
    if (original) this.#sort(original, parsePacket(original, packet.arrivalUs));
  }

  #onRtcp(datagram: Buffer, arrivalUs: number): void {
    const concerned = new Set<IncomingStream>();
    for (const packet of parseCompound(datagram)) {
      for (const ssrc of sourcesOf(packet)) {
        const stream = this.#streams.find((s) => s.ssrc === ssrc);
        if (!stream) continue;
        concerned.add(stream);
        if (packet.type === 'senderReport') stream.onSenderReport(packet, datagram, arrivalUs);
      }
      // A sender that stops on purpose (RFC 3550 §6.6) is quiet from then on without being gone.
      if (packet.type === 'bye') this.#saidGoodbye = true;
      else if (packet.type === 'senderReport') this.#saidGoodbye = false;
    }
    for (const stream of concerned) this.#listener.onRtcp(stream, datagram, arrivalUs);
  }

  #sendFeedback(stream: IncomingStream, nowUs: number): void {
    for (const feedback of stream.feedback(nowUs)) this.#send(compound([], feedback));
  }

  /** REMB every time, report blocks every other time: about twice and once a second. */
  #sendReports(nowUs: number): void {
    const blocks: ReportBlock[] = [];
    const extra: Buffer[] = [];
    if (this.#rtcpRounds++ % 2 === 0) {
      for (const stream of this.#streams) {
        const block = stream.reportBlock(nowUs);
        if (block) blocks.push(block);
      }
      if (this.#sendsRemb) this.#estimateBandwidth(blocks, nowUs);
      extra.push(encodeSourceDescription(SENDER_SSRC, 'aircheck'));
    }
    if (this.#sendsRemb) {
      const ssrcs = this.#streams.flatMap((stream) => stream.ssrc ?? []);
      extra.push(encodeRemb(SENDER_SSRC, this.#estimate.bitrateBps, ssrcs));
    }
    if (blocks.length > 0 || extra.length > 0) this.#send(compound(blocks, ...extra));
  }

  #estimateBandwidth(blocks: readonly ReportBlock[], nowUs: number): void {
    const streams = this.#heaviest?.streams ?? [];
    const about = blocks.filter((block) => streams.some(({ ssrc }) => ssrc === block.ssrc));
    if (about.length === 0) return;
    const { sinceUs, bytes } = this.#received;
    this.#received = { sinceUs: nowUs, bytes: 0 };
    const receivedBps = (bytes * 8 * US) / Math.max(1, nowUs - sinceUs);
    const queueMs = Math.max(...streams.map(({ queueDelay }) => queueDelay.takeMs()));
    this.#estimate.onInterval({ lossRatio: this.#loss.take(about), receivedBps, queueMs });
  }
}

/** A compound packet begins with a report, be it empty (RFC 3550 §6.1). */
function compound(blocks: ReportBlock[], ...rest: Buffer[]): Buffer {
  return Buffer.concat([encodeReceiverReport({ senderSsrc: SENDER_SSRC, blocks }), ...rest]);
}

function sourcesOf(packet: RtcpPacket): number[] {
  if (packet.type === 'senderReport') return [packet.ssrc];
  return packet.type === 'bye' ? packet.ssrcs : [];
}
