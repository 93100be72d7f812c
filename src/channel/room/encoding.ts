/**
 * Encoding: one RTP stream of a publication as it comes in (RFC 7656 §2.1.7), the whole of it or one layer of a simulcast.
 * Keeps statistics, what recorders that come late are given first, and the last sender report; hands all on to its readers.
 */
import type { Packet } from '../../media/packet.ts';
import type { TrackFormat } from '../../media/track.ts';
import { startsKeyFrame } from '../../stages/rtp/key-frame.ts';
import { readPayloadSize } from '../../stages/rtp/payload-size.ts';
import type { PictureSize } from '../../stages/rtp/picture-size.ts';
import type { ReportBlock, SenderReport } from '../../stages/rtp/rtcp.ts';
import { ReceptionStatistics } from '../../stages/rtp/statistics.ts';
import { GopCache, type PacketCache, RecentCache } from './packet-cache.ts';

/** A stream that sent nothing for this long is not receiving. Opus with DTX sends every 400 ms. */
const QUIET_US = 1_500_000;
const BITRATE_WINDOW_US = 1_000_000;

export type EncodingReport = {
  receiving: boolean;
  packets: number;
  /** Payload bytes. */
  bytes: number;
  bitrateKbps: number;
  lost: number;
  jitterMs: number;
};

/** Who is told of all that comes in, in order. */
export type EncodingReader = {
  onPacket(encoding: Encoding, datagram: Buffer, arrivalUs: number): void;
  /** @param datagram RTCP, compound or not, that is about this encoding */
  onRtcp(encoding: Encoding, datagram: Buffer, arrivalUs: number): void;
};

export type EncodingOptions = {
  format: TrackFormat;
  /** Its name among the encodings of a simulcast (RFC 8851), if they have names. */
  rid?: string | undefined;
  /** The source that the offer names for it, if it does. */
  ssrc?: number | undefined;
  /** A key frame is wanted from the sender. Not called for audio. */
  onKeyFrameWanted(): void;
};

export class Encoding {
  readonly format: TrackFormat;
  readonly rid: string | undefined;
  readonly cache: PacketCache;
  /** The compound RTCP datagram with the last sender report. */
  lastReport: { datagram: Buffer; arrivalUs: number } | undefined;
  readonly readers = new Set<EncodingReader>();
  readonly #onKeyFrameWanted: () => void;
  #ssrc: number | undefined;
  #statistics: ReceptionStatistics | undefined;
  #lastPacketUs = Number.NEGATIVE_INFINITY;
  #totals = { packets: 0, bytes: 0, lost: 0 };
  #window = { startUs: 0, bytes: 0 };
  #bitrateKbps = 0;
  #keyTimestamp: number | undefined;
  #keyFrameUs: number | undefined;
  #size: PictureSize | undefined;

  constructor(options: EncodingOptions) {
    this.format = options.format;
    this.rid = options.rid;
    this.#ssrc = options.ssrc;
    this.#onKeyFrameWanted = options.onKeyFrameWanted;
    this.cache = options.format.kind === 'video' ? new GopCache() : new RecentCache();
  }

  /** The source of its packets: the one last heard, or before that the one that was announced. */
  get ssrc(): number | undefined {
    return this.#ssrc;
  }

  /** When the last key frame of this source began to come in, monotonic microseconds. */
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

  /** @param datagram that `packet` was parsed of */
  take(packet: Packet, datagram: Buffer): void {
    const { format } = this;
    const { arrivalUs } = packet;
    if (this.#statistics?.ssrc !== packet.ssrc) this.#startSource(packet.ssrc);
    this.#statistics!.onPacket(packet, format.clockRate);
    this.#lastPacketUs = arrivalUs;
    this.#measureBitrate(arrivalUs, packet.payload.length);
    const startsKey = format.kind === 'video' && startsKeyFrame(format.codec, packet.payload);
    if (startsKey) {
      if (packet.timestamp !== this.#keyTimestamp) {
        this.#keyTimestamp = packet.timestamp;
        this.#keyFrameUs = arrivalUs;
      }
      this.#size = readPayloadSize(format.codec, packet.payload) ?? this.#size;
    }
    this.cache.add({
      datagram,
      arrivalUs,
      sequence: packet.sequence,
      timestamp: packet.timestamp,
      startsKeyFrame: startsKey,
    });
    // The key frame that the sender began with was lost, or went out before we could hear it.
    if (this.#keyTimestamp === undefined) this.wantKeyFrame();
    for (const reader of this.readers) reader.onPacket(this, datagram, arrivalUs);
  }

  /** Takes RTCP that is about this encoding, with the sender report in it, if there is one. */
  takeRtcp(datagram: Buffer, report: SenderReport | undefined, arrivalUs: number): void {
    if (report) {
      this.lastReport = { datagram, arrivalUs };
      if (this.#statistics?.ssrc === report.ssrc) this.#statistics.onSenderReport(report, arrivalUs);
    }
    for (const reader of this.readers) reader.onRtcp(this, datagram, arrivalUs);
  }

  /** Has the sender asked for a key frame. Does nothing for audio. */
  wantKeyFrame(): void {
    if (this.format.kind === 'video') this.#onKeyFrameWanted();
  }

  /** The block for the next receiver report; each call ends an interval. */
  reportBlock(nowUs: number): ReportBlock | undefined {
    return this.#statistics?.reportBlock(nowUs);
  }

  report(nowUs: number): EncodingReport {
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
