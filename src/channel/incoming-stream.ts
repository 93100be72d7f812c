/**
 * One RTP stream as it comes in from its publisher, a whole track or one layer of it: statistics, repair (NACK, PLI), the
 * cache for recorders that come late, and the last sender report. It writes RTCP and leaves sending it to the publisher.
 */
import type { Packet } from '../media/packet.ts';
import type { TrackFormat } from '../media/track.ts';
import { startsKeyFrame } from '../stages/rtp/key-frame.ts';
import { NackGenerator } from '../stages/rtp/nack.ts';
import { readPayloadSize } from '../stages/rtp/payload-size.ts';
import type { PictureSize } from '../stages/rtp/picture-size.ts';
import { encodeNack, encodePictureLossIndication, type ReportBlock, type SenderReport } from '../stages/rtp/rtcp.ts';
import { ReceptionStatistics } from '../stages/rtp/statistics.ts';
import { QueueDelay } from './bandwidth.ts';
import { KeyFrameRequests } from './key-frame-requests.ts';
import { GopCache, type PacketCache, RecentCache } from './packet-cache.ts';

/** A recorder waits 1.7 s for a missing packet; what is asked for later than this comes when it is of use to nobody. */
const NACK_OPTIONS = { maxAgeMs: 1600, maxTries: 10 };
/** A stream that sent nothing for this long is not receiving. Opus with DTX sends every 400 ms. */
const QUIET_US = 1_500_000;
const BITRATE_WINDOW_US = 1_000_000;

export type StreamReport = {
  receiving: boolean;
  packets: number;
  /** Payload bytes. */
  bytes: number;
  bitrateKbps: number;
  lost: number;
  jitterMs: number;
};

export class IncomingStream {
  readonly format: TrackFormat;
  /** Its name among the layers of a simulcast (RFC 8851), if they have names. */
  readonly rid: string | undefined;
  readonly cache: PacketCache;
  readonly queueDelay = new QueueDelay();
  /** The compound RTCP datagram with the last sender report. */
  lastReport: { datagram: Buffer; arrivalUs: number } | undefined;
  readonly #senderSsrc: number;
  readonly #keyFrames = new KeyFrameRequests();
  #ssrc: number | undefined;
  #statistics: ReceptionStatistics | undefined;
  #nack = new NackGenerator(NACK_OPTIONS);
  #lastPacketUs = Number.NEGATIVE_INFINITY;
  #totals = { packets: 0, bytes: 0, lost: 0 };
  #window = { startUs: 0, bytes: 0 };
  #bitrateKbps = 0;
  #keyTimestamp: number | undefined;
  #keyFrameUs: number | undefined;
  #size: PictureSize | undefined;

  /**
   * @param ssrc the source the offer names for the stream, if it does
   * @param senderSsrc ours, in the RTCP we send
   */
  constructor(options: {
    format: TrackFormat;
    rid?: string | undefined;
    ssrc: number | undefined;
    senderSsrc: number;
  }) {
    this.format = options.format;
    this.rid = options.rid;
    this.#ssrc = options.ssrc;
    this.#senderSsrc = options.senderSsrc;
    this.cache = options.format.kind === 'video' ? new GopCache() : new RecentCache();
  }

  /** The source of its packets: the one last heard, or before that the one that was announced. */
  get ssrc(): number | undefined {
    return this.#ssrc;
  }

  /** When the last key frame began to come in, monotonic microseconds. */
  get keyFrameUs(): number | undefined {
    return this.#keyFrameUs;
  }

  /** Of its pictures, where the last key frame told it. */
  get size(): PictureSize | undefined {
    return this.#size;
  }

  get lastPacketUs(): number {
    return this.#lastPacketUs;
  }

  /** Over the last second in which it sent. */
  get bitrateKbps(): number {
    return this.#bitrateKbps;
  }

  /** True until the first packet, and for video until the first key frame. */
  get awaitsStart(): boolean {
    return this.format.kind === 'video' ? this.#keyTimestamp === undefined : this.#statistics === undefined;
  }

