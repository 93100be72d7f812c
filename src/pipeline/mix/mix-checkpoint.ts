/**
 * What a composite recording's run keeps in its checkpoint, and when it may: a moment counts once all that was made
 * before it is written, so that a run that goes on from there leaves nothing out.
 */

import { z } from 'zod';
import { activeSpeakerStateSchema } from '../../contract/line/active-speaker-state.ts';
import { channelStateSchema } from '../../contract/line/channel-state.ts';
import { soundMixerStateSchema } from '../../contract/line/sound-mixer-state.ts';
import type { RecordingUs } from '../../kernel/time.ts';
import { SOUND_RATE } from '../../media/frame.ts';
import type { Flushed } from '../../stages/mux/slices.ts';
import { PRIMING_SAMPLES } from './mix-output.ts';

/** A moment of the recording: the next frame and the next sample, counted from where its files begin. */
const momentMembers = { frame: z.int(), sample: z.int() };

export const mixCheckpointSchema = z.object({
  version: z.literal(1),
  mode: z.literal(['mix', 'web']),
  /** Where the files begin, microseconds of the recording. */
  originUs: z.number(),
  /** Where this run's files begin, and whether they go on from an earlier run's. */
  begun: z.object({ ...momentMembers, continues: z.boolean() }),
  /**
   * Of a web page: how much of the recording before `heldAtUs` was on hold and is in no file, microseconds. Without
   * `heldAtUs` (of the version before) nothing more was on hold until the next run.
   */
  heldUs: z.number().optional(),
  heldAtUs: z.number().optional(),
  /** All that is needed to go on from a moment; absent before there is one. */
  moment: z
    .object({
      ...momentMembers,
      /** How much of the recording before it was on hold, samples; it may lie within a hold. */
      heldSamples: z.int().optional(),
      channel: channelStateSchema,
      mixer: soundMixerStateSchema.optional(),
      speaker: activeSpeakerStateSchema.optional(),
    })
    .optional(),
});
export type MixCheckpoint = z.infer<typeof mixCheckpointSchema>;
export type MixMoment = NonNullable<MixCheckpoint['moment']>;

/** From one kept moment to the next. */
const EVERY_US = 400_000;
/** Of a slice that is cut off, so many pictures at its end may have to be left out (`cutUnits`). */
const UNSURE_FRAMES = 12;
/** Encoders hold some seconds at most; of slower ones the newest moments are left out. */
const MAX_KEPT = 50;

export class Moments {
  readonly #fps: number | undefined;
  #kept: MixMoment[] = [];
  #lastUs = Number.NEGATIVE_INFINITY;

  /** @param fps of the picture; undefined in a recording without one */
  constructor(fps: number | undefined) {
    this.#fps = fps;
  }

  /** Keeps a moment of `atUs`, if it is time for one again. */
  note(atUs: RecordingUs, moment: () => MixMoment | undefined): void {
    if (atUs - this.#lastUs < EVERY_US || this.#kept.length >= MAX_KEPT) return;
    const noted = moment();
    if (!noted) return;
    this.#lastUs = atUs;
    this.#kept.push(noted);
  }

  /** The newest moment before which everything is written, once. */
  takeWritten({ video, audio }: Flushed, hasSound: boolean): MixMoment | undefined {
    const frame = this.#fps === undefined ? Number.POSITIVE_INFINITY : Math.floor((video * this.#fps) / 1e6);
    const sample = hasSound ? Math.floor((audio * SOUND_RATE) / 1e6) : Number.POSITIVE_INFINITY;
    const isWritten = (moment: MixMoment) =>
      moment.frame <= frame - UNSURE_FRAMES && moment.sample <= sample - PRIMING_SAMPLES;
    const at = this.#kept.findLastIndex(isWritten);
    return at < 0 ? undefined : this.#kept.splice(0, at + 1).at(-1);
  }
}
