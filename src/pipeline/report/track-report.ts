/**
 * TrackReport: notes what becomes of one received track. Lines tell it of packets, pictures and sound; it reads what
 * the track's reception and clock count themselves. Times are microseconds of the recording.
 */

import type { GapReason, TrackReportData } from '../../contract/line/quality-report.ts';
import type { RecordingUs, RtpTicks } from '../../kernel/time.ts';
import type { Packet } from '../../media/packet.ts';
import type { Track } from '../../media/track.ts';
import type { ClockReading } from '../../stages/rtp/sender-clock.ts';
import type { ReceptionCounters } from '../../stages/rtp/track-reception.ts';
import { GapWatch } from './gap-watch.ts';
import type { HeldIn } from './hold-watch.ts';
import { toMs } from './kept.ts';
import { PictureWatch, type ShownPicture } from './picture-watch.ts';
import { type PlacedSound, SoundWatch } from './sound-watch.ts';

export type TrackEnd = NonNullable<TrackReportData['endedBy']>;
/** Gives the track's counters and clock. */
export type TrackSource = { counters(): ReceptionCounters; clock(): ClockReading };

const NO_COUNTERS: ReceptionCounters = {
  ...{ packets: 0, lost: 0, recovered: 0, reordered: 0, duplicates: 0, late: 0, overflowed: 0, restarts: 0 },
  ...{ otherPayloadTypes: 0, damaged: 0, withheld: 0, samples: 0 },
};
const NO_READING: ClockReading = {
  ...{ hasReports: false, wallOffsetUs: undefined, placedOffsetUs: undefined, skewPpm: undefined, observedUs: 0 },
};

export class TrackReport {
  readonly track: Track;
  readonly startedUs: RecordingUs;
  readonly #gaps: GapWatch;
  readonly #pictures: PictureWatch | undefined;
  readonly #sounds: SoundWatch | undefined;
  #source: TrackSource | undefined;
  #counters = NO_COUNTERS;
  #reading = NO_READING;
  #end: { atUs: RecordingUs; by: TrackEnd } | undefined;

  /** @param heldIn how much of a span the recording was on hold */
  constructor(track: Track, startedUs: RecordingUs, heldIn?: HeldIn) {
    this.track = track;
    this.startedUs = startedUs;
    this.#gaps = new GapWatch(track.format.clockRate, heldIn);
    if (track.format.kind === 'video') this.#pictures = new PictureWatch(heldIn);
    else this.#sounds = new SoundWatch(heldIn);
  }

  /** True until nothing more will be told. */
  get isOpen(): boolean {
    return this.#source !== undefined;
  }

  /** Whether it was over before it was wanted, so that nothing of it is recorded. */
  get isEmpty(): boolean {
    return this.#end !== undefined && this.#end.atUs < this.startedUs;
  }

  /** From now until `close`, counters and clock are read from `source`. */
  readFrom(source: TrackSource): void {
    this.#source = source;
  }

  /**
   * A useful packet came.
   * @param rtpTime its unwrapped timestamp
   */
  onPacket({ ssrc, sequence }: Packet, rtpTime: RtpTicks, atUs: RecordingUs): void {
    this.#gaps.onPacket({ ssrc, sequence, rtpTime, atUs });
  }

  /** A packet without media came: padding, or headers alone. */
  onEmpty(): void {
    this.#gaps.onEmpty();
  }

  /** Whether a key frame is wanted; told at every turn of the line. */
  onKeyFrameWanted(wanted: boolean, atUs: RecordingUs): void {
    this.#pictures?.onKeyFrameWanted(wanted, atUs);
  }

  /** A good picture is shown, or written, from `atUs` on. */
  onPicture(atUs: RecordingUs, picture: ShownPicture): void {
    this.#pictures?.onPicture(atUs, picture);
  }

  /** The pictures after the latest cannot be shown, until the next `onPicture`. */
  onHold(why: 'loss' | 'damage'): void {
    this.#pictures?.onHold(why);
  }

  onSound(sound: PlacedSound): void {
    this.#sounds?.onSound(sound);
  }

  /**
   * What comes later does not belong to the track; its line may still use what came before. The earliest end counts.
   */
  onEnd(atUs: RecordingUs, by: TrackEnd): void {
    if (!this.#end || atUs < this.#end.atUs) this.#end = { atUs, by };
  }

  /** The track is wanted again before its line was closed. */
  onResume(): void {
    this.#end = undefined;
  }

  /** The line is done with the track. Calling it again does nothing. */
  close(): void {
    this.#read();
    this.#source = undefined;
  }

  /** What is known of the track's clock. */
  reading(): ClockReading {
    this.#read();
    return this.#reading;
  }

  /** @param nowUs where an open track is cut off */
  report(nowUs: RecordingUs): TrackReportData {
    this.#read();
    const end = this.#end;
    const untilUs = end?.atUs ?? nowUs;
    const { kind, codec } = this.track.format;
    const counters = this.#counters;
    const reading = this.#reading;
    const gaps = this.#gaps.until(untilUs, openReason(end?.by));
    const skew = reading.skewPpm;
    return {
      track: this.track.track,
      kind,
      codec,
      startedMs: toMs(this.startedUs),
      endedMs: end ? toMs(end.atUs) : null,
      endedBy: end?.by ?? null,
      reception: {
        packets: counters.packets,
        // A sender that begins anew leaves a hole of one in the numbers where nothing was lost.
        lost: Math.max(0, counters.lost - counters.restarts),
        recovered: counters.recovered,
        reordered: counters.reordered,
        late: counters.late,
        duplicates: counters.duplicates,
        overflowed: counters.overflowed,
        otherPayloadTypes: counters.otherPayloadTypes,
        restarts: counters.restarts,
        frames: counters.samples,
        damaged: counters.damaged,
        withheld: counters.withheld,
      },
      clock: {
        source: reading.hasReports ? 'senderReports' : 'arrival',
        skewPpm: skew === undefined ? null : Math.round(skew * 10) / 10 + 0,
        observedMs: toMs(reading.observedUs),
      },
      gaps: gaps.gaps.map(({ fromUs, durationUs, why }) => ({
        fromMs: toMs(fromUs),
        durationMs: toMs(durationUs),
        why,
      })),
      moreGaps: gaps.more,
      gapMs: toMs(gaps.totalUs),
      ...(this.#pictures && { video: this.#pictures.until(untilUs, !this.isOpen) }),
      ...(this.#sounds && { audio: this.#sounds.read() }),
    };
  }

  #read(): void {
    if (!this.#source) return;
    this.#counters = this.#source.counters();
    this.#reading = this.#source.clock();
  }
}

function openReason(by: TrackEnd | undefined): GapReason {
  return by === 'left' || by === 'ended' ? by : 'open';
}
