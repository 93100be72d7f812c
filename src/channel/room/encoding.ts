/**
 * Encoding: one RTP stream of a publication as it comes in (RFC 7656 §2.1.7), the whole publication or one layer of a
 * simulcast. It keeps statistics and a log of its packets, back to what somebody may still want, and tells its readers
 * of each packet.
 */
import type { HostUs } from '../../kernel/time.ts';
import type { Packet } from '../../media/packet.ts';
import type { TrackFormat } from '../../media/track.ts';
import { DecoderSets } from '../../stages/rtp/decoder-sets.ts';
import { encodePacket } from '../../stages/rtp/encode-packet.ts';
import { startsKeyFrame } from '../../stages/rtp/key-frame.ts';
import { parsePacket } from '../../stages/rtp/parse-packet.ts';
import { readPayloadSize } from '../../stages/rtp/payload-size.ts';
import type { PictureSize } from '../../stages/rtp/picture-size.ts';
import type { ReportBlock, SenderReport } from '../../stages/rtp/rtcp.ts';
import { ReceptionStatistics } from '../../stages/rtp/statistics.ts';
import type { PacketArena } from './packet-arena.ts';
import { PacketLog, type PacketLogBounds } from './packet-log.ts';
import { PictureWatch } from './picture-watch.ts';

/** A stream that sent nothing for this long is not receiving. Opus with DTX sends every 400 ms. */
const QUIET_US = 1_500_000;
const BITRATE_WINDOW_US = 1_000_000;
/** The log is trimmed this often. */
const TRIM_US = 250_000;
/** What a key frame brings for its decoding is looked for in so many of its first packets. */
const MAX_SCANNED = 16;

export type EncodingReport = {
  receiving: boolean;
  packets: number;
  /** Payload bytes. */
  bytes: number;
  bitrateKbps: number;
  lost: number;
  jitterMs: number;
};

/** Told of everything that comes in, in order. */
export type EncodingReader = {
  /** @param index of the packet in the encoding's log */
  onPacket(encoding: Encoding, index: number): void;
  /** RTCP that says something of this encoding was added to its log; it may be a compound. */
  onRtcp(encoding: Encoding): void;
  /** The first index of the encoding's log that this reader may read again; infinity when there is none. */
  needs(encoding: Encoding): number;
};

/** The memory of an encoding's log, and the log's bounds. */
export type LogMemory = { arena: PacketArena; bounds: PacketLogBounds };

export type EncodingOptions = {
  format: TrackFormat;
  /** Its name among the encodings of a simulcast (RFC 8851), if the offer names them. */
  rid?: string | undefined;
  /** Its SSRC, if the offer names it. */
  ssrc?: number | undefined;
  /** Whether it is one of several encodings of its publication: then its pictures are watched, to choose among them. */
  isLayer?: boolean;
  memory: LogMemory;
  /** A key frame is wanted from the sender. Not called for audio. */
  onKeyFrameWanted(): void;
};

export class Encoding {
  readonly format: TrackFormat;
  readonly rid: string | undefined;
  readonly log: PacketLog;
  readonly readers = new Set<EncodingReader>();
  readonly #onKeyFrameWanted: () => void;
  #ssrc: number | undefined;
  #statistics: ReceptionStatistics | undefined;
  #lastPacketUs = Number.NEGATIVE_INFINITY;
  #totals = { packets: 0, bytes: 0, lost: 0 };
  #window = { startUs: 0, bytes: 0 };
  #bitrateKbps = 0;
  #keyTimestamp: number | undefined;
  #keyFrameUs: HostUs | undefined;
  readonly #pictures: PictureWatch | undefined;
  readonly #sets: DecoderSets | undefined;
  #lastPictureUs = Number.NEGATIVE_INFINITY;
  #firstKeyFrameUs: HostUs | undefined;
  #trimmedUs = Number.NEGATIVE_INFINITY;
  #ended = false;
  #size: PictureSize | undefined;

  constructor(options: EncodingOptions) {
    this.format = options.format;
    this.rid = options.rid;
    this.#ssrc = options.ssrc;
    this.#onKeyFrameWanted = options.onKeyFrameWanted;
    if (options.format.kind === 'video') {
      if (options.isLayer) this.#pictures = new PictureWatch(options.format.codec);
      this.#sets = new DecoderSets(options.format.codec);
    }
    this.log = new PacketLog({ ...options.memory, hasKeyFrames: options.format.kind === 'video' });
  }

  /** The SSRC of its packets: the one heard last, or the announced one before any was heard. */
  get ssrc(): number | undefined {
    return this.#ssrc;
  }

  /** Whether any packet of it came in. */
  get isHeard(): boolean {
    return this.#statistics !== undefined;
  }

  /** When the last key frame from this source began to come in, monotonic microseconds. */
  get keyFrameUs(): HostUs | undefined {
    return this.#keyFrameUs;
  }

  /** RTP timestamp of that key frame. */
  get keyFrameTimestamp(): number | undefined {
    return this.#keyTimestamp;
  }

  /** Whether a key frame from this source is kept. */
  get hasKeyFrame(): boolean {
    return this.#keyFrameUs !== undefined && this.log.hasStart;
  }

  /** When its first key frame began to come in. */
  get firstKeyFrameUs(): HostUs | undefined {
    return this.#firstKeyFrameUs;
  }

