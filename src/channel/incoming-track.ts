/**
 * One track as its publisher agreed to send it: one stream, or under simulcast several streams of the same picture, its
 * layers. Says which stream a packet belongs to.
 */
import type { Packet } from '../media/packet.ts';
import type { TrackFormat } from '../media/track.ts';
import { parseAudioLevel } from '../stages/rtp/audio-level.ts';
import type { PictureSize } from '../stages/rtp/picture-size.ts';
import { AUDIO_LEVEL, extensionId, REPAIRED_RID, RID } from './extensions.ts';
import { IncomingStream, type StreamReport } from './incoming-stream.ts';
import { LoudestLevel } from './loudest-level.ts';
import type { Section } from './offer.ts';

export type LayerReport = StreamReport & Partial<PictureSize> & { rid?: string };

/** Of a simulcast, the figures of all layers together, with the jitter of the worst. */
export type TrackReport = StreamReport & {
  kind: TrackFormat['kind'];
  codec: TrackFormat['codec'];
  /** The loudest of the last second or so, 0 to -127, where the sender says it (RFC 6464). */
  audioLevelDbov?: number;
  /** Where there is more than one. */
  layers?: LayerReport[];
};

export class IncomingTrack {
  readonly format: TrackFormat;
  readonly rtxPayloadType: number | undefined;
  /** In the order of the offer, which says nothing of their sizes. */
  readonly streams: readonly IncomingStream[];
  readonly #ids: { rid: number | undefined; repairedRid: number | undefined; audioLevel: number | undefined };
  readonly #repairSsrcs = new Map<number, IncomingStream>();
  readonly #level = new LoudestLevel();

  /** @param senderSsrc ours, in the RTCP we send */
  constructor(section: Section, senderSsrc: number) {
    const { format, extensions } = section;
    this.format = format;
    this.rtxPayloadType = section.rtxPayloadType;
    this.streams = section.streams.map(({ rid, ssrc, rtxSsrc }) => {
      const stream = new IncomingStream({ format, rid, ssrc, senderSsrc });
      if (rtxSsrc !== undefined) this.#repairSsrcs.set(rtxSsrc, stream);
      return stream;
    });
    this.#ids = {
      rid: extensionId(extensions, RID),
      repairedRid: extensionId(extensions, REPAIRED_RID),
      audioLevel: extensionId(extensions, AUDIO_LEVEL),
    };
  }

  /**
   * The stream of a packet. Without simulcast it is the one there is, whatever the SSRC: a sender may start over with another.
   * A layer's packets say its rid at least until the sender knows that it was heard (RFC 8852 §3.3); the SSRC does after that.
   */
  streamOf(packet: Packet): IncomingStream | undefined {
    if (this.streams.length === 1) return this.streams[0];
    return this.streams.find(({ ssrc }) => ssrc === packet.ssrc) ?? this.#named(packet, this.#ids.rid);
  }

  /** The stream that a packet of the RTX payload type repeats. */
  repairedBy(packet: Packet): IncomingStream | undefined {
    if (this.streams.length === 1) return this.streams[0];
    const known = this.#repairSsrcs.get(packet.ssrc);
    if (known) return known;
    const named = this.#named(packet, this.#ids.repairedRid);
    if (named) this.#repairSsrcs.set(packet.ssrc, named);
    return named;
  }

  /** Takes what a packet says beside its media. */
  noteExtensions({ extensions, arrivalUs }: Packet): void {
    const level = this.#ids.audioLevel === undefined ? undefined : extensions?.get(this.#ids.audioLevel);
    const levelDbov = level && parseAudioLevel(level);
    if (levelDbov !== undefined) this.#level.add(levelDbov, arrivalUs);
  }

  report(nowUs: number): TrackReport {
    const reports = this.streams.map((stream) => stream.report(nowUs));
    const sum = (of: (report: StreamReport) => number) => reports.reduce((total, report) => total + of(report), 0);
    const audioLevelDbov = this.#level.at(nowUs);
    return {
      kind: this.format.kind,
      codec: this.format.codec,
      receiving: reports.some((report) => report.receiving),
      packets: sum((report) => report.packets),
      bytes: sum((report) => report.bytes),
      bitrateKbps: sum((report) => report.bitrateKbps),
      lost: sum((report) => report.lost),
      jitterMs: Math.max(...reports.map((report) => report.jitterMs)),
      ...(audioLevelDbov !== undefined && { audioLevelDbov }),
      ...(this.streams.length > 1 && {
        layers: this.streams.map(({ rid, size }, n) => ({
          ...(rid !== undefined && { rid }),
          ...size,
          ...reports[n]!,
        })),
      }),
    };
  }

  #named({ extensions }: Packet, id: number | undefined): IncomingStream | undefined {
    const rid = id === undefined ? undefined : extensions?.get(id)?.toString('latin1');
    return rid === undefined ? undefined : this.streams.find((stream) => stream.rid === rid);
  }
}
