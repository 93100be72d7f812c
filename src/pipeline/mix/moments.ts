/**
 * Moments: from which moments a later run can go on, and the checkpoint that holds the newest of them. A moment counts
 * once all that was made before it is written, so that a run that goes on from there leaves nothing out.
 */
import type { Clock } from '../../kernel/clock.ts';
import { messageOf } from '../../kernel/fault.ts';
import { type HostUs, type RecordingUs, US } from '../../kernel/time.ts';
import { SOUND_RATE } from '../../media/frame.ts';
import type { Flushed } from '../../stages/mux/slices.ts';
import { writeCheckpoint } from '../checkpoint/checkpoint-file.ts';
import type { MixCheckpoint, MixMoment } from './mix-checkpoint.ts';
import { PRIMING_SAMPLES } from './mix-output.ts';

/** From one kept moment to the next. */
const EVERY_US = 400_000;
/**
 * At the end of a slice that a crash cut off, up to this many pictures may have to be left out (`cutUnits`). Where the
 * machine is too slow for more they are up to a second apart.
 */
const UNSURE_PICTURES = 8;
/** Encoders hold back some seconds at most; while this many moments wait for one, no newer one is kept. */
const MAX_KEPT = 50;
/** How often the checkpoint is written. */
const CHECKPOINT_US = 1_000_000;
/** Media may arrive this much before the moment that it is placed at. */
const SAFE_MARGIN_US = 500_000;

export type MomentsOptions = {
  clock: Clock;
  spoolDir: string;
  /** Frames per second of the recording; one without a picture has them too. */
  fps: number;
  hasPicture: boolean;
  hasSound: boolean;
  /** No later run needs what arrived before `untilUs`. */
  onSafe(untilUs: RecordingUs): void;
  /** A checkpoint could not be written. */
  onDegraded(what: string): void;
};

export class Moments {
  readonly #o: MomentsOptions;
  #kept: MixMoment[] = [];
  /** The frames of the newest pictures, since the oldest moment that is kept. */
  #pictures: number[] = [];
  #lastUs: RecordingUs = Number.NEGATIVE_INFINITY;
  #writtenUs: HostUs = Number.NEGATIVE_INFINITY;
  #writing: Promise<void> | undefined;

  constructor(options: MomentsOptions) {
    this.#o = options;
  }

  /** Keeps a moment of `atUs`, if it is time for one again. */
  note(atUs: RecordingUs, moment: () => MixMoment | undefined): void {
    if (atUs - this.#lastUs < EVERY_US || this.#kept.length >= MAX_KEPT) return;
    const noted = moment();
    if (!noted) return;
    this.#lastUs = atUs;
    this.#kept.push(noted);
  }

  /** A picture is made for the files. */
  onPicture(frame: number): void {
    if (this.#kept.length > 0) this.#pictures.push(frame);
  }

  /**
   * Writes the newest moment that counts, if it is time for a checkpoint again.
   * @param flushed up to where the files are written
   * @param begun where this run's files begin, and what is taken from its picture now
   */
  write(flushed: Flushed, begun: Pick<MixCheckpoint, 'originUs' | 'begun' | 'rung' | 'overload'>): void {
    const { clock, spoolDir, fps, onSafe, onDegraded } = this.#o;
    const nowUs = clock.monoUs();
    if (this.#writing || nowUs - this.#writtenUs < CHECKPOINT_US) return;
    const moment = this.#takeWritten(flushed);
    if (!moment) return;
    this.#writtenUs = nowUs;
    const offsetUs = Math.min((moment.frame * US) / fps, (moment.sample * US) / SOUND_RATE);
    const heldUs = ((moment.heldSamples ?? 0) * US) / SOUND_RATE;
    this.#writing = writeCheckpoint(spoolDir, { version: 1, mode: 'mix', ...begun, moment } satisfies MixCheckpoint)
      .then(() => onSafe(begun.originUs + offsetUs + heldUs - SAFE_MARGIN_US))
      .catch((error) => onDegraded(messageOf(error)))
      .finally(() => {
        this.#writing = undefined;
      });
  }

  /** Resolves when no checkpoint is being written. */
  async settled(): Promise<void> {
    await this.#writing;
  }

  /** The newest moment before which everything is written, once. */
  #takeWritten({ video, audio }: Flushed): MixMoment | undefined {
    const { fps, hasPicture, hasSound } = this.#o;
    const frame = hasPicture ? Math.floor((video * fps) / US) : Number.POSITIVE_INFINITY;
    const sample = hasSound ? Math.floor((audio * SOUND_RATE) / US) : Number.POSITIVE_INFINITY;
    const sureUntil = this.#sureUntil(frame);
    const at = this.#kept.findLastIndex((moment) => {
      return moment.frame <= sureUntil && moment.sample <= sample - PRIMING_SAMPLES;
    });
    const newest = at < 0 ? undefined : this.#kept.splice(0, at + 1).at(-1);
    const first = this.#kept[0]?.frame ?? Number.POSITIVE_INFINITY;
    this.#pictures = this.#pictures.filter((each) => each >= first);
    return newest;
  }

  /** Up to which frame the files keep everything, where pictures before frame `written` are written. */
  #sureUntil(written: number): number {
    if (written === Number.POSITIVE_INFINITY) return written;
    return this.#pictures.filter((frame) => frame < written).at(-UNSURE_PICTURES) ?? Number.NEGATIVE_INFINITY;
  }
}
