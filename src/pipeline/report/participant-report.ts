/**
 * ParticipantReport: one user's part of a quality report: when the user was there, with which codecs and tracks, and
 * how far sound and picture are apart. Times are microseconds of the recording.
 */

import type { QualityReport } from '../../contract/line/quality-report.ts';
import type { RecordingUs } from '../../kernel/time.ts';
import type { MediaKind } from '../../media/track.ts';
import { Kept, MOST_SPANS, toMs } from './kept.ts';
import type { TrackReport } from './track-report.ts';

type ParticipantData = QualityReport['participants'][number];
type Stay = { joinedUs: RecordingUs; leftUs: RecordingUs | undefined };
type Sync = { atUs: RecordingUs; arrivalOffsetUs: number; placedOffsetUs: number; worstOffsetUs: number };

export class ParticipantReport {
  readonly uid: string;
  readonly #stays = new Kept<Stay>(MOST_SPANS);
  readonly #codecs = new Kept<{ atUs: RecordingUs; kind: MediaKind; codec: string }>(MOST_SPANS);
  readonly #codecNow = new Map<MediaKind, string>();
  readonly #tracks = new Kept<TrackReport>(MOST_SPANS);
  /** The newest track of each kind. */
  readonly #newest = new Map<MediaKind, TrackReport>();
  #unlisted = 0;
  #sync: Sync | undefined;

  constructor(uid: string) {
    this.uid = uid;
  }

  onJoined(atUs: RecordingUs): void {
    const last = this.#stays.items.at(-1);
    if (last && last.leftUs === undefined) return;
    this.#stays.add({ joinedUs: atUs, leftUs: undefined });
  }

  onLeft(atUs: RecordingUs): void {
    const last = this.#stays.items.at(-1);
    if (last) last.leftUs ??= atUs;
  }

  /** @param listed false when the recording has too many tracks to list one more */
  onTrack(track: TrackReport, listed: boolean): void {
    const { kind, codec } = track.track.format;
    if (this.#codecNow.get(kind) !== codec) this.#codecs.add({ atUs: track.startedUs, kind, codec });
    this.#codecNow.set(kind, codec);
    this.#newest.set(kind, track);
    if (listed) this.#tracks.add(track);
    else this.#unlisted++;
  }

  /** Compares the newest sound and picture, when both arrive and sender reports relate them. */
  measure(atUs: RecordingUs): void {
    const [sound, picture] = [this.#newest.get('audio'), this.#newest.get('video')];
    if (!sound?.isOpen || !picture?.isOpen) return;
    const [audio, video] = [sound.reading(), picture.reading()];
    if (audio.wallOffsetUs === undefined || video.wallOffsetUs === undefined) return;
    if (audio.placedOffsetUs === undefined || video.placedOffsetUs === undefined) return;
    const placedOffsetUs = video.placedOffsetUs - audio.placedOffsetUs;
    const worst = this.#sync?.worstOffsetUs ?? 0;
    this.#sync = {
      atUs,
      arrivalOffsetUs: video.wallOffsetUs - audio.wallOffsetUs,
      placedOffsetUs,
      worstOffsetUs: Math.abs(placedOffsetUs) > Math.abs(worst) ? placedOffsetUs : worst,
    };
  }

  report(untilUs: RecordingUs, zeroUtcMs: number): ParticipantData {
    const utc = (us: number) => Math.round(zeroUtcMs + us / 1000);
    const sync = this.#sync;
    return {
      uid: this.uid,
      presence: this.#stays.items.map(({ joinedUs, leftUs }) => ({
        joinedMs: toMs(joinedUs),
        joinedUtcMs: utc(joinedUs),
        leftMs: leftUs === undefined ? null : toMs(leftUs),
        leftUtcMs: leftUs === undefined ? null : utc(leftUs),
      })),
      morePresence: this.#stays.more,
      codecs: this.#codecs.items.map(({ atUs, kind, codec }) => ({ atMs: toMs(atUs), kind, codec })),
      sync: sync
        ? {
            measuredMs: toMs(sync.atUs),
            arrivalOffsetMs: toMs(sync.arrivalOffsetUs),
            recordedOffsetMs: toMs(sync.placedOffsetUs),
            worstRecordedOffsetMs: toMs(sync.worstOffsetUs),
          }
        : null,
      tracks: this.#tracks.items.filter((track) => !track.isEmpty).map((track) => track.report(untilUs)),
      moreTracks: this.#tracks.more + this.#unlisted,
    };
  }
}
