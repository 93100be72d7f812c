/**
 * RtpSession: the media of one WHIP session (RFC 3550 §3 calls this an RTP session). It sorts datagrams to encodings,
 * answers with RTCP (reports, NACK, PLI, transport-wide feedback or REMB), and tells when the sender has vanished. It
 * knows no WebRTC: a Peer sends for it, and hands it what came in.
 */
import type { Clock } from '../../kernel/clock.ts';
import { Fault } from '../../kernel/fault.ts';
import { type HostUs, US } from '../../kernel/time.ts';
import type { Packet } from '../../media/packet.ts';
import { parseAudioLevel } from '../../stages/rtp/audio-level.ts';
import { isRtcp, parsePacket } from '../../stages/rtp/parse-packet.ts';
import {
  encodeReceiverReport,
  encodeRemb,
  encodeSourceDescription,
  parseCompound,
  type ReportBlock,
  type RtcpPacket,
  type SenderReport,
} from '../../stages/rtp/rtcp.ts';
import type { Encoding, LogMemory } from '../room/encoding.ts';
import type { Publication } from '../room/publication.ts';
import { BandwidthEstimate, LossRatio } from './bandwidth.ts';
import { EncodingFeedback, type ReceptionTally } from './encoding-feedback.ts';
import type { Section } from './offer.ts';
import { PacketSorter, type ReceivedSection, receiveSection } from './packet-sorter.ts';
import { unwrapRetransmission } from './retransmission.ts';
import { TransportFeedbackCollector } from './transport-feedback.ts';

/** Our SSRC in all RTCP. We send no media, so one number serves for every session. */
const SENDER_SSRC = 1;
const SOURCE_DESCRIPTION = encodeSourceDescription(SENDER_SSRC, 'aircheck');
const RTCP_PERIOD_US = 500_000;
/**
 * A publisher that answers no consent checks (RFC 7675) is gone when nothing was heard for this long, unless it said
 * goodbye to all that it sent. Others are gone when their consent ends, and may be silent until then.
 */
const SILENCE_US = 10_000_000;

export type RtpSessionOptions = {
  clock: Clock;
  sections: readonly Section[];
  /** Where what comes in is kept. */
  memory: LogMemory;
  /** Where packets are counted. */
  tally?: ReceptionTally;
  send(datagram: Buffer): void;
};

export class RtpSession {
  /** One publication for each section, in the offer's order. */
  readonly publications: readonly Publication[];
  readonly #clock: Clock;
  readonly #send: (datagram: Buffer) => void;
  readonly #sorter: PacketSorter;
  readonly #feedback: ReadonlyMap<Encoding, EncodingFeedback>;
  /** Id of the agreed extension of transport-wide feedback, one for the bundle (RFC 9143 §9.3). */
  readonly #sequenceId: number | undefined;
  readonly #transportFeedback = new TransportFeedbackCollector(SENDER_SSRC);
  /**
   * The publication that REMB goes by: the picture, which is nearly all of the traffic, or the sound when there is
   * none.
   */
  readonly #heaviest: Publication | undefined;
  readonly #sendsRemb: boolean;
  readonly #estimate = new BandwidthEstimate();
  readonly #loss = new LossRatio();
  #received = { sinceUs: 0, bytes: 0 };
  #lastHeardUs: HostUs;
  #saidGoodbye = false;
  #rtcpDueUs = 0;
  #rtcpRounds = 0;
  #strays = 0;