  /** Size of its pictures, if the last key frame told it. */
  get size(): PictureSize | undefined {
    return this.#size;
  }

  /** When the last packet of a whole picture came in; known only for a layer. */
  get lastPictureUs(): HostUs {
    return this.#lastPictureUs;
  }

  /** Bitrate over the last second in which it sent. */
  get bitrateKbps(): number {
    return this.#bitrateKbps;
  }

  /** @param datagram the bytes that `packet` was parsed from */
  take(packet: Packet, datagram: Buffer): void {
    const { format } = this;
    const { arrivalUs } = packet;
    if (this.#statistics?.ssrc !== packet.ssrc) this.#startSource(packet.ssrc);
    this.#statistics!.onPacket(packet, format.clockRate);
    this.#lastPacketUs = arrivalUs;
    this.#measureBitrate(arrivalUs, packet.payload.length);
    const index = this.log.append('rtp', datagram, packet.sequence, arrivalUs);
    this.#sets?.note(packet.payload, index);
    if (this.#pictures?.onPacket(packet)) this.#lastPictureUs = arrivalUs;
    const startsKey = format.kind === 'video' && startsKeyFrame(format.codec, packet.payload);
    if (startsKey) {
      if (packet.timestamp !== this.#keyTimestamp) {
        this.#keyTimestamp = packet.timestamp;
        this.#keyFrameUs = arrivalUs;
        this.#firstKeyFrameUs ??= arrivalUs;
        this.log.startGroup();
      }
      this.#size = readPayloadSize(format.codec, packet.payload) ?? this.#size;
    }
    // The first key frame was lost, was sent before we could hear it, or was given up at a bound.
    if (!this.hasKeyFrame) this.wantKeyFrame();
    for (const reader of this.readers) reader.onPacket(this, index);
    if (arrivalUs - this.#trimmedUs >= TRIM_US) this.trim(arrivalUs);
  }

  /** Takes RTCP about this encoding, with the sender report that it holds, if it holds one. */
  takeRtcp(datagram: Buffer, report: SenderReport | undefined, arrivalUs: HostUs): void {
    if (report && this.#statistics?.ssrc === report.ssrc) this.#statistics.onSenderReport(report, arrivalUs);
    this.log.append('rtcp', datagram, 0, arrivalUs);
    for (const reader of this.readers) reader.onRtcp(this);
  }

  /** Asks the sender for a key frame. Does nothing for audio. */
  wantKeyFrame(): void {
    if (this.format.kind === 'video') this.#onKeyFrameWanted();
  }

  /**
   * What the key frame at `index` needs for its decoding and does not bring itself, because it came in earlier: packets
   * to put before that key frame, as if they were the first of its picture.
   */
  setsBefore(index: number): Buffer[] {
    const { log } = this;
    if (!this.#sets || index >= log.end) return [];
    const first = parsePacket(log.datagram(index), log.arrivalUs(index));
    const payloads: Buffer[] = [];
    for (let n = index; n < Math.min(log.end, index + MAX_SCANNED); n++) {
      if (log.kind(n) !== 'rtp') continue;
      const packet = parsePacket(log.datagram(n), log.arrivalUs(n));
      if (packet.timestamp !== first.timestamp) break;
      payloads.push(packet.payload);
    }
    if (!payloads.some((payload) => this.format.kind === 'video' && startsKeyFrame(this.format.codec, payload)))
      return [];
    const { payloadType, ssrc, timestamp, sequence } = first;
    return this.#sets.missingFrom(index, payloads).map((payload, n, all) => {
      const before = (sequence - all.length + n) & 0xffff;
      return encodePacket({ payloadType, ssrc, timestamp, sequence: before, marker: false, payload });
    });
  }

  /** Nothing comes in any more; only what readers may still read again is kept. */
  end(nowUs: HostUs): void {
    this.#ended = true;
    this.trim(nowUs);
  }

  /** Forgets what no reader needs and no newcomer would be given. */
  trim(nowUs: HostUs): void {
    this.#trimmedUs = nowUs;
    let from = this.#ended ? this.log.end : this.log.startOf(nowUs);
    for (const reader of this.readers) from = Math.min(from, reader.needs(this));
    this.log.trimTo(from);
    this.log.holdBounds(nowUs);
    this.#sets?.forgetBefore(this.log.first);
  }

  /** The block for the next receiver report; each call ends an interval. */
  reportBlock(nowUs: HostUs): ReportBlock | undefined {
    return this.#statistics?.reportBlock(nowUs);
  }

  report(nowUs: HostUs): EncodingReport {
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
      this.log.startSource();
      this.#keyTimestamp = undefined;
      this.#keyFrameUs = undefined;
    }
    this.#ssrc = ssrc;
    this.#statistics = new ReceptionStatistics(ssrc);
  }

  #measureBitrate(arrivalUs: HostUs, bytes: number): void {
    const spanUs = arrivalUs - this.#window.startUs;
    if (spanUs >= BITRATE_WINDOW_US) {
      // A window that a pause made longer does not count.
      if (spanUs < 2 * BITRATE_WINDOW_US) this.#bitrateKbps = Math.round((this.#window.bytes * 8000) / spanUs);
      this.#window = { startUs: arrivalUs, bytes: 0 };
    }
    this.#window.bytes += bytes;
  }
}
