/**
 * HeardSound: one stream of encoded sound, decoded at its absolute place. A short gap between two samples is concealed,
 * and a longer one is left silent.
 */
import { type RecordingUs, US } from '../../kernel/time.ts';
import { SOUND_RATE, type Sound } from '../../media/frame.ts';
import { AudioDecoder, type AudioDecoderOptions, type DecodedSound } from './audio-decoder.ts';
import { OpusRedundancy, type Recovered } from './opus-redundancy.ts';

/** A gap up to this long is concealed; a longer echo of the past would be noticed. */
const MAX_CONCEALED_US = 60_000;
/** Length of the fade-in after a gap, 5 ms. */
const FADE_SAMPLES = 240;
/** The distance of consecutive samples by their timestamps differs from their lengths by less than this. */
const JITTER_US = 1000;
/**
 * A clock that is slewed moves samples apart by up to a twentieth of their length. What lies further apart than three
 * times as much, or 3 ms, does not go on: the mixer joins nothing beyond that either.
 */
const SLEWED = { share: 0.15, leastUs: 3000 };

export type HeardSample = {
  data: Buffer;
  /** The timestamp, which differs from where the sound lies by the codec's delay. */
  ptsUs: RecordingUs;
  /** Whether packets before it were lost; when undefined, each short gap counts as a loss. */
  afterLoss?: boolean;
};

/** What became of one sample. Times are those of the sound itself, in microseconds. */
export type Heard = { startUs: RecordingUs; endUs: RecordingUs; concealedUs: number; madeUp: boolean };

export class HeardSound {
  #decoder: AudioDecoder;
  readonly #redundancy = new OpusRedundancy();
  /**
   * Where the last sample ended by its timestamp, not where its sound ended: else a gap would be wrong by the codec's
   * delay.
   */
  #endUs: RecordingUs | undefined;
  /** The last sample could not be decoded and was made up. */
  #madeUp = false;

  /** @param endUs where the last sample ended of the decoder that this one continues */
  constructor(options: AudioDecoderOptions, endUs?: RecordingUs) {
    this.#decoder = new AudioDecoder(options);
    this.#endUs = endUs;
  }

  get channels(): 1 | 2 {
    return this.#decoder.channels;
  }

  /** From the next sample on, hands out two channels. */
  widen(): void {
    if (this.#decoder.channels === 2) return;
    const { codec } = this.#decoder;
    this.#decoder.close();
    this.#decoder = new AudioDecoder({ codec, channels: 2 });
  }

  get codec(): AudioDecoder['codec'] {
    return this.#decoder.codec;
  }

  /** Where the last sample ended by its timestamp, microseconds; undefined before the first. */
  get endUs(): RecordingUs | undefined {
    return this.#endUs;
  }

  /** Decodes a sample that was heard already, so that the next one continues it. */
  prepare(data: Buffer): void {
    this.#redundancy.note(data);
    this.#decoder.decode({ data, ptsUs: 0 });
  }

  /**
   * Decodes the next sample.
   * @param use takes sound and where it begins, in samples of 48 kHz; it is called twice where a gap is concealed
   * @returns undefined when the sample gave no sound
   */
  decode(sample: HeardSample, use: (startSample: number, sound: Sound) => void): Heard | undefined {
    const { delayUs, codec } = this.#decoder;
    const gapUs = this.#endUs === undefined ? 0 : sample.ptsUs - this.#endUs;
    let concealedUs = 0;
    let recovered: Recovered | undefined;
    // An AAC block overlaps the block before it; overlapping one of another time would be heard.
    if (codec === 'aac' && gapUs > JITTER_US) this.#decoder.reset();
    else if (sample.afterLoss !== false && gapUs > JITTER_US && gapUs <= MAX_CONCEALED_US) {
      recovered = this.#recover(sample.data, gapUs);
      if (!recovered) concealedUs = gapUs;
      use(samplesAt(sample.ptsUs - gapUs - delayUs), recovered?.lost ?? this.#decoder.conceal(gapUs));
    } else if (gapUs > JITTER_US) this.#redundancy.reset();
    this.#redundancy.note(sample.data);
    const { damaged } = this.#decoder;
    const decoded = this.#decoder.decode(sample);
    const [first, last] = [decoded[0], decoded.at(-1)];
    const madeUp = this.#decoder.damaged > damaged;
    if (first && recovered) blend(recovered.next, first.sound);
    else if (first && !madeUp && (concealedUs > 0 || this.#madeUp)) fadeIn(first.sound);
    this.#madeUp = madeUp;
    if (!first || !last) return undefined;
    const slewedUs = Math.max(SLEWED.leastUs, (SLEWED.share * first.sound.samples * US) / SOUND_RATE);
    const beginsAnew = this.#endUs === undefined || (gapUs > slewedUs && concealedUs === 0 && !recovered);
    if (beginsAnew && codec === 'opus') leaveOutLead(first, delayUs);
    for (const { sound, ptsUs } of decoded) use(samplesAt(ptsUs), sound);
    const endUs = last.ptsUs + (last.sound.samples * US) / SOUND_RATE;
    this.#endUs = endUs + delayUs;
    return { startUs: first.ptsUs, endUs, concealedUs, madeUp };
  }

  close(): void {
    this.#decoder.close();
  }

  /**
   * Lost sound recovered from the packet after it. That packet's own sound is taken from the same decoder, because ours
   * did not hear the lost sound and would distort it a little.
   */
  #recover(data: Buffer, gapUs: number): Recovered | undefined {
    if (this.codec !== 'opus') return undefined;
    return this.#redundancy.recover(data, Math.round((gapUs * SOUND_RATE) / US), this.channels);
  }
}

/** Crossfades from one sound to another of the same time, which is changed. */
function blend(from: Sound, to: Sound): void {
  const length = Math.min(from.samples, to.samples);
  for (const [channel, samples] of to.channels.entries())
    for (let i = 0; i < length; i++) {
      const share = 0.5 - 0.5 * Math.cos((Math.PI * (i + 1)) / (length + 1));
      samples[i] = samples[i]! * share + from.channels[channel]![i]! * (1 - share);
    }
}

/**
 * Cuts off what a decoder hands out before the sound of a first packet: as long as its delay, it is silence or an echo
 * of what was heard before a pause. A fade-in must begin where the sound itself begins, or it ends before it.
 */
function leaveOutLead(decoded: DecodedSound, delayUs: number): void {
  const { channels, samples } = decoded.sound;
  const lead = Math.min(samples, Math.round((delayUs * SOUND_RATE) / US));
  decoded.sound = { channels: channels.map((each) => each.subarray(lead)), samples: samples - lead };
  decoded.ptsUs += (lead * US) / SOUND_RATE;
}

/** Sound after a concealed gap begins in the middle of a wave, and the concealment has faded out. */
function fadeIn({ channels, samples }: Sound): void {
  const length = Math.min(FADE_SAMPLES, samples);
  for (const channel of channels)
    for (let i = 0; i < length; i++) channel[i]! *= 0.5 - 0.5 * Math.cos((Math.PI * (i + 1)) / (length + 1));
}

function samplesAt(us: number): number {
  return Math.round((us * SOUND_RATE) / US);
}