  constructor(options: RtpSessionOptions) {
    const { clock, sections, memory, tally = { received: 0, lost: 0, recovered: 0 } } = options;
    this.#clock = clock;
    this.#send = options.send;
    this.#lastHeardUs = clock.monoUs();
    const received = sections.map((section) => receiveSection(section, memory, (e) => this.#askKeyFrame(e)));
    this.#sorter = new PacketSorter(received);
    this.publications = received.map(({ publication }) => publication);
    const encodings = this.publications.flatMap((publication) => publication.encodings);
    this.#feedback = new Map(
      encodings.map((encoding) => [encoding, new EncodingFeedback(encoding, SENDER_SSRC, tally)]),
    );
    this.#heaviest = this.publications.find(({ format }) => format.kind === 'video') ?? this.publications[0];
    this.#sequenceId = sections.find((section) => section.transportSequenceId !== undefined)?.transportSequenceId;
    this.#sendsRemb = this.#sequenceId === undefined;
  }

  /** How many datagrams were neither RTCP nor RTP of an agreed payload type and encoding. */
  get strays(): number {
    return this.#strays;
  }

  /** True when nothing was heard for so long that the publisher must be gone. */
  isSilent(nowUs: HostUs): boolean {
    return !this.#saidGoodbye && this.silentUs(nowUs) > SILENCE_US;
  }

  /** How long nothing was heard, microseconds. */
  silentUs(nowUs: HostUs): number {
    return nowUs - this.#lastHeardUs;
  }

  /** Takes one decrypted datagram, RTP or RTCP. One that makes no sense is counted and dropped. */
  onDatagram(datagram: Buffer): void {
    const arrivalUs = this.#clock.monoUs();
    this.#lastHeardUs = arrivalUs;
    try {
      if (isRtcp(datagram)) this.#takeRtcp(datagram, arrivalUs);
      else this.#takeRtp(datagram, arrivalUs);
    } catch (error) {
      if (!(error instanceof Fault) || error.blame !== 'channel') throw error;
      this.#strays++;
    }
  }

  /** Sends what is due; called about every 20 ms. */
  tick(): void {
    const nowUs = this.#clock.monoUs();
    for (const feedback of this.#feedback.values()) this.#sendDue(feedback, nowUs);
    const about = this.#heaviest?.encodings.find(({ ssrc }) => ssrc !== undefined)?.ssrc ?? 0;
    for (const feedback of this.#transportFeedback.due(nowUs, about)) this.#send(compound([], feedback));
    if (nowUs < this.#rtcpDueUs) return;
    this.#rtcpDueUs = nowUs + RTCP_PERIOD_US;
    this.#sendReports(nowUs);
  }

  #takeRtp(datagram: Buffer, arrivalUs: HostUs): void {
    const packet = parsePacket(datagram, arrivalUs);
    // The time before the first packet, or of a pause, is no time in which it sent.
    if (this.#received.bytes === 0) this.#received.sinceUs = arrivalUs;
    this.#received.bytes += datagram.length;
    // Every packet with a number counts, padding and repeated packets too, because the sender counts them all.
    const number = this.#sequenceId === undefined ? undefined : packet.extensions?.get(this.#sequenceId);
    if (number) this.#transportFeedback.onPacket(number, arrivalUs);
    this.#sort(datagram, packet);
  }

  #sort(datagram: Buffer, packet: Packet): void {
    const section = this.#sorter.sectionOf(packet);
    const repeats = section !== undefined && packet.payloadType !== section.publication.format.payloadType;
    const sorter = this.#sorter;
    const encoding = section && (repeats ? sorter.repairedBy(packet, section) : sorter.encodingOf(packet, section));
    if (!encoding) {
      this.#strays++;
      return;
    }
    if (repeats) this.#takeRepeated(datagram, packet, encoding);
    else if (packet.ssrc === encoding.ssrc) this.#take(packet, datagram, encoding, section);
    else
      for (const admitted of this.#sorter.admit({ packet, datagram }, encoding, section))
        this.#take(admitted.packet, admitted.datagram, encoding, section);
  }

  #take(packet: Packet, datagram: Buffer, encoding: Encoding, { publication, ids }: ReceivedSection): void {
    this.#saidGoodbye = false;
    const level = ids.audioLevel === undefined ? undefined : packet.extensions?.get(ids.audioLevel);
    const levelDbov = level && parseAudioLevel(level);
    if (levelDbov !== undefined) publication.noteLevel(levelDbov, packet.arrivalUs);
    encoding.take(packet, datagram);
    const feedback = this.#feedback.get(encoding)!;
    feedback.onPacket(packet);
    // A lost packet is asked for as soon as another shows that it is missing, not at the next tick.
    this.#sendDue(feedback, packet.arrivalUs);
  }

  #takeRepeated(datagram: Buffer, packet: Packet, encoding: Encoding): void {
    const { ssrc } = encoding;
    if (ssrc === undefined) {
      this.#strays++;
      return;
    }
    const { payloadType } = encoding.format;
    const original = unwrapRetransmission(datagram, packet, { payloadType, ssrc });
    if (original) this.#sort(original, parsePacket(original, packet.arrivalUs));
  }

  #takeRtcp(datagram: Buffer, arrivalUs: HostUs): void {
    const concerned = new Map<Encoding, SenderReport | undefined>();
    for (const packet of parseCompound(datagram)) {
      for (const ssrc of sourcesOf(packet)) {
        const encoding = [...this.#feedback.keys()].find((e) => e.ssrc === ssrc);
        if (encoding) concerned.set(encoding, packet.type === 'senderReport' ? packet : concerned.get(encoding));
      }
      // A sender that stops on purpose (RFC 3550 §6.6) is quiet from then on without being gone.
      if (packet.type === 'bye') this.#saidGoodbye = true;
      else if (packet.type === 'senderReport') this.#saidGoodbye = false;
    }
    for (const [encoding, report] of concerned) encoding.takeRtcp(datagram, report, arrivalUs);
  }

  #askKeyFrame(encoding: Encoding): void {
    const feedback = this.#feedback.get(encoding)!;
    feedback.wantKeyFrame();
    this.#sendDue(feedback, this.#clock.monoUs());
  }

  #sendDue(feedback: EncodingFeedback, nowUs: HostUs): void {
    for (const packet of feedback.due(nowUs)) this.#send(compound([], packet));
  }

