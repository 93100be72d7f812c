/**
 * UserSound: what is heard of one user, decoded in order as the mixer needs it.
 */
import { US } from '../../kernel/time.ts';
import { SOUND_RATE, type Sound } from '../../media/frame.ts';
import { AudioDecoder, type SoundCodec } from '../../stages/codec/audio-decoder.ts';
import type { SliceSample } from '../../stages/mux/read-slices.ts';
import type { CastSlice } from './cast.ts';
import { type ReadSlice, SampleStream } from './sample-stream.ts';

/** A lost stretch up to this long is concealed by the decoder; longer ones stay silent. */
const MAX_CONCEALED_US = 60_000;
/** Timestamps of samples that follow each other differ by less than this. */
const JITTER_US = 1000;
/** Decoded before the mix begins, so that the decoder has found its way by then. */
const PREROLL_US = 200_000;

export class UserSound {
  readonly #channels: 1 | 2;
  readonly #stream: SampleStream;
  readonly #fromUs: number;
  #decoder: AudioDecoder | undefined;
  /** Where the last sample ended, and where the sound made of it does, which a codec's delay moves. */
  #endUs = Number.NEGATIVE_INFINITY;
  #soundEndUs = 0;

  /**
   * @param slices in order
   * @param fromUs where in the recording the mix begins
   * @param channels of the sound that is handed over
   */
  constructor(
    slices: readonly CastSlice[],
    fromUs: number,
    channels: 1 | 2,
    read: ReadSlice,
    onProblem: (what: string) => void,
  ) {
    this.#channels = channels;
    this.#fromUs = fromUs - PREROLL_US;
    const due = slices.filter((slice) => slice.startUs + slice.durationUs > this.#fromUs);
    this.#stream = new SampleStream(due, read, onProblem);
  }

  /** Decodes what begins before `untilUs` of the recording and hands it over with its start, in samples from the zero. */
  async decodeUntil(untilUs: number, use: (startSample: number, sound: Sound) => void): Promise<void> {
    for (;;) {
      const next = await this.#stream.take(untilUs - 1);
      if (!next) return;
      const { sample } = next;
      if (!isSound(sample.codec) || sample.ptsUs + sample.durationUs <= this.#fromUs) continue;
      this.#decode(sample, sample.codec, (ptsUs, sound) => use(Math.round((ptsUs * SOUND_RATE) / US), sound));
    }
  }

  async close(): Promise<void> {
    this.#decoder?.close();
    this.#decoder = undefined;
    await this.#stream.close();
  }

  #decode(sample: SliceSample, codec: SoundCodec, use: (ptsUs: number, sound: Sound) => void): void {
    if (this.#decoder?.codec !== codec) {
      this.#decoder?.close();
      this.#decoder = new AudioDecoder({ codec, channels: this.#channels });
      this.#endUs = Number.NEGATIVE_INFINITY;
    }
    const gapUs = sample.ptsUs - this.#endUs;
    // An AAC block overlaps the one before it: of another time, that would be heard.
    if (codec === 'aac' && gapUs > JITTER_US) this.#decoder.reset();
    else if (gapUs > JITTER_US && gapUs <= MAX_CONCEALED_US) use(this.#soundEndUs, this.#decoder.conceal(gapUs));
    for (const { sound, ptsUs } of this.#decoder.decode(sample)) {
      use(ptsUs, sound);
      const lengthUs = (sound.samples * US) / SOUND_RATE;
      this.#endUs = sample.ptsUs + lengthUs;
      this.#soundEndUs = ptsUs + lengthUs;
    }
  }
}

function isSound(codec: SliceSample['codec']): codec is 'opus' | 'aac' {
  return codec === 'opus' || codec === 'aac';
}