  onPacket(packet: Packet, datagram: Buffer): void {
    const { arrivalUs } = packet;
    if (this.#statistics?.ssrc !== packet.ssrc) this.#startSource(packet.ssrc);
    this.#statistics!.onPacket(packet, this.format.clockRate);
    this.#nack.onPacket(packet.sequence, arrivalUs);
    this.#lastPacketUs = arrivalUs;
    this.#measureBitrate(arrivalUs, packet.payload.length);
    const isKeyStart = this.format.kind === 'video' && startsKeyFrame(this.format.codec, packet.payload);
    if (isKeyStart && packet.timestamp !== this.#keyTimestamp) {
      this.#keyTimestamp = packet.timestamp;
      this.#keyFrameUs = arrivalUs;
      this.#keyFrames.onKeyFrame();
    }
    if (isKeyStart && this.format.kind === 'video')
      this.#size = readPayloadSize(this.format.codec, packet.payload) ?? this.#size;
    this.queueDelay.onPacket(packet.timestamp, arrivalUs, this.format.clockRate);
    this.cache.add({
      datagram,
      arrivalUs,
      sequence: packet.sequence,
      timestamp: packet.timestamp,
      startsKeyFrame: isKeyStart,
    });
  }

  onSenderReport(report: SenderReport, datagram: Buffer, arrivalUs: number): void {
    this.lastReport = { datagram, arrivalUs };
    if (this.#statistics?.ssrc === report.ssrc) this.#statistics.onSenderReport(report, arrivalUs);
  }

  /** Asks for a key frame as soon as the limit of requests allows. Does nothing for audio. */
  wantKeyFrame(): void {
    if (this.format.kind === 'video') this.#keyFrames.want();
  }

  /** The block for the next receiver report; each call ends an interval. */
  reportBlock(nowUs: number): ReportBlock | undefined {
    return this.#statistics?.reportBlock(nowUs);
  }

  /** Feedback that is due now. */
  feedback(nowUs: number): Buffer[] {
    if (this.#ssrc === undefined) return [];
    const out: Buffer[] = [];
    if (this.#nack.missing > 0) {
      const lost = this.#nack.due(nowUs);
      if (lost.length > 0) out.push(encodeNack(this.#senderSsrc, this.#ssrc, lost));
    }
    if (this.#keyFrames.due(nowUs)) out.push(encodePictureLossIndication(this.#senderSsrc, this.#ssrc));
    return out;
  }

  report(nowUs: number): StreamReport {
    const receiving = nowUs - this.#lastPacketUs < QUIET_US;
    return {
      receiving,
      packets: this.#totals.packets + (this.#statistics?.packets ?? 0),
      bytes: this.#totals.bytes + (this.#statistics?.bytes ?? 0),
      bitrateKbps: receiving ? this.#bitrateKbps : 0,
      lost: this.#totals.lost + (this.#statistics?.lost ?? 0),
      jitterMs: this.#statistics?.jitterMs ?? 0,
    };
  }

  #startSource(ssrc: number): void {
    const former = this.#statistics;
    if (former) {
      this.#totals.packets += former.packets;
      this.#totals.bytes += former.bytes;
      this.#totals.lost += former.lost;
      this.cache.clear();
      this.lastReport = undefined;
      this.#keyTimestamp = undefined;
      this.#keyFrameUs = undefined;
    }
    this.#ssrc = ssrc;
    this.#statistics = new ReceptionStatistics(ssrc);
    this.#nack = new NackGenerator(NACK_OPTIONS);
  }

  #measureBitrate(arrivalUs: number, bytes: number): void {
    const spanUs = arrivalUs - this.#window.startUs;
    if (spanUs >= BITRATE_WINDOW_US) {
      // After a pause the window is not one of sending.
      if (spanUs < 2 * BITRATE_WINDOW_US) this.#bitrateKbps = Math.round((this.#window.bytes * 8000) / spanUs);
      this.#window = { startUs: arrivalUs, bytes: 0 };
    }
    this.#window.bytes += bytes;
  }
}