  /** Sends REMB each time and report blocks every other time: about twice and once a second. */
  #sendReports(nowUs: HostUs): void {
    const blocks: ReportBlock[] = [];
    const extra: Buffer[] = [];
    if (this.#rtcpRounds++ % 2 === 0) {
      for (const encoding of this.#feedback.keys()) {
        const block = encoding.reportBlock(nowUs);
        if (block) blocks.push(block);
      }
      if (this.#sendsRemb) this.#estimateBandwidth(blocks, nowUs);
    }
    if (this.#sendsRemb) {
      const ssrcs = [...this.#feedback.keys()].flatMap(({ ssrc }) => ssrc ?? []);
      extra.push(encodeRemb(SENDER_SSRC, this.#estimate.bitrateBps, ssrcs));
    }
    if (blocks.length > 0 || extra.length > 0) this.#send(compound(blocks, ...extra));
  }

  #estimateBandwidth(blocks: readonly ReportBlock[], nowUs: HostUs): void {
    const encodings = this.#heaviest?.encodings ?? [];
    const about = blocks.filter((block) => encodings.some(({ ssrc }) => ssrc === block.ssrc));
    if (about.length === 0) return;
    const { sinceUs, bytes } = this.#received;
    this.#received = { sinceUs: nowUs, bytes: 0 };
    const receivedBps = (bytes * 8 * US) / Math.max(1, nowUs - sinceUs);
    const queueMs = Math.max(...encodings.map((encoding) => this.#feedback.get(encoding)!.queueDelay.takeMs()));
    this.#estimate.onInterval({ lossRatio: this.#loss.take(about), receivedBps, queueMs });
  }
}

/** A compound packet begins with a report, which may be empty, and names its sender (RFC 3550 §6.1). */
function compound(blocks: ReportBlock[], ...rest: Buffer[]): Buffer {
  return Buffer.concat([encodeReceiverReport({ senderSsrc: SENDER_SSRC, blocks }), SOURCE_DESCRIPTION, ...rest]);
}

function sourcesOf(packet: RtcpPacket): number[] {
  if (packet.type === 'senderReport') return [packet.ssrc];
  return packet.type === 'bye' ? packet.ssrcs : [];
}
