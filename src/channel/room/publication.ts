/**
 * Publication: what a user sends of one source (a microphone, a camera or a screen) in one format. It comes in as one
 * encoding or, under simulcast, as several of the same picture.
 */
import type { HostUs } from '../../kernel/time.ts';
import type { TrackFormat } from '../../media/track.ts';
import type { PictureSize } from '../../stages/rtp/picture-size.ts';
import type { Encoding, EncodingReport } from './encoding.ts';
import { LoudestLevel } from './loudest-level.ts';

export type LayerReport = EncodingReport & Partial<PictureSize> & { rid?: string };

/** Under simulcast the figures are those of all encodings together, with the jitter of the worst. */
export type PublicationReport = EncodingReport & {
  kind: TrackFormat['kind'];
  codec: TrackFormat['codec'];
  /** The loudest level of the last second or so, 0 to -127, when the sender tells it (RFC 6464). */
  audioLevelDbov?: number;
  /** Its encodings, when there is more than one. */
  layers?: LayerReport[];
};

/** What brings a user's media into a room. */
export type Publisher = {
  readonly sessionId: string;
  readonly publications: readonly Publication[];
  /** `address:port` that its media comes from, if known. */
  remoteAddress(): string | undefined;
  /** Another publisher took this one's place. */
  onReplaced(): void;
};

export class Publication {
  readonly format: TrackFormat;
  /** In the order of the offer, which says nothing about their sizes. */
  readonly encodings: readonly Encoding[];
  readonly #level = new LoudestLevel();

  /** @param encodings at least one, all of this format */
  constructor(format: TrackFormat, encodings: readonly Encoding[]) {
    this.format = format;
    this.encodings = encodings;
  }

  /** @param levelDbov 0 to -127 */
  noteLevel(levelDbov: number, atUs: HostUs): void {
    this.#level.add(levelDbov, atUs);
  }

  report(nowUs: HostUs): PublicationReport {
    const reports = this.encodings.map((encoding) => encoding.report(nowUs));
    const sum = (of: (report: EncodingReport) => number) => reports.reduce((total, report) => total + of(report), 0);
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
      ...(this.encodings.length > 1 && {
        layers: this.encodings.map(({ rid, size }, n) => ({
          ...(rid !== undefined && { rid }),
          ...size,
          ...reports[n]!,
        })),
      }),
    };
  }
}
