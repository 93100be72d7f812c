/**
 * HeldMedia: which media of single users is on hold, or refers to media that was: sound is cut to the sample and faded,
 * pictures go on with a key frame.
 */
import { type RecordingUs, US } from '../../kernel/time.ts';
import { SOUND_RATE, type Sound } from '../../media/frame.ts';
import type { Track } from '../../media/track.ts';
import { withFades } from '../../stages/compose/edges.ts';
import { type Hold, HoldLine } from '../hold-line.ts';
import { Timeline } from '../timeline.ts';
import type { PlacedSample } from './due-samples.ts';

/** Nobody asks about holds further back than this. */
const FORGET_US = 60_000_000;

export class HeldMedia {
  readonly #holds: HoldLine;
  /** Video tracks of which something was held. */
  readonly #cut = new Set<number>();
  /** Everything before is passed over. */
  #beginsUs: RecordingUs = Number.NEGATIVE_INFINITY;

  constructor(onhold: boolean) {
    this.#holds = new HoldLine(0, new Timeline(onhold));
  }

  /** As of HoldLine, in microseconds of the recording. */
  change(fromUs: RecordingUs, onhold: boolean): RecordingUs {
    return this.#holds.timeOf(this.#holds.change(this.#holds.blockAt(fromUs), onhold));
  }

  /** As of HoldLine. */
  between(fromUs: RecordingUs, untilUs: RecordingUs): Hold[] {
    return this.#holds.between(fromUs, untilUs);
  }

  /** Nothing is asked for long before `atUs` any more. */
  forget(atUs: RecordingUs): void {
    this.#holds.forget(this.#holds.blockAt(atUs - FORGET_US));
  }

  /** Nothing from before `atUs` is recorded: it is as if all of it had been on hold. */
  passUntil(atUs: RecordingUs): void {
    this.#beginsUs = atUs;
  }

  isHeld(atUs: RecordingUs): boolean {
    return atUs < this.#beginsUs || this.#holds.isHeld(this.#holds.blockAt(atUs));
  }

  /** The parts that are not on hold of a sound that begins `start` samples from the recording's zero. */
  unheld(start: number, sound: Sound): { start: number; sound: Sound }[] {
    if ((start * US) / SOUND_RATE < this.#beginsUs) return [];
    if (this.#holds.isFree) return [{ start, sound }];
    const first = Math.round(start);
    return this.#holds.unheldIn(first, sound.samples).map(({ from, to, ...edges }) => {
      const channels = sound.channels.map((samples) => samples.subarray(from - first, to - first));
      const part = withFades({ ...sound, channels, samples: to - from }, edges);
      return { start: from === first ? start : from, sound: part };
    });
  }

  /** True for a sample on hold, and for pictures after it that refer to held ones. Call it in order. */
  isCut({ track, format }: Track, { ptsUs, keyFrame }: PlacedSample): boolean {
    const isHeld = this.isHeld(ptsUs);
    if (format.kind === 'audio') return isHeld;
    if (isHeld) this.#cut.add(track);
    else if (keyFrame) this.#cut.delete(track);
    return this.#cut.has(track);
  }

  /** Whether a track's pictures can go on only with a key frame. */
  waitsForKeyFrame({ track }: Track): boolean {
    return this.#cut.has(track);
  }
}
