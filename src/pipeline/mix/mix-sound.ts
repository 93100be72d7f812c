/**
 * MixSound: the sound of a composite recording over time. What users say is mixed and handed over block by block, each
 * with its place in the files, where holds are left out. On the way it finds out who speaks.
 */
import type { MixPlan } from '../../contract/line/plan.ts';
import { type Stereo, sideOf } from '../../contract/line/stereo.ts';
import { type RecordingUs, US } from '../../kernel/time.ts';
import { SOUND_RATE, type Sound } from '../../media/frame.ts';
import { ActiveSpeaker } from '../../stages/compose/active-speaker.ts';
import { withFades } from '../../stages/compose/edges.ts';
import { SoundMixer } from '../../stages/compose/sound-mixer.ts';
import type { HoldLine } from '../hold-line.ts';
import { Timeline } from '../timeline.ts';
import type { MixMoment } from './mix-checkpoint.ts';
import { AUDIO_BLOCK } from './mix-output.ts';
import type { Participants } from './participants.ts';

/** Sound is decoded this far before it is mixed, so that a block's neighbours are there. */
const AHEAD_US = 120_000;
/** Sound may come in this much behind the newest that was mixed; until then it is known which side it belongs to. */
const LATE_US = 2_000_000;

/** Where a block of sound is: its number in the recording, its first sample in the files, and what was held before. */
export type SoundPlace = { block: number; sample: number; heldSamples: number };

/** What a run keeps of the sound, for a run that goes on from there. */
type SoundState = Pick<MixMoment, 'mixer' | 'speaker'>;

export class MixSound {
  readonly #participants: Pick<Participants, 'soundUntil' | 'presentAt'>;
  /** Undefined in a recording without sound. */
  readonly #mixer: SoundMixer | undefined;
  readonly #stereo: Timeline<Stereo | undefined>;
  /** Who speaks; undefined in a recording without sound or without a picture. */
  readonly #speaker: ActiveSpeaker | undefined;
  /** Undefined until the files begin. */
  #holds: HoldLine | undefined;
  /** The next sample that the mixer hands over, counted from the recording's zero. */
  #at = 0;

  constructor({ audio, video, stereo }: MixPlan, participants: Pick<Participants, 'soundUntil' | 'presentAt'>) {
    this.#participants = participants;
    this.#mixer = audio && new SoundMixer({ channels: audio.channels });
    this.#stereo = new Timeline(stereo);
    this.#speaker = audio && video && new ActiveSpeaker();
  }

  /** Who has spoken, the last one first. */
  get spoke(): readonly string[] {
    return this.#speaker?.recent ?? [];
  }

  /** Up to where sound was handed over. */
  get reachedUs(): RecordingUs {
    return (this.#at * US) / SOUND_RATE;
  }

  /** Where the next block is. */
  get place(): SoundPlace {
    const passed = this.#at - (this.#holds?.originSample ?? 0);
    const block = passed / AUDIO_BLOCK;
    const heldSamples = (this.#holds?.heldBefore(block) ?? 0) * AUDIO_BLOCK;
    return { block, sample: passed - heldSamples, heldSamples };
  }

  /**
   * Begins where the files do, or goes on later.
   * @param passed samples of the recording since the files' beginning
   * @param state of the run that it goes on from; without one, nothing was heard yet
   */
  begin(holds: HoldLine, passed = 0, state: SoundState = {}): void {
    this.#holds = holds;
    this.#at = holds.originSample + passed;
    if (state.mixer) this.#mixer?.restore(state.mixer);
    else this.#mixer?.seek(this.#at);
    if (state.speaker) this.#speaker?.restore(state.speaker);
    else this.#speaker?.seek(this.#at);
  }

  /** What a run needs that goes on from here. */
  save(): SoundState {
    return { mixer: this.#mixer?.save(), speaker: this.#speaker?.save() };
  }

  /** As of Timeline, of which side each user is heard on. */
  changeStereo(fromUs: RecordingUs, stereo: Stereo | undefined): void {
    this.#stereo.change(fromUs, stereo);
  }

  /** Decodes sound up to what a frame at `atUs` needs of it, and finds out who speaks then. */
  hear(atUs: RecordingUs): void {
    const [mixer, speaker] = [this.#mixer, this.#speaker];
    if (!mixer) return;
    this.#participants.soundUntil(atUs + AHEAD_US, (uid, start, sound) => {
      speaker?.add(uid, start, sound);
      return mixer.add(uid, start, sound, sideOf(this.#stereo.at((start * US) / SOUND_RATE), uid));
    });
    speaker?.advance(atUs, (us) => this.#participants.presentAt(us));
  }

  /** Hands over whole blocks that end before `untilUs`, but none on hold, with their first sample in the files. */
  async take(untilUs: RecordingUs, write: (sound: Sound, sample: number) => Promise<void>): Promise<void> {
    const [mixer, holds] = [this.#mixer, this.#holds];
    if (!holds) return;
    this.hear(untilUs);
    while (((this.#at + AUDIO_BLOCK) * US) / SOUND_RATE <= untilUs) {
      const { block, sample } = this.place;
      const sound = mixer?.take(AUDIO_BLOCK);
      this.#at += AUDIO_BLOCK;
      if (!sound || holds.isHeld(block)) continue;
      await write(withFades(sound, holds.edgesOf(block)), sample);
    }
  }

  /** No frame before `atUs` is made any more. */
  forget(atUs: RecordingUs): void {
    this.#stereo.forget(atUs - LATE_US);
  }
}
