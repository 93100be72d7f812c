/** UserSound: the sound of one user, decoded in order as the mixer needs it. */
import type { RecordingUs } from '../../kernel/time.ts';
import type { Sound } from '../../media/frame.ts';
import type { SoundCodec } from '../../stages/codec/audio-decoder.ts';
import { HeardSound } from '../../stages/codec/heard-sound.ts';
import type { SliceSample } from '../../stages/mux/read-slices.ts';
import type { CastSlice } from './cast.ts';
import { type ReadSlice, SampleStream } from './sample-stream.ts';

/** This much is decoded before the mix begins, so that the decoder has settled by then. */
const PREROLL_US = 200_000;

export class UserSound {
  readonly #channels: 1 | 2;
  readonly #stream: SampleStream;
  readonly #fromUs: RecordingUs;
  #heard: HeardSound | undefined;

  /**
   * @param slices in order
   * @param fromUs where in the recording the mix begins
   * @param channels of the sound that is handed over
   */
  constructor(
    slices: readonly CastSlice[],
    fromUs: RecordingUs,
    channels: 1 | 2,
    read: ReadSlice,
    onProblem: (what: string) => void,
  ) {
    this.#channels = channels;
    this.#fromUs = fromUs - PREROLL_US;
    const due = slices.filter((slice) => slice.startUs + slice.durationUs > this.#fromUs);
    this.#stream = new SampleStream(due, read, onProblem);
  }

  /**
   * Decodes what begins before `untilUs` of the recording and hands it over with its start, in samples from the zero.
   */
  async decodeUntil(untilUs: RecordingUs, use: (startSample: number, sound: Sound) => void): Promise<void> {
    for (;;) {
      const next = await this.#stream.take(untilUs - 1);
      if (!next) return;
      const { sample } = next;
      if (!isSound(sample.codec) || sample.ptsUs + sample.durationUs <= this.#fromUs) continue;
      this.#heardAs(sample.codec).decode(sample, use);
    }
  }

  async close(): Promise<void> {
    this.#heard?.close();
    this.#heard = undefined;
    await this.#stream.close();
  }

  #heardAs(codec: SoundCodec): HeardSound {
    if (this.#heard?.codec === codec) return this.#heard;
    this.#heard?.close();
    this.#heard = new HeardSound({ codec, channels: this.#channels });
    return this.#heard;
  }
}

function isSound(codec: SliceSample['codec']): codec is 'opus' | 'aac' {
  return codec === 'opus' || codec === 'aac';
}
